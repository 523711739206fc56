"""Records of CSV and TSV: what separates their fields, and quotes that are not closed."""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TextIO

from promptlift.errors import InputError

DELIMITERS = (",", ";", "\t", "|")
_NAMED = re.compile(r'"?sep=(.)"?')  # the first line of files that Excel writes
_SNIFFED_LINES, _SNIFFED_CHARS = 50, 1 << 16
_MOST = 0.5  # share of the first rows that must have as many fields as the header
# Prompts are far shorter. A quote that is never closed would otherwise swallow the whole file.
_MAX_FIELD_CHARS = 1 << 24


def read_records(path: Path, text: TextIO, usual: str) -> Iterator[tuple[int, list[str] | str]]:
    """The first line of each record, and its cells or what is wrong with it.

    Args:
        path: of the file, for errors.
        text: its lines.
        usual: delimiter of such files.

    Raises:
        InputError: another delimiter splits the header, but not the rows.
    """
    csv.field_size_limit(_MAX_FIELD_CHARS)
    first: list[str] = []
    cut = False
    for line in text:
        first.append(line)
        cut = len(first) == _SNIFFED_LINES or sum(map(len, first)) > _SNIFFED_CHARS
        if cut:
            break
    if first and (named := _NAMED.fullmatch(first[0].rstrip("\r\n"))):
        yield from _records(chain(first[1:], text), named[1], before=1)
    else:
        delimiter = _delimiter(path, first, usual, cut=cut)
        yield from _records(chain(first, text), delimiter)


def _delimiter(path: Path, first: list[str], usual: str, *, cut: bool) -> str:
    """What splits the header and at least half of the first rows into as many fields."""
    widths = {
        sign: found
        for sign in dict.fromkeys([usual, *DELIMITERS])
        if (found := _widths(first, sign, cut=cut)) and found[0] > 1
    }
    # Of a file without rows, the header alone decides.
    agree = {
        sign: found[1:].count(found[0]) / len(found[1:]) if found[1:] else 1.0
        for sign, found in widths.items()
    }
    best = max(agree, key=lambda sign: agree[sign], default=usual)
    if not agree or agree.get(usual, 0.0) >= _MOST:
        return usual
    if agree[best] >= _MOST:
        return best
    if usual in agree or any(" " in name.strip() for name in first[0].split(best)):
        return usual  # rows are faulty, or a prompt stands in place of the header
    raise InputError(
        f"{path}: {best!r} splits its first line into {widths[best][0]} columns, but not the rows. "
        f"Save it with {usual!r} between the columns, or as .jsonl."
    )


def _widths(lines: list[str], delimiter: str, *, cut: bool) -> list[int]:
    """Numbers of fields in the first records."""
    widths = []
    try:
        for cells in csv.reader(lines, delimiter=delimiter):
            if cells:
                widths.append(len(cells))
    except csv.Error:
        pass
    return widths[:-1] if cut and len(widths) > 2 else widths  # the last record may be cut


def _records(
    text: Iterable[str], delimiter: str, *, before: int = 0
) -> Iterator[tuple[int, list[str] | str]]:
    record = io.StringIO(newline="")  # lines of the record at hand, to tell where it went wrong

    def lines() -> Iterator[str]:
        for line in text:
            record.write(line)
            yield line

    # Strict, as a quote never closed would otherwise take all rows below into one cell unsaid.
    reader = csv.reader(lines(), delimiter=delimiter, strict=True)
    while True:
        first = before + reader.line_num + 1  # a quoted cell may run over several lines
        record.seek(0)
        record.truncate()
        try:
            yield first, next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            record.seek(0)
            last = before + reader.line_num
            yield first, _lenient(record, delimiter, first, last, str(error))


def _lenient(record: TextIO, delimiter: str, first: int, last: int, error: str) -> list[str] | str:
    """Cells of a record that is no strict CSV, or what is wrong with it."""
    if "limit" in error:
        if first == last:
            return error
        return f"a quote is not closed within {_MAX_FIELD_CHARS} characters; {_lost(first, last)}"
    try:
        # The empty line is read only if a quote is open at the end.
        reader = csv.reader(chain(record, [""]), delimiter=delimiter)
        cells = next(reader)
    except csv.Error:
        return error
    if reader.line_num > last - first + 1:
        opened = last + 1 - max(1, sum(1 for _ in io.StringIO(cells[-1], newline="")))
        return f"the quote opened on line {opened} is never closed; {_lost(first, last)}"
    if first == last:  # `"a cat" , "a dog"` is clear enough
        return cells
    return f"text follows the quote closed on line {last}; {_lost(first, last)}"


def _lost(first: int, last: int) -> str:
    if first == last:
        return f"line {first} is lost"
    return f"{last - first + 1} lines are lost ({first} to {last})"
