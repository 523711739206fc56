"""Parts of a job put together, each prompt once: `improve --shard` makes them."""

import heapq
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from promptlift.errors import ConfigError, InputError
from promptlift.improving.batch import Item, PromptSource
from promptlift.tables import Fault, read_rows

ENDINGS = (".jsonl", ".parquet")  # those that keep nested values
_SAME = ("seed", "model", "negative", "schema_version")  # in all rows, as the settings are
_FEW = 3
_Row = tuple[int, int, str, Mapping[str, Any]]  # index, variant, part, fields


def joined(parts: Sequence[Path], source: PromptSource) -> Iterator[dict[str, Any]]:
    """The rows of all parts in the order of the input, which is read along with them.

    All parts are read at once, a row at a time: each is sorted, as `improve` writes it.

    Args:
        parts: files of `improve --output`.
        source: what was improved, as a whole.

    Raises:
        ConfigError: a part is of another kind of file.
        InputError: a prompt is missing, double, or another one than in the input; or parts were
            made with other options.
    """
    for part in parts:
        if part.suffix.lower() not in ENDINGS:
            raise ConfigError(f"{part}: parts to join are {' or '.join(ENDINGS)} files")
    found = groupby(heapq.merge(*map(_rows, parts), key=lambda row: row[:2]), lambda row: row[0])
    held = next(found, None)
    known: dict[str, Any] = {}
    missing: list[Item] = []
    for item in source.items():
        if held is None or held[0] != item.index:
            missing.append(item)
            continue
        rows = list(held[1])
        _check(item, rows, known)
        yield from (dict(row) for *_, row in rows)
        held = next(found, None)
    if missing:
        few = ", ".join(map(_name, missing[:_FEW])) + (", …" if len(missing) > _FEW else "")
        raise InputError(f"{len(missing)} prompts are in no part: {few}")
    if held is not None:
        [(index, _, name, _), *_] = held[1]
        raise InputError(f"{name} has prompt {index}, and the input has no such prompt")


def _rows(part: Path) -> Iterator[_Row]:
    last = (-1, -1)
    for row in read_rows(part):
        if isinstance(row, Fault):
            raise InputError(f"{part} line {row.number}: {row.message}")
        fields = row.value if isinstance(row.value, Mapping) else {}
        index, variant = fields.get("index"), fields.get("variant")
        if not isinstance(index, int) or not ("error" in fields or isinstance(variant, int)):
            raise InputError(f"{part} line {row.number} is no row that promptlift improve wrote")
        place = (index, variant if isinstance(variant, int) else 0)
        if place < last:
            raise InputError(f"{part} line {row.number}: rows are not in the order of the input")
        last = place
        yield *place, str(part), fields


def _check(item: Item, rows: Sequence[_Row], known: dict[str, Any]) -> None:
    """That the rows of a prompt are whole, once, and of the same job as those before."""
    parts = sorted({part for _, _, part, _ in rows})
    variants = [variant for _, variant, _, _ in rows]
    if len(parts) > 1 or len({*variants}) < len(variants):
        raise InputError(f"{_name(item)} is double, in {' and in '.join(parts)}")
    [part] = parts
    first = rows[0][3]
    if first.get("error"):
        return
    if first.get("source") != item.prompt:
        raise InputError(f"{part} has another prompt in the place of {_name(item)}")
    if variants != [*range(known.setdefault("n", len(rows)))]:
        raise InputError(
            f"{part} has {len(rows)} variants of {_name(item)}, and {known['n']} of others"
        )
    for row in (fields for *_, fields in rows):
        own = {**{name: row.get(name) for name in _SAME}, **(row.get("settings") or {})}
        for name, value in own.items():
            if known.setdefault(name, value) != value:
                raise InputError(
                    f"{part} was made with {name} {value!r}, other parts with {known[name]!r}"
                )


def _name(item: Item) -> str:
    return f"prompt {item.index}" + (f" (line {item.line})" if item.line is not None else "")
