"""Pairs and prompts from files, and pairs to files."""

import difflib
import logging
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from promptlift.errors import InputError, MissingExtraError
from promptlift.pairs.check import check_text, same_text
from promptlift.records import Pair
from promptlift.tables import Fault, Row, read_rows, write_rows

# Names that published data sets give to source and target, tried in this order.
COLUMN_NAMES = (("source", "target"), ("x", "y"), ("basic", "detailed"), ("prompt", "improved"))
MODES = ("extend", "rewrite")
_FILES = (".parquet", ".jsonl", ".csv", ".tsv", ".json")
_SPLITS = ("train", "test", "validation", "valid", "val", "dev")
_log = logging.getLogger(__name__)


def load_pairs(
    path: Path,
    *,
    source: str | None = None,
    target: str | None = None,
    check: bool = False,
    report: Callable[[str], None] = _log.info,
) -> Iterator[Pair | Fault]:
    """The pairs of a file; a row that is none comes as a `Fault`.

    Columns are those of `COLUMN_NAMES` that the first row has, unless named. A column `mode`
    says "extend" or "rewrite"; without it pairs are to rewrite. `report` is told which columns
    were taken. With `check` a row that is too short or long, damaged by a wrong encoding, or equal
    on both sides is a `Fault` too.

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
        if columns is None:
            columns = _pair_columns(path, row.value, source, target)
            report(f"{path}: source is column {columns[0]!r}, target is column {columns[1]!r}")
        yield _pair(row, row.value, columns, check)


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


def find_files(name: str, split: str = "train", *, offline: bool = False) -> list[Path]:
    """The files of one split of a data set, given as a file, a folder or a name on the Hub.

    A folder is laid out as the Hub lays out data sets: files whose name begins with the split
    (`data/train-00000-of-00002.parquet`, `train.jsonl`), or in a folder of that name; where no
    file names a split, all of them belong to "train".

    Args:
        name: path, or `owner/name` on the Hub, which is downloaded to the Hub's own cache.
        split: for instance "train" or "test"; a single file is taken whole.
        offline: take the Hub's data set from the cache only.

    Raises:
        InputError: there is no such data set or split.
        MissingExtraError: a name on the Hub without the extra `hub`.
    """
    path = Path(name)
    if path.is_file():
        return [path]
    if not path.is_dir():
        if (
            path.is_absolute()
            or not re.fullmatch(r"[\w.-]+/[\w.-]+", name)
            or path.suffix in _FILES
        ):
            raise InputError(f"{name} is no file, no folder, and no name like owner/name.")
        path = _download(name, offline)
    found = sorted(file for file in path.rglob("*") if file.suffix.lower() in _FILES)
    by_split: dict[str, list[Path]] = {}
    for file in found:
        parts = [re.split(r"[-_.]", part)[0] for part in file.relative_to(path).parts]
        if named := [part for part in parts if part in _SPLITS]:
            by_split.setdefault(named[-1], []).append(file)
    by_split = by_split or {"train": found}
    if not by_split.get(split):
        there = ", ".join(name for name, files in by_split.items() if files)
        raise InputError(f"{name} has no split {split!r}; it has: {there or 'no files of data'}.")
    return by_split[split]


def _download(name: str, offline: bool) -> Path:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError
    except ImportError as error:
        raise MissingExtraError("A data set of the Hub", "hub") from error
    try:
        patterns = [f"*{ending}" for ending in _FILES]
        return Path(
            snapshot_download(
                name, repo_type="dataset", allow_patterns=patterns, local_files_only=offline
            )
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        how = "is not in the cache" if offline else "could not be downloaded"
        raise InputError(
            f"data set {name} {how} ({type(error).__name__}). Check the name and the connection, "
            "or give a folder that holds its files."
        ) from error


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


def _pair(
    row: Row, fields: Mapping[str, Any], columns: tuple[str, str], check: bool
) -> Pair | Fault:
    texts = []
    for column in columns:
        value = fields.get(column)
        if not isinstance(value, str):
            return Fault(row.number, f"`{column}` is {type(value).__name__}, not text")
        if not value.strip():
            return Fault(row.number, f"`{column}` is empty")
        if check and (problem := check_text(value)):
            return Fault(row.number, f"`{column}` {problem}")
        texts.append(value)
    if check and same_text(*texts):
        return Fault(row.number, f"`{columns[0]}` equals `{columns[1]}`: nothing to learn")
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
