"""Pairs of prompts that a rewriter of the pocket world learns: a plain one, and a detailed one.

Both are of one scene. The detailed prompt is what people of the world write under a good picture
of it: collections of prompts that are worth copying come about like that.
"""

from collections.abc import Iterator

import numpy as np

from promptlift.errors import ConfigError
from promptlift.records import Pair
from promptlift.world.captions import BACKGROUND_WORDS, background_words, details, subject
from promptlift.world.scenes import PAIRS, RANGE, TEST_PAIRS, Scene, draw_scene

SEEDS = 10  # sets of training pairs that share no scene
_ROOM = RANGE // SEEDS  # scenes of a set; less than half of them have good pictures
_NAMED = 0.15  # share of plain prompts that name the background, as of plain captions
_FEWEST = 2  # phrases that make a prompt a detailed one
MODES = ("both", "extend", "rewrite")


def world_pairs(
    count: int, seed: int = 0, *, mode: str = "both", test: bool = False, control: bool = False
) -> Iterator[Pair]:
    """Pairs of `count` scenes, of each one to extend and one to rewrite unless `mode` names one.

    Args:
        count: of scenes.
        seed: of a set, 0 to 9.
        mode: "extend", "rewrite" or "both".
        test: pairs to measure with, of scenes that no set to learn from has.
        control: as people of the control world write.

    Raises:
        ConfigError: the seed or the mode is not known, or the set has no such number of scenes.
    """
    if not 0 <= seed < SEEDS:
        raise ConfigError(f"seed is {seed} and must be 0 to {SEEDS - 1}")
    if mode not in MODES:
        raise ConfigError(f"mode is {mode!r} and must be {', '.join(MODES)}")
    if not 0 < count <= _ROOM // 4:
        raise ConfigError(f"count is {count} and must be 1 to {_ROOM // 4}")
    for number in scenes_of(seed, test=test):
        scene = draw_scene(number)
        if scene.fault != "clean":
            continue
        source, additions = _both(scene, np.random.default_rng((5, number)), control)
        if len(additions) < _FEWEST:
            continue
        if mode != "rewrite":
            yield Pair(source=source, target=", ".join(additions), mode="extend")
        if mode != "extend":
            yield Pair(source=source, target=", ".join([source, *additions]), mode="rewrite")
        count -= 1
        if not count:
            return


def scenes_of(seed: int, *, test: bool) -> range:
    """Seeds of the scenes that a set of pairs may take."""
    first = (TEST_PAIRS if test else PAIRS) + seed * _ROOM
    return range(first, first + _ROOM)


def _both(scene: Scene, rng: np.random.Generator, control: bool) -> tuple[str, list[str]]:
    """A plain prompt, and what the detailed one adds to it, nothing that contradicts it."""
    source = subject(scene, rng)
    taken: set[str] = set()
    if rng.random() < _NAMED:
        source = f"{source}, {background_words(scene, rng)}"
        taken = set(BACKGROUND_WORDS.values())
    said = details(scene, rng, control=control)
    return source, [words for words in said if words not in source and words not in taken]
