"""Improvements to draw, read from files: whole receipts, or a source and a prompt a row."""

import json
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from promptlift.errors import InputError
from promptlift.prompts.clip_tokens import count_parts
from promptlift.prompts.parts import parts_of
from promptlift.prompts.syntax import parse
from promptlift.records import SCHEMA_VERSION, Dropped, Improvement
from promptlift.schema import upgraded_settings
from promptlift.tables import Fault, read_rows

_NESTED = ("additions", "dropped", "notes", "checks", "settings")


@dataclass(frozen=True)
class Entry:
    """A prompt to draw and its improvements.

    Attributes:
        index: position of the prompt in the input, from 0; names its pictures.
        variants: its improvements, at least one, all of one source.
    """

    index: int
    variants: tuple[Improvement, ...]

    def to_rows(self, variants: Sequence[Improvement]) -> list[dict[str, Any]]:
        """Some of its improvements as `promptlift improve` writes them."""
        own = {"index": self.index}
        return [{**own, **one.to_dict(), "schema_version": SCHEMA_VERSION} for one in variants]


def read_entries(path: Path) -> Iterator[Entry | Fault]:
    """The prompts of a file of improvements, with their variants; a row that is none is a `Fault`.

    Rows are those of `promptlift improve --json` or `--output`, or have `source` and `prompt`
    alone. Variants of a prompt follow each other and share `index` and `source`.

    Raises:
        InputError: the file cannot be read, or a row has no `source` and `prompt`.
    """
    variants: list[Improvement] = []
    held: tuple[int, Any] | None = None  # index, and what the rows of one prompt have in common
    used = -1
    for row in read_rows(path):
        if isinstance(row, Fault):
            yield row
            continue
        if not isinstance(row.value, Mapping) or row.value.get("error"):
            reason = "a line of text" if isinstance(row.value, str) else str(row.value["error"])
            yield Fault(row.number, f"not an improvement: {reason}")
            continue
        given = row.value.get("index")
        key = (given, row.value.get("source"))
        if held is None or held[1] != key:
            if held is not None:
                yield Entry(held[0], tuple(variants))
            used = given if isinstance(given, int) and given > used else used + 1
            held, variants = (used, key), []
        # A receipt keeps its own number, as its prompt is made again by it.
        last = variants[-1].variant if variants else -1
        own = row.value.get("variant")
        variant = own if isinstance(own, int) and own > last else last + 1
        variants.append(_improvement(path, row.number, row.value, variant))
    if held is not None:
        yield Entry(held[0], tuple(variants))


def count_entries(path: Path) -> int:
    """Number of prompts in a file of improvements."""
    return sum(isinstance(entry, Entry) for entry in read_entries(path))


def holds_improvements(path: Path) -> bool:
    """Whether a file's first row has both a source and a prompt; otherwise it is one of prompts."""
    for row in read_rows(path):
        if not isinstance(row, Fault):
            return isinstance(row.value, Mapping) and {"source", "prompt"} <= {*row.value}
    return False


def sample_of(count: int, sample: int | None, seed: int) -> set[int]:
    """Which of `count` things are taken: all, or `sample` of them at random, by a seed."""
    if sample is None or sample >= count:
        return set(range(count))
    return set(random.Random(seed).sample(range(count), sample))


def _improvement(path: Path, number: int, row: Mapping[str, Any], variant: int) -> Improvement:
    known = {
        item.name: row[item.name] for item in fields(Improvement) if row.get(item.name) is not None
    }
    for name in ("source", "prompt"):
        if not isinstance(known.get(name), str) or not known[name].strip():
            raise InputError(
                f"{path} line {number}: `{name}` is missing or empty. A row needs the original "
                "prompt as `source` and the improved one as `prompt`."
            )
    for name in _NESTED:
        if isinstance(known.get(name), str):  # CSV and TSV hold such values as JSON
            try:
                known[name] = json.loads(known[name])
            except ValueError as error:
                raise InputError(f"{path} line {number}: `{name}` is not JSON: {error}") from error
    if isinstance(known.get("settings"), Mapping):
        # The row may be of an older version.
        known["settings"] = upgraded_settings(known["settings"])
    try:
        known["dropped"] = tuple(Dropped(**item) for item in known.get("dropped", ()))
        numbers = {name: int(known.get(name, 0)) for name in ("seed", "clip_tokens")}
    except (TypeError, ValueError) as error:
        raise InputError(f"{path} line {number} is not an improvement: {error}") from error
    if "clip_tokens" not in known:
        numbers["clip_tokens"] = clip_tokens(known["prompt"])
    defaults = {"mode": "given", "model": "unknown"}
    texts = {name: tuple(known.get(name, ())) for name in ("additions", "notes")}
    return Improvement(**{**defaults, **known, **numbers, **texts, "variant": variant})


def clip_tokens(prompt: str) -> int:
    """CLIP tokens of a prompt's longest part."""
    return max(count_parts(parts_of(parse(prompt))), default=0)
