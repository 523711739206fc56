"""Which columns of a file hold prompts, or pairs of them."""

import difflib
import logging
import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from promptlift.errors import InputError

# Names that published data sets give to source and target, tried in this order.
COLUMN_NAMES = (
    ("source", "target"), ("x", "y"), ("basic", "detailed"), ("prompt", "improved"),
    ("prompt", "chosen"),
)  # fmt: skip
# Names that are given to prompts, tried in this order.
PROMPT_NAMES = ("prompt", "prompts", "positive_prompt", "text", "caption", "description")
TABLES = (".csv", ".tsv", ".parquet")
_LONG_NAME = 40  # characters that no column's name has, but a prompt may
_log = logging.getLogger(__name__)


class FaultyRowError(Exception):
    """Why a row is no pair."""


def choose_pair_columns(
    fields: Collection[str], source: str | None, target: str | None
) -> tuple[str, str]:
    """The columns of source and target."""
    if source is None and target is None:
        for names in COLUMN_NAMES:
            first, second = (named_like(fields, name) for name in names)
            if first is not None and second is not None:
                return first, second
        known = "; ".join(" and ".join(names) for names in COLUMN_NAMES)
        there = _printable(", ".join(fields) or "none")
        raise FaultyRowError(f"has columns {there}, and a pair needs {known}.")
    found = []
    for name, other, side in ((source, target, 0), (target, source, 1)):
        wanted = [name] if name is not None else _partners(str(other), side)
        known_here = [own for each in wanted if (own := named_like(fields, each)) is not None]
        if not known_here:
            raise FaultyRowError(f"has no column {wanted[0]!r}; {fields_there(wanted[0], fields)}")
        found.append(known_here[0])
    if found[0] == found[1]:
        raise FaultyRowError(f"has one column {found[0]!r} for both source and target.")
    return found[0], found[1]


def _partners(other: str, side: int) -> list[str]:
    """Names of the column beside one that was named, the likeliest first."""
    known = [names[side] for names in COLUMN_NAMES if names[1 - side] == other.lower()]
    return [*known, COLUMN_NAMES[0][side]]


def choose_prompt_column(
    path: Path,
    names: Sequence[str],
    column: str | None = None,
    report: Callable[[str], None] = _log.info,
) -> str:
    """The column of the prompts of a file; the parameters are those of `load_prompts`.

    Raises:
        InputError: a table has no such column.
    """
    if column is None:
        column = _prompt_column(path, names)
        if column is not None and column.lower() != "prompt" and len(names):
            report(f"{path}: prompts are column {column!r}")
        column = column or "prompt"
    if path.suffix.lower() in TABLES and column not in names:
        hint = "" if path.suffix.lower() == ".parquet" else header_hint(names, "`prompt`")
        raise InputError(f"{path} has no column {column!r}; {fields_there(column, names)}{hint}")
    return column


def _prompt_column(path: Path, names: Sequence[str]) -> str | None:
    """The column of the prompts, None where there is none that could be it.

    Raises:
        InputError: the only column's name is a prompt.
    """
    if "prompt" in names:
        return "prompt"
    for known in PROMPT_NAMES:
        for name in names:
            if plain_name(name) == known:
                return name
    if len(names) != 1:
        return None
    if path.suffix.lower() in (".csv", ".tsv") and _is_no_name(names[0]):
        raise InputError(
            f"{path}: the first line seems to be a prompt and no header. "
            "Add a line `prompt` above it, save the file as .txt, or name the column with --column."
        )
    return names[0]


def plain_name(name: str) -> str:
    return re.sub(r"[\s_-]+", "_", name.strip().lower())


def _is_no_name(name: str) -> bool:
    """Whether what should be the name of a column looks like a prompt."""
    words = re.findall(r"[^\W_]+", name.lower())
    if len(words) < 4 and {*words} & {*PROMPT_NAMES, "source", "target", "captions"}:
        return False
    return " " in name.strip() or len(name) > _LONG_NAME


def header_hint(names: Sequence[str], wanted: str) -> str:
    """What to do where a table seems to begin without a header."""
    if not any(map(_is_no_name, names)):
        return ""
    return (
        f" The first line seems to be no header: add one above it, with {wanted} in it. "
        "If it is the header, name the column."
    )


def named_like(fields: Collection[str], name: str) -> str | None:
    """The field of that name, in its own letter case if there is one."""
    if name in fields:
        return name
    return next((field for field in fields if field.lower() == name.lower()), None)


def fields_there(column: str, fields: Collection[str]) -> str:
    """What there is instead, and which of it may have been meant."""
    near = difflib.get_close_matches(column, list(fields), 1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return _printable(f"it has: {', '.join(fields) or 'none'}.{hint}")


def _printable(text: str) -> str:
    # JSON can name half a surrogate pair, which no file could hold; an error is one line.
    return re.sub(
        r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", text.encode("utf-8", "replace").decode()
    )
