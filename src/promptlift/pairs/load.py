"""Pairs and prompts from files, and pairs to files."""

import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from promptlift.errors import InputError
from promptlift.records import Pair
from promptlift.tables import Fault, Row, read_rows, write_rows

# Names that published data sets give to source and target, tried in this order.
COLUMN_NAMES = (("source", "target"), ("x", "y"), ("basic", "detailed"), ("prompt", "improved"))
MODES = ("extend", "rewrite")


def load_pairs(
    path: Path, *, source: str | None = None, target: str | None = None
) -> Iterator[Pair | Fault]:
    """The pairs of a file; a row that is none comes as a `Fault`.

    Columns are those of `COLUMN_NAMES` that the first row has, unless named. A column `mode`
    says "extend" or "rewrite"; without it pairs are to rewrite.

    Raises:
        InputError: the file cannot be read or has no such columns.
    """
    columns: tuple[str, str] | None = None
    for row in read_rows(path):
        if isinstance(row, Fault):
            yield row
            continue
        if isinstance(row.value, str):
            raise InputError(f"{path} line {row.number}: a line of text is no pair of prompts.")
        columns = columns or _pair_columns(path, row.value, source, target)
        yield _pair(row, row.value, columns)


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
            yield Fault(row.number, f"{text} {column!r}") if named else row
            continue
        fields = row.value
        if fields.get("source") in exclude_source:
            continue
        if column is None:
            column = "prompt" if "prompt" in fields or len(fields) != 1 else next(iter(fields))
        if column not in fields:
            if path.suffix.lower() in (".csv", ".tsv", ".parquet"):
                raise InputError(_no_column(path, column, fields))
            yield Fault(row.number, f"no field {column!r}; {_fields(column, fields)}")
            continue
        value = fields[column]
        if isinstance(value, str):
            yield Row(row.number, value)
        else:
            yield Fault(row.number, f"`{column}` is {type(value).__name__}, not text")


def write_pairs(path: Path, pairs: Iterable[Pair]) -> None:
    """Write pairs with columns source, target and mode; JSONL, CSV, TSV or Parquet by ending."""
    rows = ({"source": p.source, "target": p.target, "mode": p.mode} for p in pairs)
    write_rows(path, rows, ("source", "target", "mode"))


def _pair_columns(
    path: Path, fields: Mapping[str, Any], source: str | None, target: str | None
) -> tuple[str, str]:
    if source is None and target is None:
        for names in COLUMN_NAMES:
            if fields.keys() >= set(names):
                return names
        known = "; ".join(" and ".join(names) for names in COLUMN_NAMES)
        raise InputError(f"{path} has columns {', '.join(fields)}, and a pair needs {known}.")
    named = (source or "source", target or "target")
    for name in named:
        if name not in fields:
            raise InputError(_no_column(path, name, fields))
    return named


def _pair(row: Row, fields: Mapping[str, Any], columns: tuple[str, str]) -> Pair | Fault:
    texts = []
    for column in columns:
        value = fields.get(column)
        if not isinstance(value, str):
            return Fault(row.number, f"`{column}` is {type(value).__name__}, not text")
        if not value.strip():
            return Fault(row.number, f"`{column}` is empty")
        texts.append(value)
    mode = fields.get("mode") or "rewrite"
    if mode not in MODES:
        return Fault(row.number, f"`mode` is {mode!r} and must be one of {', '.join(MODES)}")
    return Pair(source=texts[0], target=texts[1], mode=mode)


def _no_column(path: Path, column: str, fields: Mapping[str, Any]) -> str:
    return f"{path} has no column {column!r}; {_fields(column, fields)}"


def _fields(column: str, fields: Mapping[str, Any]) -> str:
    """What there is instead, and which of it may have been meant."""
    near = difflib.get_close_matches(column, list(fields), 1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    there = f"it has: {', '.join(fields) or 'none'}.{hint}"
    # JSON can name half a surrogate pair, which no file could hold.
    return there.encode("utf-8", "replace").decode()
