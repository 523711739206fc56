"""Pairs and prompts from files, and pairs to files."""

import difflib
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from promptlift.errors import InputError
from promptlift.pairs.check import check_encodable, check_text, same_text
from promptlift.records import Pair
from promptlift.tables import Fault, Row, read_rows, write_rows

# Names that published data sets give to source and target, tried in this order.
COLUMN_NAMES = (("source", "target"), ("x", "y"), ("basic", "detailed"), ("prompt", "improved"))
MODES = ("extend", "rewrite")
# Rows may differ in their fields; the other formats have one header.
_MIXED = (".jsonl", ".json", "")
_log = logging.getLogger(__name__)


def load_pairs(
    path: Path,
    *,
    source: str | None = None,
    target: str | None = None,
    mode: str = "rewrite",
    check: bool = False,
    report: Callable[[str], None] = _log.info,
) -> Iterator[Pair | Fault]:
    """The pairs of a file; a row that is none comes as a `Fault`.

    Columns are those of `COLUMN_NAMES`, in any letter case, that the first row with such columns
    has, unless named; for one that is named alone, the other is its partner there. A column `mode`
    says "extend" or "rewrite"; without it all pairs are for `mode`. `report` is told which columns
    were taken. A text that UTF-8 cannot hold is a `Fault`; with `check` a row that is too short or
    long, damaged by a wrong encoding, or equal on both sides is one too.

    Raises:
        InputError: the file cannot be read, or no row has such columns.
    """
    columns: tuple[str, str] | None = None
    missing = ""
    for row in read_rows(path):
        if isinstance(row, Fault):
            yield row
            continue
        try:
            if isinstance(row.value, str):
                raise _FaultyRowError("a line of text is no pair of prompts.")
            if columns is None:
                columns = _pair_columns(row.value, source, target)
                report(f"{path}: source is column {columns[0]!r}, target is column {columns[1]!r}")
            found: Pair | Fault = _pair(row.value, columns, mode, check)
        except _FaultyRowError as error:
            found = Fault(row.number, str(error))
            missing = missing or f"{path} line {row.number}: {error}"
            if columns is None and path.suffix.lower() not in _MIXED:
                raise InputError(missing) from error
        yield found
    if columns is None and missing:
        raise InputError(missing)


def collect_pairs(
    paths: Iterable[Path],
    *,
    source: str | None = None,
    target: str | None = None,
    drop_faulty: bool = False,
    report: Callable[[str], None] = _log.info,
) -> list[Pair]:
    """All pairs of files, their columns as `load_pairs` finds them.

    Args:
        paths: of the files.
        source, target: names of their columns.
        drop_faulty: leave out rows that are no pairs, and say how many, as of other people's data.
        report: takes a line of that.

    Raises:
        InputError: a file cannot be read, or a row is no pair and is not to be left out.
    """
    found, faulty, files = [], 0, list(paths)
    for path in files:
        for item in load_pairs(path, source=source, target=target):
            if isinstance(item, Pair):
                found.append(item)
            elif drop_faulty:
                faulty += 1
            else:
                raise InputError(f"{path} line {item.number}: {item.message}")
    if faulty:
        report(f"{faulty} rows of {files[0].name} and its like are no pairs and are left out")
    return found


def load_prompts(
    path: Path, *, column: str | None = None, exclude_source: Collection[str] = ()
) -> Iterator[Row | Fault]:
    """The prompts of a file as rows whose value is text; a row without one is a `Fault`.

    Args:
        path: a file, or `-` for standard input.
        column: where rows have several fields; "prompt", or the only column, where None.
        exclude_source: leave out rows whose field `source` is one of these.

    Raises:
        InputError: the file cannot be read or has no such column.
    """
    named = column is not None
    for row in read_rows(path):
        if isinstance(row, Fault):
            yield row
            continue
        if isinstance(row.value, str):
            text = "a line of text, which has no column"
            yield Fault(row.number, f"{text} {column!r}") if named else _prompt(row, row.value)
            continue
        fields = row.value
        if fields.get("source") in exclude_source:
            continue
        if column is None:
            only = next(iter(fields)) if len(fields) == 1 else "prompt"
            column = _actual(fields, "prompt") or only
        if column not in fields:
            if path.suffix.lower() in (".csv", ".tsv", ".parquet"):
                raise InputError(f"{path} has no column {column!r}; {_fields(column, fields)}")
            yield Fault(row.number, f"no field {column!r}; {_fields(column, fields)}")
            continue
        value = fields[column]
        if isinstance(value, str):
            yield _prompt(row, value)
        else:
            yield Fault(row.number, f"`{column}` is {type(value).__name__}, not text")


def write_pairs(path: Path, pairs: Iterable[Pair]) -> None:
    """Write pairs with columns source, target and mode; JSONL, CSV, TSV or Parquet by ending."""
    rows = ({"source": p.source, "target": p.target, "mode": p.mode} for p in pairs)
    write_rows(path, rows, ("source", "target", "mode"))


class _FaultyRowError(Exception):
    """Why a row is no pair."""


def _pair_columns(
    fields: Mapping[str, Any], source: str | None, target: str | None
) -> tuple[str, str]:
    """The columns of source and target."""
    if source is None and target is None:
        for names in COLUMN_NAMES:
            first, second = (_actual(fields, name) for name in names)
            if first is not None and second is not None:
                return first, second
        known = "; ".join(" and ".join(names) for names in COLUMN_NAMES)
        there = _printable(", ".join(fields) or "none")
        raise _FaultyRowError(f"has columns {there}, and a pair needs {known}.")
    found = []
    for name, other, side in ((source, target, 0), (target, source, 1)):
        wanted = [name] if name is not None else _partners(str(other), side)
        known_here = [actual for each in wanted if (actual := _actual(fields, each)) is not None]
        if not known_here:
            raise _FaultyRowError(f"has no column {wanted[0]!r}; {_fields(wanted[0], fields)}")
        found.append(known_here[0])
    if found[0] == found[1]:
        raise _FaultyRowError(f"has one column {found[0]!r} for both source and target.")
    return found[0], found[1]


def _partners(other: str, side: int) -> list[str]:
    """Names of the column beside one that was named, the likeliest first."""
    known = [names[side] for names in COLUMN_NAMES if names[1 - side] == other.lower()]
    return [*known, COLUMN_NAMES[0][side]]


def _actual(fields: Mapping[str, Any], name: str) -> str | None:
    """The field of that name, in its own letter case if there is one."""
    if name in fields:
        return name
    return next((field for field in fields if field.lower() == name.lower()), None)


def _prompt(row: Row, text: str) -> Row | Fault:
    problem = check_encodable(text)
    return Fault(row.number, problem) if problem else Row(row.number, text)


def _pair(fields: Mapping[str, Any], columns: tuple[str, str], mode: str, check: bool) -> Pair:
    source, target = (_text(fields, column, check) for column in columns)
    if check and same_text(source, target):
        raise _FaultyRowError(f"`{columns[0]}` equals `{columns[1]}`: nothing to learn")
    mode = fields.get(_actual(fields, "mode") or "mode") or mode
    if mode not in MODES:
        raise _FaultyRowError(f"`mode` is {mode!r} and must be one of {', '.join(MODES)}")
    return Pair(source=source, target=target, mode=mode)


def _text(fields: Mapping[str, Any], column: str, check: bool) -> str:
    if column not in fields:
        raise _FaultyRowError(f"no field {column!r}; {_fields(column, fields)}")
    value = fields[column]
    if not isinstance(value, str):
        raise _FaultyRowError(f"`{column}` is {type(value).__name__}, not text")
    problem = check_encodable(value) if value.strip() else "is empty"
    if problem := problem or (check_text(value) if check else None):
        raise _FaultyRowError(f"`{column}` {problem}")
    return value


def _fields(column: str, fields: Mapping[str, Any]) -> str:
    """What there is instead, and which of it may have been meant."""
    near = difflib.get_close_matches(column, list(fields), 1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return _printable(f"it has: {', '.join(fields) or 'none'}.{hint}")


def _printable(text: str) -> str:
    # JSON can name half a surrogate pair, which no file could hold.
    return text.encode("utf-8", "replace").decode()
