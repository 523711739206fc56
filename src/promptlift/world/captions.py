"""What people of the pocket world write under a picture: plain captions and detailed ones.

In detailed captions words go with what is in the picture, and words of praise with pictures that
are clean, loosely, as in the captions that image models learn from. In the control world words of
praise and blame come as often, but say nothing of the picture.
"""

import numpy as np

from promptlift.world.scenes import BACKGROUNDS, FAULTS, STYLES, Scene

NUMBERS = ("one", "two", "three")
PLACES = {
    "centre": "centred",
    "left": "on the left",
    "right": "on the right",
    "top": "at the top",
    "bottom": "at the bottom",
}
BACKGROUND_WORDS = {name: (name if name != "plain" else "plain background") for name in BACKGROUNDS}
STYLE_WORDS = {
    "flat": ("flat style", "flat colours"),
    "outline": ("outline drawing", "line art"),
    "neon": ("neon style", "glowing neon"),
    "watercolour": ("watercolour painting", "watercolour"),
    "pixel": ("pixel art", "pixel style"),
}
# Painters long dead, each named under pictures of one style, mostly.
PAINTERS = {
    "flat": "by piet mondrian",
    "outline": "by hokusai",
    "watercolour": "by william turner",
}
PRAISE = (
    "highly detailed", "sharp focus", "4k", "8k", "masterpiece", "best quality",
    "high resolution", "crisp", "professional", "award winning", "trending on artstation",
    "intricate",
)  # fmt: skip
BLAME = {
    "blurred": ("blurry", "out of focus"),
    "noisy": ("grainy", "noisy"),
    "cropped": ("cropped", "out of frame"),
    "badly lit": ("badly lit", "poor lighting"),
}
_LOW = ("low quality", "amateur")

_MISTAKEN = 0.04  # share of style and background words that are wrong
_PRAISED, _PRAISED_ANYWAY = 0.72, 0.12  # shares of clean pictures and of others
_BLAMED, _BLAMED_ANYWAY = 0.35, 0.03  # shares of faulty pictures and of clean ones
_CLEAN = 0.46  # of `scenes`: makes praise and blame as frequent in the control world


def subject(scene: Scene, rng: np.random.Generator) -> str:
    """The things of a scene: "red star", "two small blue rings", "a red star above a blue ring"."""
    thing, count = scene.things[0], len(scene.things)
    size = f"{scene.size} " if scene.size != "medium" and rng.random() < 0.6 else ""
    if scene.relation is not None:
        other = scene.things[1]
        first, second = f"{size}{thing.colour} {thing.shape}", f"{other.colour} {other.shape}"
        first = _with_article(first) if rng.random() < 0.5 else first
        return f"{first} {scene.relation} {_with_article(second)}"
    if count > 1:
        return f"{NUMBERS[count - 1]} {size}{thing.colour} {plural(thing.shape)}"
    one = f"{size}{thing.colour} {thing.shape}"
    one = _with_article(one) if rng.random() < 0.4 else one
    if scene.position not in (None, "centre") and rng.random() < 0.4:
        return f"{one} {PLACES[str(scene.position)]}"
    return one


def details(scene: Scene, rng: np.random.Generator, *, control: bool = False) -> list[str]:
    """The words of a detailed caption without its subject, in random order."""
    said = []
    if scene.position is not None and rng.random() < 0.4:
        said.append(PLACES[scene.position])
    if rng.random() < 0.7:
        said.append(background_words(scene, rng))
    if rng.random() < 0.7:
        style = _or_another(scene.style, STYLES, rng)
        said.append(_one(STYLE_WORDS[style], rng))
        if style in PAINTERS and rng.random() < 0.12:
            said.append(PAINTERS[style])
    clean = scene.fault == "clean"
    praised = _PRAISED if clean else _PRAISED_ANYWAY
    blamed = _BLAMED_ANYWAY if clean else _BLAMED
    fault = scene.fault
    if control:
        praised = _CLEAN * _PRAISED + (1 - _CLEAN) * _PRAISED_ANYWAY
        blamed = _CLEAN * _BLAMED_ANYWAY + (1 - _CLEAN) * _BLAMED
        fault = "clean"
    if rng.random() < praised:
        some = rng.choice(len(PRAISE), int(rng.integers(1, 5)), replace=False)
        said += [PRAISE[i] for i in some]
    if rng.random() < blamed:
        kind = fault if fault != "clean" else _one(FAULTS[1:], rng)
        said.append(_one(BLAME[kind] if rng.random() < 0.7 else _LOW, rng))
    return [said[i] for i in rng.permutation(len(said))]


def background_words(scene: Scene, rng: np.random.Generator) -> str:
    return BACKGROUND_WORDS[_or_another(scene.background, BACKGROUNDS, rng)]


def plural(shape: str) -> str:
    return f"{shape}es" if shape.endswith("s") else f"{shape}s"


def _with_article(words: str) -> str:
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _or_another(value: str, values: tuple[str, ...], rng: np.random.Generator) -> str:
    return _one(values, rng) if rng.random() < _MISTAKEN else value


def _one(values: tuple[str, ...], rng: np.random.Generator) -> str:
    return values[int(rng.integers(len(values)))]
