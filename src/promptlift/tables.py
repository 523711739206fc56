"""Rows of files: JSONL, JSON, CSV, TSV, plain text and Parquet, one at a time."""

import csv
import io
import json
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from promptlift.errors import ConfigError, InputError, MissingExtraError
from promptlift.files import atomic_path

STDIN = Path("-")
_BATCH_ROWS = 4096
_NUL = "holds a NUL byte, so it is no UTF-8 text"
# Prompts are far shorter. A quote that is never closed would otherwise swallow the whole file.
_MAX_FIELD_CHARS = 1 << 24
# `{red|blue} cat` is a prompt with wildcards, not an object.
_JSON_OBJECT = re.compile(r"\s*\{\s*[\"}]")


@dataclass(frozen=True)
class Row:
    """A row of a file.

    Attributes:
        number: line of the file, or number of the row in JSON and Parquet, from 1.
        value: text of a plain line or a JSON string, otherwise fields by column.
    """

    number: int
    value: str | Mapping[str, Any]


@dataclass(frozen=True)
class Fault:
    """A row that cannot be read, so that the others still can."""

    number: int
    message: str


def read_rows(path: Path) -> Iterator[Row | Fault]:
    """The rows of a file, by its ending; `-` reads standard input.

    Standard input holds a prompt a line, or a JSON object where a line begins as one does.
    Empty lines of text are skipped, but counted.

    Raises:
        InputError: the file is missing, cannot be read, or its ending or header is unusable.
        MissingExtraError: Parquet without the extra `parquet`.
    """
    if path != STDIN and not path.is_file():
        raise InputError(f"{path} does not exist or is no file.")
    reader = _READERS.get(path.suffix.lower())
    if reader is None and path != STDIN:
        raise InputError(
            f"{path}: ending {path.suffix!r} is not known; these are: {', '.join(_READERS)}"
        )
    try:
        yield from (reader or _read_mixed)(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Write rows to `path` by its ending, atomically, in bounded memory.

    JSONL keeps nested values, CSV and TSV write them as JSON. Parquet takes a column's type
    from all of its values; a column without any holds text.

    Args:
        path: file to write; what stood there is replaced.
        rows: JSON types by column. JSONL writes each row's own fields, the others `columns`.
        columns: names of the columns, in their order.
    """
    writer = _WRITERS[check_output_ending(path)]
    with atomic_path(path) as temporary:
        writer(temporary, rows, columns)


def check_output_ending(path: Path) -> str:
    """The ending of an output file, if it can be written.

    Raises:
        ConfigError: it cannot.
        MissingExtraError: Parquet without the extra `parquet`.
    """
    ending = path.suffix.lower()
    if ending not in _WRITERS:
        raise ConfigError(
            f"{path}: ending {path.suffix!r} cannot be written; these can: {', '.join(_WRITERS)}"
        )
    if ending == ".parquet":
        _pyarrow()
    return ending


@contextmanager
def _open(path: Path) -> Iterator[BinaryIO]:
    if path == STDIN:
        if sys.stdin is None:
            raise InputError("standard input is closed. Give a file, or pipe something in.")
        yield sys.stdin.buffer
        return
    with path.open("rb") as file:
        yield file


def _lines(path: Path) -> Iterator[Row | Fault]:
    """Lines without their end; the byte-order mark that some editors write is dropped."""
    with _open(path) as file:
        for number, raw in enumerate(file, 1):
            raw = raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw
            if b"\0" in raw:
                yield Fault(number, _NUL)
                continue
            try:
                text = raw.decode("utf-8").rstrip("\r\n")
            except UnicodeDecodeError as error:
                byte = raw[error.start]
                yield Fault(number, f"not valid UTF-8: byte 0x{byte:02x} at {error.start}")
                continue
            if text.strip():
                yield Row(number, text)


def _json_row(number: int, text: str) -> Row | Fault:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        return Fault(number, f"not valid JSON: {error}")
    return _json_value(number, value)


def _json_value(number: int, value: Any) -> Row | Fault:
    if isinstance(value, str | dict):
        return Row(number, value)
    return Fault(number, f"a {type(value).__name__}, neither an object nor a string")


def _read_jsonl(path: Path) -> Iterator[Row | Fault]:
    for line in _lines(path):
        yield line if isinstance(line, Fault) else _json_row(line.number, str(line.value))


def _read_text(path: Path) -> Iterator[Row | Fault]:
    return _lines(path)


def _read_mixed(path: Path) -> Iterator[Row | Fault]:
    for line in _lines(path):
        text = "" if isinstance(line, Fault) else str(line.value)
        yield _json_row(line.number, text) if _JSON_OBJECT.match(text) else line


def _read_json(path: Path) -> Iterator[Row | Fault]:
    with _open(path) as file:
        try:
            values = json.loads(file.read().decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(values, list):
        raise InputError(f"{path} must hold a list of objects or strings.")
    for number, value in enumerate(values, 1):
        yield _json_value(number, value)


def _read_delimited(delimiter: str) -> Callable[[Path], Iterator[Row | Fault]]:
    def read(path: Path) -> Iterator[Row | Fault]:
        csv.field_size_limit(_MAX_FIELD_CHARS)
        with _open(path) as binary:
            # Bytes that are no UTF-8 are kept as surrogates, so that only their row is at fault.
            text = io.TextIOWrapper(
                binary, encoding="utf-8-sig", errors="surrogateescape", newline=""
            )
            records = _records(text, delimiter)
            number, header = next(records, (1, []))
            if isinstance(header, str):
                raise InputError(f"{path} line 1 is not valid CSV: {header}")
            if not any(header):
                raise InputError(f"{path} has no header line with the names of its columns.")
            if problem := _broken_text(header):
                raise InputError(f"{path} line 1: {problem}. Save the file as UTF-8.")
            _check_columns(path, header)
            for number, cells in records:
                if isinstance(cells, str):
                    yield Fault(number, f"not valid CSV: {cells}")
                elif cells:
                    yield _delimited_row(number, header, cells)

    return read


def _records(text: TextIO, delimiter: str) -> Iterator[tuple[int, list[str] | str]]:
    """The first line of each record, and its cells or what is wrong with it."""
    record = io.StringIO(newline="")  # lines of the record at hand, to tell where it went wrong

    def lines() -> Iterator[str]:
        for line in text:
            record.write(line)
            yield line

    # Strict, as a quote never closed would otherwise take all rows below into one cell unsaid.
    reader = csv.reader(lines(), delimiter=delimiter, strict=True)
    while True:
        first = reader.line_num + 1  # a quoted cell may run over several lines
        record.seek(0)
        record.truncate()
        try:
            yield first, next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            record.seek(0)
            yield first, _lenient(record, delimiter, first, reader.line_num, str(error))


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


def _check_columns(path: Path, names: Sequence[str]) -> None:
    # Columns without a name are what spreadsheets leave at the edge; nobody asks for them.
    if doubled := [name for name, count in Counter(names).items() if name and count > 1]:
        raise InputError(
            f"{path} has more than one column {doubled[0]!r}. Rename or remove all but one."
        )


def _delimited_row(number: int, header: list[str], cells: list[str]) -> Row | Fault:
    if len(cells) != len(header):
        return Fault(number, f"{len(cells)} fields where the header has {len(header)}")
    if problem := _broken_text(cells):
        return Fault(number, problem)
    return Row(number, dict(zip(header, cells, strict=True)))


def _broken_text(cells: list[str]) -> str | None:
    if any("\0" in cell for cell in cells):
        return _NUL
    if any("\udc80" <= char <= "\udcff" for cell in cells for char in cell):
        return "not valid UTF-8"
    return None


def _read_parquet(path: Path) -> Iterator[Row | Fault]:
    arrow, parquet = _pyarrow()
    try:
        with parquet.ParquetFile(path) as file:
            _check_columns(path, file.schema_arrow.names)
            first = 1
            for batch in file.iter_batches(_BATCH_ROWS):
                yield from _parquet_rows(batch, first)
                first += batch.num_rows
    except arrow.ArrowException as error:
        raise InputError(f"{path} is no readable Parquet file: {error}") from error


def _parquet_rows(batch: Any, first: int) -> Iterator[Row | Fault]:
    try:
        values = batch.to_pylist()
    except UnicodeDecodeError:
        if batch.num_rows == 1:
            yield Fault(first, "not valid UTF-8")
            return
        for index in range(batch.num_rows):
            yield from _parquet_rows(batch.slice(index, 1), first + index)
        return
    yield from (Row(number, value) for number, value in enumerate(values, first))


def _write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(json.dumps(dict(row), ensure_ascii=False) + "\n")


def _write_delimited(
    delimiter: str,
) -> Callable[[Path, Iterable[Mapping[str, Any]], Sequence[str]], None]:
    def write(path: Path, rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
        with path.open("w", encoding="utf-8", newline="") as file:
            # All text is quoted: older versions of `csv` leave a lone carriage return bare.
            writer = csv.writer(
                file, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC
            )
            writer.writerow(columns)
            for row in rows:
                writer.writerow([_cell(row.get(column)) for column in columns])

    return write


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value


def _write_parquet(path: Path, rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    arrow, parquet = _pyarrow()
    schema = arrow.schema([(name, arrow.null()) for name in columns])
    # Rows wait on disk until every column's type is known: an `error` may come first in the
    # last row, and a Parquet file has its types from the start.
    with tempfile.TemporaryFile("w+", encoding="utf-8", dir=path.parent) as waiting:
        for batch in _batches({name: row.get(name) for name in columns} for row in rows):
            found = arrow.Table.from_pylist(batch).schema
            schema = arrow.unify_schemas([schema, found], promote_options="permissive")
            waiting.writelines(json.dumps(row) + "\n" for row in batch)
        schema = _without_nulls(arrow, schema)
        waiting.seek(0)
        with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
            for batch in _batches(map(json.loads, waiting)):
                writer.write_table(arrow.Table.from_pylist(batch, schema=schema))


def _batches(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    iterator = iter(rows)
    while batch := list(islice(iterator, _BATCH_ROWS)):
        yield batch


def _without_nulls(arrow: Any, schema: Any) -> Any:
    """A column without any value holds text, or lists of text."""
    text = arrow.string()
    fields = [
        field.with_type(text)
        if field.type == arrow.null()
        else field.with_type(arrow.list_(text))
        if field.type == arrow.list_(arrow.null())
        else field
        for field in schema
    ]
    return arrow.schema(fields)


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("Parquet", "parquet") from error
    return pyarrow, pyarrow.parquet


_READERS: dict[str, Callable[[Path], Iterator[Row | Fault]]] = {
    ".jsonl": _read_jsonl,
    ".json": _read_json,
    ".csv": _read_delimited(","),
    ".tsv": _read_delimited("\t"),
    ".txt": _read_text,
    ".parquet": _read_parquet,
}
_WRITERS: dict[str, Callable[[Path, Iterable[Mapping[str, Any]], Sequence[str]], None]] = {
    ".jsonl": _write_jsonl,
    ".csv": _write_delimited(","),
    ".tsv": _write_delimited("\t"),
    ".parquet": _write_parquet,
}
