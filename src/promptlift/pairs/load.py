"""Pairs and prompts from files, and pairs to files."""

import difflib
import json
import logging
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from promptlift.errors import InputError
from promptlift.pairs.check import check_encodable, check_text, same_text
from promptlift.pairs.unfit import KINDS, counted, unfit
from promptlift.prompts.frames import is_json_prompt
from promptlift.records import FORMS, MODES, Pair
from promptlift.tables import Fault, Row, read_rows, write_rows

# Names that published data sets give to source and target, tried in this order.
COLUMN_NAMES = (
    ("source", "target"), ("x", "y"), ("basic", "detailed"), ("prompt", "improved"),
    ("prompt", "chosen"),
)  # fmt: skip
# Names that are given to prompts, tried in this order.
PROMPT_NAMES = ("prompt", "prompts", "positive_prompt", "text", "caption", "description")
# Rows may differ in their fields; the other formats have one header.
_MIXED = (".jsonl", ".json", "")
_TABLES = (".csv", ".tsv", ".parquet")
_LONG_NAME = 40  # characters that no column's name has, but a prompt may
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
        columns = _pair_columns(names, source, target)
        report(f"{path}: source is column {columns[0]!r}, target is column {columns[1]!r}")

    def choose_by_header(names: Sequence[str]) -> None:
        try:
            choose(names)
        except _FaultyRowError as error:
            hint = _header_hint(names, "`source` and `target`")
            raise InputError(f"{path} line 1: {error}{hint}") from error

    for row in read_rows(path, on_header=choose_by_header):
        if isinstance(row, Fault):
            yield row
            continue
        try:
            if isinstance(row.value, str):
                raise _FaultyRowError("a line of text is no pair of prompts.")
            if columns is None:
                choose(list(row.value))
            assert columns is not None
            found: Pair | Fault
            found = pair = _pair(row.value, columns, mode, check)
            if not keep_unfit:
                found = _unfit_pair(row.number, pair, columns) or pair
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
        if column is None:
            column = _prompt_column(path, names)
            if column is not None and column.lower() != "prompt" and len(names):
                report(f"{path}: prompts are column {column!r}")
            column = column or "prompt"
        if path.suffix.lower() in _TABLES and column not in names:
            hint = "" if path.suffix.lower() == ".parquet" else _header_hint(names, "`prompt`")
            raise InputError(f"{path} has no column {column!r}; {_fields(column, names)}{hint}")

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
            if not told and any(_plain_name(name) in PROMPT_NAMES for name in fields):
                told = True
                report(f"{path} line {row.number}: all of it is the prompt; --column takes a field")
            yield _prompt(row, json_prompt)
            continue
        if column is None or path.suffix.lower() == ".parquet":
            choose(list(fields))
        assert column is not None
        if column not in fields:
            yield Fault(row.number, f"no field {column!r}; {_fields(column, fields)}")
            continue
        value = fields[column]
        if isinstance(value, str):
            yield _prompt(row, value)
        else:
            yield Fault(row.number, f"`{column}` is {type(value).__name__}, not text")


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


class _FaultyRowError(Exception):
    """Why a row is no pair."""


def _pair_columns(
    fields: Collection[str], source: str | None, target: str | None
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


def _prompt_column(path: Path, names: Sequence[str]) -> str | None:
    """The column of the prompts, None where there is none that could be it.

    Raises:
        InputError: the only column's name is a prompt.
    """
    if "prompt" in names:
        return "prompt"
    for known in PROMPT_NAMES:
        for name in names:
            if _plain_name(name) == known:
                return name
    if len(names) != 1:
        return None
    if path.suffix.lower() in (".csv", ".tsv") and _is_no_name(names[0]):
        raise InputError(
            f"{path}: the first line seems to be a prompt and no header. "
            "Add a line `prompt` above it, save the file as .txt, or name the column with --column."
        )
    return names[0]


def _plain_name(name: str) -> str:
    return re.sub(r"[\s_-]+", "_", name.strip().lower())


def _is_no_name(name: str) -> bool:
    """Whether what should be the name of a column looks like a prompt."""
    words = re.findall(r"[^\W_]+", name.lower())
    if len(words) < 4 and {*words} & {*PROMPT_NAMES, "source", "target", "captions"}:
        return False
    return " " in name.strip() or len(name) > _LONG_NAME


def _header_hint(names: Sequence[str], wanted: str) -> str:
    """What to do where a table seems to begin without a header."""
    if not any(map(_is_no_name, names)):
        return ""
    return (
        f" The first line seems to be no header: add one above it, with {wanted} in it. "
        "If it is the header, name the column."
    )


def _json_prompt(path: Path, row: Row, column: str | None) -> str | None:
    """The text of a JSON object that is a prompt itself, not a record with a prompt in it."""
    if path.suffix.lower() not in _MIXED or isinstance(row.value, str) or column in row.value:
        return None
    if _actual(row.value, "prompt") is not None:
        return None
    others = {k: v for k, v in row.value.items() if _plain_name(k) not in PROMPT_NAMES}
    if not is_json_prompt(json.dumps(others)):
        return None
    return row.json or json.dumps(row.value, ensure_ascii=False)


def _actual(fields: Collection[str], name: str) -> str | None:
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
    form = fields.get(_actual(fields, "form") or "form") or "tags"
    if form not in FORMS:
        raise _FaultyRowError(f"`form` is {form!r} and must be one of {', '.join(FORMS)}")
    worse = _actual(fields, "rejected") or "rejected"
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
        raise _FaultyRowError(f"no field {column!r}; {_fields(column, fields)}")
    value = fields[column]
    if not isinstance(value, str):
        raise _FaultyRowError(f"`{column}` is {type(value).__name__}, not text")
    problem = check_encodable(value) if value.strip() else "is empty"
    if problem := problem or (check_text(value) if check else None):
        raise _FaultyRowError(f"`{column}` {problem}")
    return value


def _fields(column: str, fields: Collection[str]) -> str:
    """What there is instead, and which of it may have been meant."""
    near = difflib.get_close_matches(column, list(fields), 1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return _printable(f"it has: {', '.join(fields) or 'none'}.{hint}")


def _printable(text: str) -> str:
    # JSON can name half a surrogate pair, which no file could hold; an error is one line.
    return re.sub(
        r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", text.encode("utf-8", "replace").decode()
    )
