"""Pairs and prompts from files, and pairs to files."""

import json
import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from promptlift.errors import InputError
from promptlift.pairs.check import check_encodable, check_text, same_text
from promptlift.pairs.columns import (
    PROMPT_NAMES,
    FaultyRowError,
    choose_pair_columns,
    choose_prompt_column,
    fields_there,
    header_hint,
    named_like,
    plain_name,
)
from promptlift.pairs.unfit import KINDS, counted, unfit
from promptlift.prompts.frames import is_json_prompt
from promptlift.records import FORMS, MODES, Pair
from promptlift.tables import Fault, Row, read_rows, write_rows

# Rows may differ in their fields; the other formats have one header.
_MIXED = (".jsonl", ".json", "")
_SHOWN_CHARS = 60
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Unfit(Fault):
    """A row with a text that is no prompt to learn, and its kind, a key of `unfit.KINDS`."""

    kind: str


def load_pairs(
    path: Path,
    *,
    source: str | None = None,
    target: str | None = None,
    mode: str = "rewrite",
    check: bool = False,
    keep_unfit: bool = True,
    report: Callable[[str], None] = _log.info,
) -> Iterator[Pair | Fault]:
    """The pairs of a file; a row that is none comes as a `Fault`.

    Columns are those of `COLUMN_NAMES`, in any letter case, that the first row with such columns
    has, unless named; for one that is named alone, the other is its partner there. A column `mode`
    says "extend" or "rewrite"; without it all pairs are for `mode`. A column `form` says "tags" or
    "paragraph"; without it all are "tags". A column `rejected` holds targets that are worse.
    `report` takes a line that names the columns.

    A text that UTF-8 cannot hold is a `Fault`; with `check` a row that is too short or long,
    damaged by a wrong encoding, or equal on both sides is one too. Without `keep_unfit` a row whose
    target, or source, is no prompt to learn is `Unfit`.

    Raises:
        InputError: the file cannot be read, or no row has such columns.
    """
    columns: tuple[str, str] | None = None
    missing = ""

    def choose(names: Sequence[str]) -> None:
        nonlocal columns
        columns = choose_pair_columns(names, source, target)
        report(f"{path}: source is column {columns[0]!r}, target is column {columns[1]!r}")

    def choose_by_header(names: Sequence[str]) -> None:
        try:
            choose(names)
        except FaultyRowError as error:
            hint = header_hint(names, "`source` and `target`")
            raise InputError(f"{path} line 1: {error}{hint}") from error

    for row in read_rows(path, on_header=choose_by_header):
        if isinstance(row, Fault):
            yield row
            continue
        try:
            if isinstance(row.value, str):
                raise FaultyRowError("a line of text is no pair of prompts.")
            if columns is None:
                choose(list(row.value))
            assert columns is not None
            found: Pair | Fault
            found = pair = _pair(row.value, columns, mode, check)
            if not keep_unfit:
                found = _unfit_pair(row.number, pair, columns) or pair
        except FaultyRowError as error:
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
    keep_unfit: bool = True,
    report: Callable[[str], None] = _log.info,
) -> list[Pair]:
    """All pairs of files, their columns as `load_pairs` finds them.

    Args:
        paths: of the files.
        source, target: names of their columns.
        drop_faulty: leave out rows that are no pairs, and say how many, as of other people's data.
        keep_unfit: otherwise rows whose texts are no prompts to learn are left out and counted.
        report: takes a line of that.

    Raises:
        InputError: a file cannot be read, or a row is no pair and is not to be left out.
    """
    found, faulty, files = [], 0, list(paths)
    kinds, example = Counter[str](), ""
    for path in files:
        for item in load_pairs(path, source=source, target=target, keep_unfit=keep_unfit):
            if isinstance(item, Pair):
                found.append(item)
            elif isinstance(item, Unfit):
                kinds[item.kind] += 1
                example = example or f"{path} line {item.number}: {item.message}"
            elif drop_faulty:
                faulty += 1
            else:
                raise InputError(f"{path} line {item.number}: {item.message}")
    if faulty:
        report(f"{faulty} rows of {files[0].name} and its like are no pairs and are left out")
    if kinds:
        report(
            f"{kinds.total()} pairs are no prompts to learn and are left out: {counted(kinds)}. "
            f"The first is {example}"
        )
    return found


def load_prompts(
    path: Path,
    *,
    column: str | None = None,
    exclude_source: Collection[str] = (),
    report: Callable[[str], None] = _log.info,
) -> Iterator[Row | Fault]:
    """The prompts of a file as rows whose value is text; a row without one is a `Fault`.

    A JSON object that is a prompt itself, as FLUX.2 reads it, comes as its text.

    Args:
        path: a file, or `-` for standard input.
        column: where rows have several fields; the first of `PROMPT_NAMES` there is, or the only
            column, where None.
        exclude_source: leave out rows whose field `source` is one of these.
        report: receives a line that names the column, unless it is `prompt` or was given.

    Raises:
        InputError: the file cannot be read, has no such column, or no header.
    """
    named, told = column is not None, False

    def choose(names: Sequence[str]) -> None:
        """Take the column by the names there are."""
        nonlocal column
        column = choose_prompt_column(path, names, column, report)

    for row in read_rows(path, on_header=choose):
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
        if (json_prompt := _json_prompt(path, row, column)) is not None:
            if not told and any(plain_name(name) in PROMPT_NAMES for name in fields):
                told = True
                report(f"{path} line {row.number}: all of it is the prompt; --column takes a field")
            yield _prompt(row, json_prompt)
            continue
        if column is None or path.suffix.lower() == ".parquet":
            choose(list(fields))
        assert column is not None
        if column not in fields:
            yield Fault(row.number, f"no field {column!r}; {fields_there(column, fields)}")
            continue
        yield prompt_of(row, column)


def prompt_of(row: Row, column: str) -> Row | Fault:
    """The prompt in a column of a row that has it."""
    assert not isinstance(row.value, str)
    value = row.value[column]
    if isinstance(value, str):
        return _prompt(row, value)
    return Fault(row.number, f"`{column}` is {type(value).__name__}, not text")


def fit_prompts(rows: Iterable[Row | Fault]) -> Iterator[Row | Fault]:
    """The rows of `load_prompts`; a prompt that none should learn from is `Unfit`."""
    for row in rows:
        kind = None if isinstance(row, Fault) else unfit(str(row.value))
        if kind is not None and isinstance(row, Row):
            yield Unfit(row.number, f"the prompt {_described(kind, str(row.value))}", kind)
        else:
            yield row


def write_pairs(path: Path, pairs: Iterable[Pair]) -> None:
    """Write pairs with columns source, target and mode; JSONL, CSV, TSV or Parquet by ending.

    A column `form` is added where the target of some pair is no tags, and a column `rejected`
    where some pair has a worse target.
    """
    every = list(pairs)
    names = pair_columns(every)
    rows = ({name: getattr(pair, name) for name in names} for pair in every)
    write_rows(path, rows, names)


def pair_columns(pairs: Iterable[Pair]) -> tuple[str, ...]:
    """The columns that hold all of the pairs."""
    every = list(pairs)
    names = ["source", "target", "mode"]
    names += ["form"] if any(pair.form != "tags" for pair in every) else []
    names += ["rejected"] if any(pair.rejected is not None for pair in every) else []
    return tuple(names)


def _json_prompt(path: Path, row: Row, column: str | None) -> str | None:
    """The text of a JSON object that is a prompt itself, not a record with a prompt in it."""
    if path.suffix.lower() not in _MIXED or isinstance(row.value, str) or column in row.value:
        return None
    if named_like(row.value, "prompt") is not None:
        return None
    others = {k: v for k, v in row.value.items() if plain_name(k) not in PROMPT_NAMES}
    if not is_json_prompt(json.dumps(others)):
        return None
    return row.json or json.dumps(row.value, ensure_ascii=False)


def _prompt(row: Row, text: str) -> Row | Fault:
    problem = check_encodable(text)
    return Fault(row.number, problem) if problem else Row(row.number, text)


def _pair(fields: Mapping[str, Any], columns: tuple[str, str], mode: str, check: bool) -> Pair:
    source, target = (_text(fields, column, check) for column in columns)
    if check and same_text(source, target):
        raise FaultyRowError(f"`{columns[0]}` equals `{columns[1]}`: nothing to learn")
    mode = fields.get(named_like(fields, "mode") or "mode") or mode
    if mode not in MODES:
        raise FaultyRowError(f"`mode` is {mode!r} and must be one of {', '.join(MODES)}")
    form = fields.get(named_like(fields, "form") or "form") or "tags"
    if form not in FORMS:
        raise FaultyRowError(f"`form` is {form!r} and must be one of {', '.join(FORMS)}")
    worse = named_like(fields, "rejected") or "rejected"
    rejected = _text(fields, worse, check) if fields.get(worse) else None  # a cell may be empty
    return Pair(source=source, target=target, mode=mode, form=form, rejected=rejected)


def _unfit_pair(number: int, pair: Pair, columns: tuple[str, str]) -> Unfit | None:
    for text, column, is_target in zip(
        (pair.source, pair.target), columns, (False, True), strict=True
    ):
        if kind := unfit(text, target=is_target):
            return Unfit(number, f"`{column}` {_described(kind, text)}", kind)
    return None


def _described(kind: str, text: str) -> str:
    shown = text if len(text) <= _SHOWN_CHARS else text[:_SHOWN_CHARS] + "…"
    return f"{KINDS[kind][0]}: {shown!r}"


def _text(fields: Mapping[str, Any], column: str, check: bool) -> str:
    if column not in fields:
        raise FaultyRowError(f"no field {column!r}; {fields_there(column, fields)}")
    value = fields[column]
    if not isinstance(value, str):
        raise FaultyRowError(f"`{column}` is {type(value).__name__}, not text")
    problem = check_encodable(value) if value.strip() else "is empty"
    if problem := problem or (check_text(value) if check else None):
        raise FaultyRowError(f"`{column}` {problem}")
    return value
