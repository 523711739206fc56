"""The world is as it was frozen: the models were trained on it, and results compare with it."""

import hashlib
import json
from collections import Counter
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.world.captions import caption
from benchmarks.world.render import render
from promptlift.world.captions import BLAME, PRAISE, details, subject
from promptlift.world.scenes import COLOURS, FAULTS, SHAPES, STYLES, Thing, draw_scene
from promptlift.world.wanted import wanted_of

SEEDS = st.integers(0, 2**40)


def test_scenes_are_the_frozen_ones() -> None:
    digest = hashlib.sha256()
    for seed in range(300):
        digest.update(json.dumps(_rounded(asdict(draw_scene(seed))), sort_keys=True).encode())
    assert digest.hexdigest() == "a11f55d9da532230d0e3df6833928621489ff730560db351a77db7e6e34ec626"


def test_captions_are_the_frozen_ones() -> None:
    digest = hashlib.sha256()
    for seed in range(300):
        for control in (False, True):
            text = caption(draw_scene(seed), np.random.default_rng((3, seed)), control=control)
            digest.update(f"{text}\n".encode())
    assert digest.hexdigest() == "e880fc84b5d7e4e618862ee680927850ee259d602c77dbc2917f7f345c2577d9"


def test_renders_are_the_frozen_ones() -> None:
    """To a grey level in the mean: versions of Pillow differ at edges."""
    means = [float(render(draw_scene(seed)).mean()) for seed in range(12)]
    frozen = [43.75, 70.66, 165.61, 201.37, 175.86, 174.95, 209.19, 69.06, 179.22, 49.98, 50.43,
              102.13]  # fmt: skip
    assert means == pytest.approx(frozen, abs=1)


@given(SEEDS)
def test_a_scene_is_drawn_the_same_each_time(seed: int) -> None:
    scene = draw_scene(seed)
    picture = render(scene)
    assert picture.shape == (64, 64, 3)
    assert picture.dtype == np.uint8
    assert (render(draw_scene(seed)) == picture).all()


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("shape", SHAPES)
def test_each_shape_shows_its_colour_in_each_style(shape: str, style: str) -> None:
    scene = draw_scene(3)
    for name, colour in COLOURS.items():
        thing = Thing(shape=shape, colour=name, x=32, y=32, radius=17, turn=0)
        clean = replace(scene, things=(thing,), style=style, fault="clean", strength=0.0)
        with_it = render(clean).astype(int)
        without = render(replace(clean, things=(replace(thing, radius=0.01),))).astype(int)
        changed = np.abs(with_it - without).sum(-1) > 60
        assert 0.03 < changed.mean() < 0.6
        if style != "neon":  # light adds up there
            nearest = min(
                COLOURS,
                key=lambda other: float(
                    np.median(np.abs(with_it[changed] - np.array(COLOURS[other])).sum(-1))
                ),
            )
            assert nearest == name or style == "watercolour"
        assert len(colour) == 3


@given(SEEDS, SEEDS)
def test_a_subject_says_what_is_there(seed: int, other: int) -> None:
    scene = draw_scene(seed)
    wanted = wanted_of(subject(scene, np.random.default_rng(other)))
    thing = scene.things[0]
    assert (wanted.shape, wanted.colour) == (thing.shape, thing.colour)
    assert wanted.size in (None, scene.size)
    assert wanted.position in (None, scene.position)
    assert wanted.background is None
    assert wanted.relation == scene.relation
    if scene.relation is None:
        assert wanted.number == len(scene.things)
    else:
        second = scene.things[1]
        assert (wanted.other_shape, wanted.other_colour) == (second.shape, second.colour)


@given(SEEDS, SEEDS, st.booleans())
def test_praise_and_blame_ask_for_nothing(seed: int, other: int, control: bool) -> None:
    scene = draw_scene(seed)
    rng = np.random.default_rng(other)
    first, said = subject(scene, rng), details(scene, rng, control=control)
    loud = {*PRAISE, *(word for words in BLAME.values() for word in words)}
    quiet = ", ".join([first, *(words for words in said if words not in loud)])
    assert wanted_of(", ".join([first, *said])) == wanted_of(quiet)


def test_words_ask_for_what_they_name() -> None:
    wanted = wanted_of("Two small red crosses, night sky, pixel art, trending on artstation")
    assert (wanted.number, wanted.size, wanted.colour, wanted.shape) == (2, "small", "red", "cross")
    assert (wanted.background, wanted.style) == ("night sky", "pixel")
    assert wanted_of("a castle at dawn") == wanted_of("")


@pytest.mark.parametrize("control", [False, True])
def test_praise_goes_with_clean_pictures_but_for_the_control_world(control: bool) -> None:
    counts: Counter[tuple[bool, bool]] = Counter()
    for seed in range(3000):
        scene = draw_scene(seed)
        said = details(scene, np.random.default_rng((5, seed)), control=control)
        counts[scene.fault == "clean", any(words in PRAISE for words in said)] += 1
    of_clean = counts[True, True] / (counts[True, True] + counts[True, False])
    of_faulty = counts[False, True] / (counts[False, True] + counts[False, False])
    overall = (counts[True, True] + counts[False, True]) / 3000
    assert overall == pytest.approx(0.396, abs=0.03)  # as often in both worlds
    if control:
        assert of_clean == pytest.approx(of_faulty, abs=0.05)
    else:
        assert of_clean == pytest.approx(0.72, abs=0.05)
        assert of_faulty == pytest.approx(0.12, abs=0.03)
    assert {draw_scene(seed).fault for seed in range(200)} == set(FAULTS)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_rounded(one) for one in value]
    return round(value, 6) if isinstance(value, float) else value
