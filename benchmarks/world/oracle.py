"""The oracle reads a picture back: which things it shows, where, in which style, how clean.

A small network that learned on renders, nothing else. docs/world.md has its accuracy on renders
that it never saw. It knows no other pictures, and of others its readings mean nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from benchmarks.world.learning import Schedule, learn
from benchmarks.world.wanted import Wanted
from promptlift.errors import ModelError
from promptlift.files import atomic_path
from promptlift.world.scenes import BACKGROUNDS, COLOURS, FAULTS, SHAPES, SIZE, STYLES, Scene

SCHEDULE = Schedule(steps=3000, batch_size=64, learning_rate=2e-3, seed=3)
_FILE = "oracle.safetensors"
_COLOURS = tuple(COLOURS)
_PARTS_OF_THING = [1, 3, len(_COLOURS), 2, 1]  # presence, number, colour, centre, radius
_PARTS_OF_WHOLE = [len(BACKGROUNDS), len(STYLES), len(FAULTS)]
_WHOLE = sum(_PARTS_OF_WHOLE)
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
            nn.Linear(128 + _PLACES, 128), nn.SiLU(), nn.Linear(128, sum(_PARTS_OF_THING) - 1)
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
    def read(self, pictures: npt.NDArray[np.uint8], batch_size: int = 64) -> list[Reading]:
        """What pictures show; pictures of shape (n, 64, 64, 3)."""
        found: list[Reading] = []
        for first in range(0, len(pictures), batch_size):
            part = torch.from_numpy(np.ascontiguousarray(pictures[first : first + batch_size]))
            things, whole = self(part)
            found += [_reading(*pair) for pair in zip(things, whole, strict=True)]
        return found


def _reading(things: Tensor, whole: Tensor) -> Reading:
    background, style, fault = torch.split(whole, _PARTS_OF_WHOLE)
    presence, number, colour, centre, radius = torch.split(things, _PARTS_OF_THING, -1)
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


def targets_of(scenes: Sequence[Scene]) -> dict[str, Tensor]:
    """What the oracle is to see in scenes.

    Returns:
        presence (n, shapes); number, colour (n, shapes); centre (n, shapes, 2) and radius
        (n, shapes), as shares of the picture and of a quarter of it; background, style, fault
        (n); whole (n): whether the things are all in the picture.
    """
    shapes, count = len(SHAPES), len(scenes)
    presence = torch.zeros(count, shapes)
    number, colour = (torch.zeros(count, shapes, dtype=torch.long) for _ in range(2))
    centre, radius = torch.zeros(count, shapes, 2), torch.zeros(count, shapes)
    for row, scene in enumerate(scenes):
        for shape in {thing.shape for thing in scene.things}:
            alike = [thing for thing in scene.things if thing.shape == shape]
            at = SHAPES.index(shape)
            presence[row, at] = 1
            number[row, at] = len(alike) - 1
            colour[row, at] = _COLOURS.index(alike[0].colour)
            centre[row, at, 0] = float(np.mean([thing.x for thing in alike])) / SIZE
            centre[row, at, 1] = float(np.mean([thing.y for thing in alike])) / SIZE
            scale = 1.0 if len(scene.things) == 1 else 0.75
            radius[row, at] = alike[0].radius / scale * 4 / SIZE
    return {
        "presence": presence,
        "number": number,
        "colour": colour,
        "centre": centre,
        "radius": radius,
        "background": torch.tensor([BACKGROUNDS.index(scene.background) for scene in scenes]),
        "style": torch.tensor([STYLES.index(scene.style) for scene in scenes]),
        "fault": torch.tensor([FAULTS.index(scene.fault) for scene in scenes]),
        "whole": torch.tensor([float(scene.fault != "cropped") for scene in scenes]),
    }


def oracle_loss(oracle: Oracle, pictures: Tensor, targets: dict[str, Tensor]) -> Tensor:
    """Cross-entropies and squared errors; number, centre and radius only where all is visible."""
    things, whole = oracle(pictures)
    background, style, fault = torch.split(whole.float(), _PARTS_OF_WHOLE, -1)
    presence, number, colour, centre, radius = torch.split(things.float(), _PARTS_OF_THING, -1)
    there = targets["presence"]
    visible = there * targets["whole"][:, None]

    def among(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        losses = functional.cross_entropy(
            logits.flatten(0, 1), target.flatten(), reduction="none"
        ).view_as(weight)
        return (losses * weight).sum() / weight.sum().clamp(min=1)

    def near(found: Tensor, target: Tensor) -> Tensor:
        return (((found - target) ** 2) * visible[..., None]).sum() / visible.sum().clamp(min=1)

    total = (
        len(SHAPES) / 2 * functional.binary_cross_entropy_with_logits(presence[..., 0], there)
        + among(number, targets["number"], visible)
        + among(colour, targets["colour"], there)
        + 20 * near(centre, targets["centre"])
        + 5 * near(radius, targets["radius"][..., None])
        + functional.cross_entropy(background, targets["background"])
        + functional.cross_entropy(style, targets["style"])
        + functional.cross_entropy(fault, targets["fault"])
    )
    return total


def train_oracle(
    pictures: npt.NDArray[np.uint8],
    scenes: Sequence[Scene],
    checkpoint: Path,
    report: Callable[[str], None],
    schedule: Schedule,
) -> Oracle:
    """Train on renders (n, 64, 64, 3) of scenes."""
    torch.manual_seed(schedule.seed)
    oracle = Oracle()
    targets = targets_of(scenes)

    def loss_of(rng: np.random.Generator) -> Tensor:
        at = np.sort(rng.integers(0, len(pictures), schedule.batch_size))
        wanted = {name: values[at] for name, values in targets.items()}
        return oracle_loss(oracle, torch.from_numpy(pictures[at]), wanted)

    learn(oracle, loss_of, schedule, checkpoint, report)
    return oracle


def save_oracle(oracle: Oracle, folder: Path) -> None:
    """Save in half precision, as `oracle.safetensors`."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: value.half().contiguous() for name, value in oracle.state_dict().items()}
    with atomic_path(folder / _FILE) as temporary:
        save_file(weights, temporary)


def load_oracle(folder: Path) -> Oracle:
    """The oracle that `save_oracle` saved.

    Raises:
        ModelError: there is none, or its file is damaged.
    """
    oracle = Oracle()
    try:
        oracle.load_state_dict(load_file(folder / _FILE))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise ModelError(f"{folder / _FILE} cannot be loaded as the oracle: {error}") from error
    oracle.eval()
    return oracle
