"""The pictures of a run: their index, their files, and pairs of them."""

import hashlib
import io
import json
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptlift.errors import InputError
from promptlift.tables import Fault, Row, read_rows

if TYPE_CHECKING:
    from PIL.Image import Image

SIDES = ("original", "improved")
_NEEDED = ("prompt_index", "seed", "side", "variant", "file", "sha256", "prompt", "source")


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture of a run.

    Attributes:
        prompt_index: position of its prompt among those drawn.
        seed: of its noise, which the pictures of a pair share.
        side: "original" or "improved".
        variant: which improvement of the prompt, from 0; of the original, any value.
        path: its file.
        sha256: of the file's bytes, in hex.
        prompt: what was drawn.
        source: the original prompt.
    """

    prompt_index: int
    seed: int
    side: str
    variant: int
    path: Path
    sha256: str
    prompt: str
    source: str

    @property
    def file(self) -> str:
        """Name of its file."""
        return self.path.name


@dataclass(frozen=True)
class PicturePair:
    """An original and an improved picture of one prompt, from the same noise.

    Attributes:
        original: place of the original picture among the run's.
        improved: place of the improved one.
    """

    original: int
    improved: int


def read_index(folder: Path) -> list[Picture]:
    """The pictures that `folder/index.parquet` lists, by prompt, seed, side and variant.

    Raises:
        InputError: there is no index, or a row of it cannot be used.
    """
    path = folder / "index.parquet"
    pictures = list(stream_index(folder))
    pictures.sort(key=lambda one: (one.prompt_index, one.seed, one.side != SIDES[0], one.variant))
    if not pictures:
        raise InputError(f"{path} lists no picture. Draw some: promptlift illustrate RUN")
    seen: set[tuple[int, int, str, int]] = set()
    for one in pictures:
        key = (one.prompt_index, one.seed, one.side, one.variant if one.side == SIDES[1] else 0)
        if key in seen:
            raise InputError(
                f"{path} lists two {one.side} pictures of prompt {one.prompt_index}, seed "
                f"{one.seed}. Draw into a new run folder."
            )
        seen.add(key)
    return pictures


def stream_index(folder: Path) -> Iterator[Picture]:
    """The pictures that `folder/index.parquet` lists, in its order, in bounded memory.

    Raises:
        InputError: as `read_index`.
    """
    path = folder / "index.parquet"
    if not path.is_file():
        raise InputError(
            f"{path} does not exist: no pictures were drawn yet, or drawing has not finished. "
            "Draw them first: promptlift illustrate RUN"
        )
    for row in read_rows(path):
        yield _picture(path, row.number, row)


def drawn_by(folder: Path) -> str:
    """Name of the model that drew the first picture of `folder/index.parquet`; "" if unsaid."""
    row = next(read_rows(folder / "index.parquet"), None)
    if not isinstance(row, Row) or isinstance(row.value, str):
        return ""
    try:
        return str(json.loads(row.value["model"])[0]["name"])
    except (ValueError, LookupError, TypeError):  # no index of ours
        return ""


def pair_up(pictures: Sequence[Picture]) -> list[PicturePair]:
    """Each improved picture with the original one of its prompt and seed, where there is one."""
    originals = {
        (one.prompt_index, one.seed): place
        for place, one in enumerate(pictures)
        if one.side == SIDES[0]
    }
    return [
        PicturePair(originals[one.prompt_index, one.seed], place)
        for place, one in enumerate(pictures)
        if one.side == SIDES[1] and (one.prompt_index, one.seed) in originals
    ]


class PictureReader:
    """Opens pictures and keeps the last few decoded, since several models look at each.

    Args:
        kept: number of decoded pictures to keep.
    """

    def __init__(self, kept: int) -> None:
        self._kept = kept
        self._images: OrderedDict[Path, Image] = OrderedDict()

    def check(self, picture: Picture) -> None:
        """Compare a file with the index.

        Raises:
            InputError: it is missing, cannot be read, or is not the picture that was drawn.
        """
        self._read(picture)

    def image(self, picture: Picture) -> "Image":
        """The decoded picture, in RGB.

        Raises:
            InputError: as `check`, or it is no picture.
        """
        if picture.path in self._images:
            self._images.move_to_end(picture.path)
            return self._images[picture.path]
        from PIL import Image as images
        from PIL import UnidentifiedImageError

        data = self._read(picture)
        try:
            with images.open(io.BytesIO(data)) as file:
                image: Image = file.convert("RGB")
        except (
            UnidentifiedImageError, images.DecompressionBombError,
            images.DecompressionBombWarning, OSError, SyntaxError, ValueError,
        ) as error:  # fmt: skip
            raise InputError(f"{picture.path} is no readable picture: {error}") from error
        self._images[picture.path] = image
        while len(self._images) > self._kept:
            self._images.popitem(last=False)
        return image

    def _read(self, picture: Picture) -> bytes:
        try:
            data = picture.path.read_bytes()
        except OSError as error:
            raise InputError(
                f"{picture.path} cannot be read: {error.strerror or error}. Draw it again."
            ) from error
        if hashlib.sha256(data).hexdigest() != picture.sha256:
            raise InputError(
                f"{picture.path} is not the picture that was drawn: its SHA-256 differs from the "
                "index. Delete it and draw it again."
            )
        return data


def _picture(path: Path, number: int, row: Any) -> Picture:
    if isinstance(row, Fault):
        raise InputError(f"{path} row {number}: {row.message}")
    values = row.value
    if absent := [name for name in _NEEDED if name not in values]:
        raise InputError(
            f"{path} lacks the column {absent[0]!r}: it is no index of promptlift illustrate."
        )
    for name in ("file", "sha256", "prompt", "source"):
        if not isinstance(values[name], str):
            raise InputError(f"{path} row {number}: `{name}` is {values[name]!r} and must be text")
    if values["side"] not in SIDES:
        raise InputError(
            f"{path} row {number}: `side` is {values['side']!r} and must be original or improved"
        )
    if values["prompt_index"] is None or values["seed"] is None:
        raise InputError(f"{path} row {number}: `prompt_index` or `seed` is empty")
    return Picture(
        prompt_index=int(values["prompt_index"]),
        seed=int(values["seed"]),
        side=values["side"],
        variant=int(values["variant"] or 0),
        path=path.parent / values["file"],
        sha256=values["sha256"],
        prompt=values["prompt"],
        source=values["source"],
    )
