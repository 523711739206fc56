"""The oracle reads a picture back: which things it shows, where, in which style, how clean.

A small network that learned on renders, nothing else. docs/world.md has its accuracy on renders
that it never saw. It knows no other pictures, and of others its readings mean nothing.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from promptlift.errors import ModelError
from promptlift.world.scenes import BACKGROUNDS, COLOURS, FAULTS, SHAPES, SIZE, STYLES
from promptlift.world.wanted import Wanted

FILE = "oracle.safetensors"
_COLOURS = tuple(COLOURS)
PARTS_OF_THING = [1, 3, len(_COLOURS), 2, 1]  # presence, number, colour, centre, radius
PARTS_OF_WHOLE = [len(BACKGROUNDS), len(STYLES), len(FAULTS)]
_WHOLE = sum(PARTS_OF_WHOLE)
LOGITS = len(SHAPES) * sum(PARTS_OF_THING) + _WHOLE  # of a picture
_PLACES = 64  # of the 8 by 8 places of a map
_SIZE_EDGES = (11.75, 15.5)  # pixels between small, medium and large
_OFF_CENTRE = 7.0  # pixels between the centre and the other positions


@dataclass(frozen=True, kw_only=True)
class Found:
    """A kind of thing that the oracle sees.

    Attributes:
        shape, colour, number: what it is.
        x, y: middle, in pixels.
        size: "small", "medium" or "large".
    """

    shape: str
    colour: str
    number: int
    x: float
    y: float
    size: str


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What the oracle sees in a picture.

    Attributes:
        things: what is there, the surest first.
        background, style, fault: of `scenes`.
        clean: probability that the picture has no fault.
    """

    things: tuple[Found, ...]
    background: str
    style: str
    fault: str
    clean: float


class Oracle(nn.Module):
    """Pictures, uint8 of shape (n, 64, 64, 3), to the logits that `read` understands.

    Each shape has a map of 8 by 8 places that says where it is; what it looks like is read off
    the features there, and how many there are and where off the map. A shape is thus known
    wherever it stands.
    """

    def __init__(self) -> None:
        super().__init__()

        def block(channels: int, out: int, kernel: int, stride: int) -> list[nn.Module]:
            return [
                nn.Conv2d(channels, out, kernel, stride, kernel // 2),
                nn.GroupNorm(8, out),
                nn.SiLU(),
            ]

        self.body = nn.Sequential(
            *block(3, 32, 5, 2), *block(32, 64, 3, 1), *block(64, 96, 3, 2),
            *block(96, 96, 3, 1), *block(96, 128, 3, 2), *block(128, 128, 3, 1),
        )  # fmt: skip
        self.places = nn.Conv2d(128, len(SHAPES), 1)
        self.looks = nn.Sequential(
            nn.Linear(128 + _PLACES, 128), nn.SiLU(), nn.Linear(128, sum(PARTS_OF_THING) - 1)
        )
        self.whole = nn.Sequential(nn.Linear(256, 128), nn.SiLU(), nn.Linear(128, _WHOLE))

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of things, (n, shapes, 15), and of the whole picture, (n, 16)."""
        levels = pictures.permute(0, 3, 1, 2).float() / 127.5 - 1
        features = self.body(levels.contiguous(memory_format=torch.channels_last))
        maps = self.places(features).flatten(2)
        features = features.flatten(2)
        presence = maps.logsumexp(-1, keepdim=True)
        there = maps.softmax(-1)
        seen = torch.cat([there @ features.mT, there * _PLACES / 4], -1)
        whole = torch.cat([features.mean(-1), features.amax(-1)], -1)
        return torch.cat([presence, self.looks(seen)], -1), self.whole(whole)

    @torch.no_grad()
    def look(self, pictures: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """All logits of pictures (n, 64, 64, 3), those of the things first, [n, LOGITS]."""
        things, whole = self(torch.from_numpy(np.ascontiguousarray(pictures)))
        found: npt.NDArray[np.float32] = torch.cat([things.flatten(1), whole], -1).numpy()
        return found

    def read(self, pictures: npt.NDArray[np.uint8], batch_size: int = 64) -> list[Reading]:
        """What pictures show; pictures of shape (n, 64, 64, 3)."""
        return [
            reading
            for first in range(0, len(pictures), batch_size)
            for reading in readings(self.look(pictures[first : first + batch_size]))
        ]


def readings(seen: npt.NDArray[np.float32]) -> list[Reading]:
    """What pictures show, of the logits that `Oracle.look` gives, [n, LOGITS]."""
    logits = torch.tensor(seen)
    things = logits[:, :-_WHOLE].reshape(len(seen), len(SHAPES), -1)
    return [_reading(*pair) for pair in zip(things, logits[:, -_WHOLE:], strict=True)]


def _reading(things: Tensor, whole: Tensor) -> Reading:
    background, style, fault = torch.split(whole, PARTS_OF_WHOLE)
    presence, number, colour, centre, radius = torch.split(things, PARTS_OF_THING, -1)
    order = [int(i) for i in presence[:, 0].argsort(descending=True)]
    kept = [i for place, i in enumerate(order[:2]) if place == 0 or presence[i, 0] > 0]
    return Reading(
        things=tuple(
            Found(
                shape=SHAPES[i],
                colour=_COLOURS[int(colour[i].argmax())],
                number=int(number[i].argmax()) + 1,
                x=float(centre[i, 0]) * SIZE,
                y=float(centre[i, 1]) * SIZE,
                size=_size_of(float(radius[i, 0]) * SIZE / 4),
            )
            for i in kept
        ),
        background=BACKGROUNDS[int(background.argmax())],
        style=STYLES[int(style.argmax())],
        fault=FAULTS[int(fault.argmax())],
        clean=float(fault.softmax(-1)[0]),
    )


def _size_of(radius: float) -> str:
    small, large = _SIZE_EDGES
    return "small" if radius < small else "large" if radius > large else "medium"


def judge(wanted: Wanted, reading: Reading) -> dict[str, bool]:
    """Whether a picture shows what was asked for, fact by fact; only what was asked for is there.

    Facts: shape, colour (of that shape), number, size, other_shape, other_colour, relation,
    position, background, style.
    """
    seen = {thing.shape: thing for thing in reading.things}
    thing = seen.get(wanted.shape or "")
    other = seen.get(wanted.other_shape or "")
    facts = {
        "shape": thing is not None,
        "colour": thing is not None and thing.colour == wanted.colour,
        "number": thing is not None and thing.number == wanted.number,
        "size": thing is not None and thing.size == wanted.size,
        "other_shape": other is not None,
        "other_colour": other is not None and other.colour == wanted.other_colour,
        "relation": thing is not None
        and other is not None
        and _stands(thing, other) == wanted.relation,
        "position": thing is not None and _position(thing) == wanted.position,
        "background": reading.background == wanted.background,
        "style": reading.style == wanted.style,
    }
    return {name: fact for name, fact in facts.items() if getattr(wanted, name) is not None}


def _stands(thing: Found, other: Found) -> str:
    across, down = thing.x - other.x, thing.y - other.y
    if abs(across) > abs(down):
        return "left of" if across < 0 else "right of"
    return "above" if down < 0 else "below"


def _position(thing: Found) -> str:
    across, down = thing.x - SIZE / 2, thing.y - SIZE / 2
    if max(abs(across), abs(down)) < _OFF_CENTRE:
        return "centre"
    if abs(across) > abs(down):
        return "left" if across < 0 else "right"
    return "top" if down < 0 else "bottom"


def score(facts: dict[str, bool], clean: float) -> float:
    """The oracle's score of a picture, from 0 to 1, higher is better.

    The share of what was asked for that the picture shows, of which half counts only as far as
    the picture is clean: a clean picture of something else is worth nothing, a faulty picture of
    the right thing a half.
    """
    shown = sum(facts.values()) / len(facts) if facts else 1.0
    return shown * (1 + clean) / 2


def load_oracle(folder: Path) -> Oracle:
    """The oracle that the benchmarks saved.

    Raises:
        ModelError: there is none, or its file is damaged.
    """
    oracle = Oracle()
    try:
        oracle.load_state_dict(load_file(folder / FILE))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ModelError(f"{folder / FILE} cannot be loaded as the oracle: {error}") from error
    oracle.eval()
    return oracle
