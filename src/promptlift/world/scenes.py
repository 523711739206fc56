"""What can be in a picture of the pocket world, and how often: scenes drawn by seed.

The world is frozen: models are trained on it and measured with it, so nothing here, in `render`
or in `captions` may change without a new `VERSION` and new models. docs/world.md writes it down.
"""

from dataclasses import dataclass

import numpy as np

VERSION = "world-1"
SIZE = 64  # pixels a side

# First seeds of scenes, ten million for each use: what is measured was never learned.
TRAINING = 0  # what the picture models, CLIP and the oracle learn
HELD_OUT = 10_000_000  # renders on which those are measured
PROMPTS = 20_000_000  # prompts on which whole chains are measured
PAIRS = 30_000_000  # pairs that rewriters learn
TEST_PAIRS = 40_000_000  # pairs on which rewriters are measured, and the prompts of experiments
RANGE = 10_000_000

SHAPES = (
    "circle", "square", "triangle", "star", "heart", "moon",
    "cross", "diamond", "ring", "arrow", "flower", "bolt",
)  # fmt: skip
COLOURS = {
    "red": (226, 44, 44),
    "orange": (255, 145, 20),
    "yellow": (250, 225, 40),
    "green": (30, 160, 60),
    "blue": (40, 80, 230),
    "purple": (140, 50, 190),
    "pink": (250, 130, 190),
    "white": (252, 252, 252),
}
BACKGROUNDS = ("plain", "night sky", "sunset", "meadow", "sea", "brick wall")
STYLES = ("flat", "outline", "neon", "watercolour", "pixel")
SIZES = {"small": 10.0, "medium": 13.5, "large": 17.5}  # radius in pixels
POSITIONS = {
    "centre": (32.0, 32.0),
    "left": (18.0, 32.0),
    "right": (46.0, 32.0),
    "top": (32.0, 18.0),
    "bottom": (32.0, 46.0),
}
FAULTS = ("clean", "blurred", "noisy", "cropped", "badly lit")

_SHARE_OF_FAULTS = (0.46, 0.16, 0.14, 0.11, 0.13)
_SHARE_OF_STYLES = (0.36, 0.16, 0.16, 0.16, 0.16)
_SHARE_OF_SIZES = (0.25, 0.5, 0.25)
_SHARE_OF_POSITIONS = (0.6, 0.1, 0.1, 0.1, 0.1)
_PAIRS = 0.25  # share of scenes with two different things
_TWO, _THREE = 0.15, 0.12  # shares of two and three alike among the others


@dataclass(frozen=True, kw_only=True)
class Thing:
    """A shape somewhere in a picture.

    Attributes:
        shape: of `SHAPES`.
        colour: of `COLOURS`.
        x, y: centre, in pixels from the upper left corner.
        radius: in pixels.
        turn: in degrees.
    """

    shape: str
    colour: str
    x: float
    y: float
    radius: float
    turn: float


@dataclass(frozen=True, kw_only=True)
class Scene:
    """What a picture shows.

    Attributes:
        things: one to three alike, or two that differ in shape and colour.
        size: of `SIZES`, of all things.
        position: of `POSITIONS`; None where there are several things.
        relation: how the first of two different things stands to the second: "left of", "right
            of", "above" or "below".
        background: of `BACKGROUNDS`.
        style: of `STYLES`.
        fault: what is wrong with the picture, of `FAULTS`.
        strength: how much, from 0.35 to 1; of a clean picture 0.
        texture: seed of everything that is random in the drawing.
    """

    things: tuple[Thing, ...]
    size: str
    position: str | None
    relation: str | None
    background: str
    style: str
    fault: str
    strength: float
    texture: int


def draw_scene(seed: int) -> Scene:
    """The scene of a seed, 0 or more: every seed has one, and always the same."""
    rng = np.random.default_rng((1, seed))
    background = _choose(rng, BACKGROUNDS)
    style = _choose(rng, STYLES, _SHARE_OF_STYLES)
    size = _choose(rng, tuple(SIZES), _SHARE_OF_SIZES)
    fault = _choose(rng, FAULTS, _SHARE_OF_FAULTS)
    shape, other = (SHAPES[i] for i in rng.choice(len(SHAPES), 2, replace=False))
    colour, second = (tuple(COLOURS)[i] for i in rng.choice(len(COLOURS), 2, replace=False))
    position = relation = None
    kind = rng.random()
    looks = [(shape, colour)]
    if kind < _PAIRS:
        relation = _choose(rng, ("left of", "right of", "above", "below"))
        looks.append((other, second))
        places = _beside(relation)
    elif kind < _PAIRS + (1 - _PAIRS) * _TWO:
        looks *= 2
        places = [(19.0, 32.0), (45.0, 32.0)]
    elif kind < _PAIRS + (1 - _PAIRS) * (_TWO + _THREE):
        looks *= 3
        places = [(32.0, 18.0), (17.0, 45.0), (47.0, 45.0)]
    else:
        position = _choose(rng, tuple(POSITIONS), _SHARE_OF_POSITIONS)
        places = [POSITIONS[position]]
    scale = 1.0 if len(looks) == 1 else 0.75
    things = tuple(
        Thing(
            shape=shape,
            colour=colour,
            x=x + float(rng.uniform(-3, 3)),
            y=y + float(rng.uniform(-3, 3)),
            radius=SIZES[size] * scale * float(rng.uniform(0.93, 1.07)),
            turn=float(rng.uniform(-10, 10)),
        )
        for (shape, colour), (x, y) in zip(looks, places, strict=True)
    )
    return Scene(
        things=things,
        size=size,
        position=position,
        relation=relation,
        background=background,
        style=style,
        fault=fault,
        strength=0.0 if fault == "clean" else float(rng.uniform(0.35, 1.0)),
        texture=int(rng.integers(2**31)),
    )


def _beside(relation: str) -> list[tuple[float, float]]:
    near, far = 19.0, 45.0
    return {
        "left of": [(near, 32.0), (far, 32.0)],
        "right of": [(far, 32.0), (near, 32.0)],
        "above": [(32.0, near), (32.0, far)],
        "below": [(32.0, far), (32.0, near)],
    }[relation]


def _choose(
    rng: np.random.Generator, values: tuple[str, ...], shares: tuple[float, ...] | None = None
) -> str:
    return values[int(rng.choice(len(values), p=shares))]
