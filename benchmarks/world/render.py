"""Pictures of scenes: 64 by 64 pixels, RGB, the same for the same scene.

Shapes are drawn as masks at three times the size with Pillow; style, background and faults are
composed at 64 pixels. Another version of Pillow may differ in the last grey level of an edge.
"""

import math

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from promptlift.world.scenes import COLOURS, SIZE, Scene, Thing

Floats = npt.NDArray[np.float32]
_SCALE = 3
_BLOCK = 3  # pixels a side of a block of the pixel style
_PAPER = np.array([247, 243, 232], np.float32)


def render(scene: Scene) -> npt.NDArray[np.uint8]:
    """The picture of a scene, shape (64, 64, 3)."""
    rng = np.random.default_rng((2, scene.texture))
    picture = _background(scene.background, rng)
    if scene.style == "neon":
        picture = picture * 0.3
    elif scene.style == "watercolour":
        picture = picture * 0.55 + _PAPER * 0.45
    elif scene.style == "pixel":
        picture = _blocks(picture)
    for thing in scene.things:
        picture = _put(picture, thing, scene.style, rng)
    picture = _spoil(np.clip(picture, 0, 255), scene, rng)
    levels: npt.NDArray[np.uint8] = np.clip(picture.round(), 0, 255).astype(np.uint8)
    return levels


def _background(name: str, rng: np.random.Generator) -> Floats:
    rows = np.linspace(0, 1, SIZE, dtype=np.float32)[:, None, None]
    picture = np.empty((SIZE, SIZE, 3), np.float32)
    if name == "plain":
        picture[:] = 190 + rng.uniform(-15, 15)
    elif name == "night sky":
        picture[:] = np.array([14, 18, 52], np.float32) + rows * np.array([12, 14, 30], np.float32)
        for x, y in rng.integers(0, SIZE, (18, 2)):
            picture[y, x] = rng.uniform(150, 255)
    elif name == "sunset":
        top, low = np.array([92, 60, 120], np.float32), np.array([240, 160, 110], np.float32)
        picture[:] = top + rows * (low - top)
    elif name == "meadow":
        picture[:] = np.array([175, 205, 225], np.float32)
        ground = int(rng.integers(36, 44))
        picture[ground:] = np.array([112, 134, 72], np.float32)
        picture[ground:] += rng.normal(0, 7, (SIZE - ground, SIZE, 1)).astype(np.float32)
    elif name == "sea":
        picture[:] = np.array([200, 215, 220], np.float32)
        water = int(rng.integers(30, 38))
        waves = 12 * np.sin(np.arange(SIZE) / 3 + np.arange(water, SIZE)[:, None] * 1.3)
        picture[water:] = np.array([62, 128, 142], np.float32)
        picture[water:] += waves[..., None].astype(np.float32)
    else:
        picture[:] = np.array([134, 92, 76], np.float32)
        picture[::8] = 96
        for row in range(8):
            picture[row * 8 : row * 8 + 8, (row % 2) * 8 :: 16] = 96
    return picture


def _put(picture: Floats, thing: Thing, style: str, rng: np.random.Generator) -> Floats:
    """A picture with a thing drawn onto it in a style."""
    colour = np.array(COLOURS[thing.colour], np.float32)
    if style == "flat":
        return _over(picture, colour, _fill(thing))
    if style == "pixel":
        mask = _blocks(_array(_fill(thing).reduce(_SCALE))[..., None])
        return np.where(mask > 0.45, colour, picture)
    if style == "outline":
        return _over(picture, colour, _stroke(thing, 2.6))
    if style == "neon":
        glow = _stroke(thing, 2.4).reduce(_SCALE).filter(ImageFilter.GaussianBlur(2.2))
        light = _array(glow)[..., None] * 1.5
        return _over(picture + colour * light, colour * 0.45 + 140, _stroke(thing, 1.5))
    fill = _array(_fill(thing).reduce(_SCALE).filter(ImageFilter.GaussianBlur(0.7)))
    edge = _array(_stroke(thing, 1.2).reduce(_SCALE).filter(ImageFilter.GaussianBlur(0.8)))
    wash = fill * (0.62 + 0.38 * _cloud(rng))
    picture = picture + (colour - picture) * np.clip(wash, 0, 1)[..., None]
    return picture * (1 - 0.3 * edge * (fill > 0.1))[..., None]


def _over(picture: Floats, colour: Floats, mask: Image.Image) -> Floats:
    return picture + (colour - picture) * _array(mask.reduce(_SCALE))[..., None]


def _spoil(picture: Floats, scene: Scene, rng: np.random.Generator) -> Floats:
    """A picture with the fault of its scene."""
    strength = scene.strength
    if scene.fault == "blurred":
        return _filtered(picture, ImageFilter.GaussianBlur(0.6 + 1.8 * strength))
    if scene.fault == "noisy":
        noise = rng.normal(0, 12 + 38 * strength, picture.shape)
        return np.clip(picture + noise, 0, 255).astype(np.float32)
    if scene.fault == "cropped":
        side = round(SIZE / (1.3 + 0.7 * strength))
        # One thing stands across the edge of what is left.
        thing = scene.things[0]
        x, y = (
            min(max(round(middle - side * rng.choice((0.1, 0.5, 0.9))), 0), SIZE - side)
            for middle in (thing.x, thing.y)
        )
        part = Image.fromarray(picture.astype(np.uint8)).crop((x, y, x + side, y + side))
        return np.asarray(part.resize((SIZE, SIZE), Image.Resampling.BICUBIC), np.float32)
    if scene.fault == "badly lit":
        towards = 0 if rng.random() < 0.5 else 250
        picture = towards + (picture - towards) * np.float32(0.6 - 0.3 * strength)
    return picture


def _fill(thing: Thing) -> Image.Image:
    mask = Image.new("L", (SIZE * _SCALE,) * 2)
    draw = ImageDraw.Draw(mask)
    outer, inner = _outlines(thing)
    draw.polygon(outer, fill=255)
    if inner:
        draw.polygon(inner, fill=0)
    return mask


def _stroke(thing: Thing, width: float) -> Image.Image:
    mask = Image.new("L", (SIZE * _SCALE,) * 2)
    draw = ImageDraw.Draw(mask)
    for outline in _outlines(thing):
        if outline:
            draw.line([*outline, *outline[:2]], 255, round(width * _SCALE), joint="curve")
    return mask


def _outlines(thing: Thing) -> tuple[list[tuple[float, float]], list[tuple[float, float]]]:
    """Corner points of a thing and of the hole in it, at three times the size."""
    outer, inner = _FORMS[thing.shape]
    cos, sin = (f(math.radians(thing.turn)) * thing.radius * _SCALE for f in (math.cos, math.sin))
    x, y = thing.x * _SCALE, thing.y * _SCALE
    return (
        [(x + cos * a - sin * b, y + sin * a + cos * b) for a, b in outer],
        [(x + cos * a - sin * b, y + sin * a + cos * b) for a, b in inner],
    )


def _circle(radius: float, count: int = 40) -> list[tuple[float, float]]:
    return [
        (radius * math.cos(2 * math.pi * i / count), radius * math.sin(2 * math.pi * i / count))
        for i in range(count)
    ]


def _moon() -> list[tuple[float, float]]:
    """The outer arc of a circle and, back along it, the arc of another one to its right."""
    angles = [math.radians(a) for a in range(50, 311, 10)]
    outer = [(math.cos(a), math.sin(a)) for a in angles]
    hollow = [(0.62 + 0.77 * (math.cos(a) * 0.97), 0.77 * math.sin(a)) for a in angles]
    return outer + [(min(x, 0.62), y) for x, y in reversed(hollow)]


def _heart() -> list[tuple[float, float]]:
    turns = [2 * math.pi * i / 40 for i in range(40)]
    return [
        (
            16 * math.sin(t) ** 3 / 16,
            -(13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)) / 16,
        )
        for t in turns
    ]


def _star() -> list[tuple[float, float]]:
    return [
        ((1.1 if i % 2 == 0 else 0.45) * math.sin(math.pi * i / 5),
         -(1.1 if i % 2 == 0 else 0.45) * math.cos(math.pi * i / 5))
        for i in range(10)
    ]  # fmt: skip


def _flower() -> list[tuple[float, float]]:
    turns = [2 * math.pi * i / 60 for i in range(60)]
    petals = [0.68 + 0.37 * math.cos(6 * t) for t in turns]
    return [(r * math.cos(t), r * math.sin(t)) for r, t in zip(petals, turns, strict=True)]


# Corner points around the middle, in radii, y downwards; of the shape, then of the hole in it.
_FORMS: dict[str, tuple[list[tuple[float, float]], list[tuple[float, float]]]] = {
    "circle": (_circle(0.95), []),
    "square": ([(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)], []),
    "triangle": ([(0, -1.05), (1.05, 0.8), (-1.05, 0.8)], []),
    "star": (_star(), []),
    "heart": (_heart(), []),
    "moon": (_moon(), []),
    "cross": (
        [(-0.33, -1), (0.33, -1), (0.33, -0.33), (1, -0.33), (1, 0.33), (0.33, 0.33),
         (0.33, 1), (-0.33, 1), (-0.33, 0.33), (-1, 0.33), (-1, -0.33), (-0.33, -0.33)],
        [],
    ),
    "diamond": ([(0, -1.15), (0.7, 0), (0, 1.15), (-0.7, 0)], []),
    "ring": (_circle(1.0), _circle(0.52)),
    "arrow": (
        [(-1.1, -0.3), (0.1, -0.3), (0.1, -0.85), (1.15, 0), (0.1, 0.85), (0.1, 0.3), (-1.1, 0.3)],
        [],
    ),
    "flower": (_flower(), []),
    "bolt": (
        [(0.25, -1.15), (-0.75, 0.2), (-0.05, 0.2), (-0.3, 1.15), (0.75, -0.3), (0.05, -0.3),
         (0.55, -1.15)],
        [],
    ),
}  # fmt: skip


def _array(mask: Image.Image) -> Floats:
    levels: Floats = np.asarray(mask, np.float32) / np.float32(255)
    return levels


def _filtered(picture: Floats, kernel: ImageFilter.GaussianBlur) -> Floats:
    return np.asarray(Image.fromarray(picture.astype(np.uint8)).filter(kernel), np.float32)


def _blocks(picture: Floats) -> Floats:
    """Each block of pixels in its mean colour."""
    count = -(-SIZE // _BLOCK)
    rest = count * _BLOCK - SIZE
    padded = np.pad(picture, ((0, rest), (0, rest), (0, 0)), mode="edge")
    means: Floats = padded.reshape(count, _BLOCK, count, _BLOCK, -1).mean((1, 3))
    return means.repeat(_BLOCK, 0).repeat(_BLOCK, 1)[:SIZE, :SIZE]


def _cloud(rng: np.random.Generator) -> Floats:
    """Smooth noise from 0 to 1."""
    grid = Image.fromarray((rng.random((9, 9)) * 255).astype(np.uint8))
    return _array(grid.resize((SIZE, SIZE), Image.Resampling.BICUBIC))
