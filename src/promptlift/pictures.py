"""The pictures of a run: their index, written and read here, and pairs of them."""

import json
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from promptlift.errors import InputError
from promptlift.tables import Fault, Row, read_rows, write_rows

Prompt = TypeVar("Prompt", bound=Hashable)
ORIGINAL, IMPROVED = SIDES = ("original", "improved")
INDEX = "index.parquet"
COLUMNS = (
    "prompt_index", "seed", "side", "variant", "file", "sha256", "width", "height", "prompt",
    "source", "negative", "settings", "model", "seconds", "cut_tokens",
)  # fmt: skip
_NEEDED = ("prompt_index", "seed", "side", "variant", "file", "sha256", "prompt", "source")


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture of a run: a row of the index.

    Attributes:
        prompt_index: position of its prompt among those drawn.
        seed: of its noise, which the pictures of a pair share.
        side: "original" or "improved".
        variant: which improvement of the prompt, from 0; 0 for the original.
        path: its file.
        sha256: of the file's bytes, in hex.
        prompt: what was drawn.
        source: the original prompt.
        negative: the negative prompt, or None.
        width, height: in pixels; None where the index does not say.
        settings: how it was drawn.
        model: name and SHA-256 of the base model, and of a refiner after it.
        seconds: its share of the time that its batch took; None where that is not known.
        cut_tokens: how many tokens of the prompt were cut; None where that is not known.
    """

    prompt_index: int
    seed: int
    side: str
    variant: int
    path: Path
    sha256: str
    prompt: str
    source: str
    negative: str | None = None
    width: int | None = None
    height: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    model: Sequence[Mapping[str, str]] = field(default=(), hash=False)
    seconds: float | None = None
    cut_tokens: int | None = None

    @property
    def file(self) -> str:
        """Name of its file."""
        return self.path.name

    @property
    def key(self) -> tuple[int, int, bool, int]:
        """What no other picture of the run has: prompt, seed, side and variant, in this order."""
        return self.prompt_index, self.seed, self.side == IMPROVED, self.variant

    @property
    def model_name(self) -> str:
        """Name of the base model; "" where the index does not say."""
        return str(self.model[0].get("name", "")) if self.model else ""

    def to_row(self) -> dict[str, Any]:
        """Its row of the index, by column."""
        values = {name: getattr(self, name) for name in COLUMNS}
        return {
            **values,
            "variant": self.variant if self.side == IMPROVED else None,
            "settings": json.dumps(self.settings),
            "model": json.dumps(self.model),
        }


def id_of(part: Mapping[str, str]) -> str:
    """`NAME@HASH` of a part of a picture model; its name alone where a server told no hash."""
    digest = part["sha256"][:12]
    return f"{part['name']}@{digest}" if digest else part["name"]


@dataclass(frozen=True)
class PicturePair:
    """An original and an improved picture of one prompt, from the same noise."""

    original: Picture
    improved: Picture


def write_index(folder: Path, pictures: Iterable[Picture]) -> None:
    """Write `folder/index.parquet`, atomically and in bounded memory."""
    write_rows(folder / INDEX, (picture.to_row() for picture in pictures), COLUMNS)


def read_index(folder: Path) -> list[Picture]:
    """The pictures that `folder/index.parquet` lists, by prompt, seed, side and variant.

    Raises:
        InputError: there is no index, or a row of it cannot be used.
    """
    path = folder / INDEX
    pictures = {}
    for one in stream_index(folder):
        if one.key in pictures:
            raise InputError(
                f"{path} lists two {one.side} pictures of prompt {one.prompt_index}, seed "
                f"{one.seed}. Draw into a new run folder."
            )
        pictures[one.key] = one
    if not pictures:
        raise InputError(f"{path} lists no picture. Draw some: promptlift illustrate RUN")
    return [pictures[key] for key in sorted(pictures)]


def stream_index(folder: Path) -> Iterator[Picture]:
    """The pictures that `folder/index.parquet` lists, in its order, in bounded memory.

    Raises:
        InputError: as `read_index`.
    """
    path = folder / INDEX
    if not path.is_file():
        raise InputError(
            f"{path} does not exist: no pictures were drawn yet, or drawing has not finished. "
            "Draw them first: promptlift illustrate RUN"
        )
    for row in read_rows(path):
        yield _picture(path, row)


def by_noise(
    pictures: Iterable[Picture], prompt: Callable[[Picture], Prompt]
) -> dict[tuple[Prompt, int], list[Picture]]:
    """Pictures by prompt and seed: those of one prompt that were drawn from the same noise.

    Args:
        pictures: of one run or several.
        prompt: what tells prompts apart; each run has indices of its own.
    """
    found: dict[tuple[Prompt, int], list[Picture]] = {}
    for one in pictures:
        found.setdefault((prompt(one), one.seed), []).append(one)
    return found


def pair_up(pictures: Iterable[Picture]) -> list[PicturePair]:
    """Each improved picture with the original one of its prompt and seed, where there is one."""
    return [
        PicturePair(original, improved)
        for same in by_noise(pictures, lambda one: one.prompt_index).values()
        for original in same
        if original.side == ORIGINAL
        for improved in same
        if improved.side == IMPROVED
    ]


def _picture(path: Path, row: Row | Fault) -> Picture:
    place = f"{path} row {row.number}"
    if isinstance(row, Fault):
        raise InputError(f"{place}: {row.message}")
    values: Any = row.value
    if absent := [name for name in _NEEDED if name not in values]:
        raise InputError(
            f"{path} lacks the column {absent[0]!r}: it is not an index of promptlift illustrate."
        )
    for name in ("file", "sha256", "prompt", "source"):
        if not isinstance(values[name], str):
            raise InputError(f"{place}: `{name}` is {values[name]!r} and must be text")
    if values["side"] not in SIDES:
        raise InputError(f"{place}: `side` is {values['side']!r} and must be original or improved")
    if values["prompt_index"] is None or values["seed"] is None:
        raise InputError(f"{place}: `prompt_index` or `seed` is empty")
    found = {name: values[name] for name in COLUMNS if values.get(name) is not None}
    found["variant"] = found.get("variant", 0) if found["side"] == IMPROVED else 0
    for name, kind in (("settings", dict), ("model", list)):
        if name in found:
            found[name] = _unpacked(found[name])
            if not isinstance(found[name], kind):
                raise InputError(f"{place}: `{name}` is {values[name]!r}, not what was written")
    return Picture(path=path.parent / found.pop("file"), **found)


def _unpacked(text: str) -> Any:
    """A column of JSON, None where it is none."""
    try:
        return json.loads(text)
    except (ValueError, TypeError):
        return None
