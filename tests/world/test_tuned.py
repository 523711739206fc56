"""Simulated raters, suffixes and prompts of the tuning experiment."""

import numpy as np
import pytest
from PIL import Image

from benchmarks.world.answers import prompts
from benchmarks.world.raters import RATERS, answer
from benchmarks.world.render import render
from benchmarks.world.tuned import AVOID, COUNT, oracle_reward, suffixes, tuning_prompts
from promptlift.prompts.clauses import split_clauses
from promptlift.world.captions import PRAISE, subject
from promptlift.world.scenes import HELD_OUT, draw_scene


@pytest.mark.parametrize(("lead", "share"), [(0.0, 0.5), (0.1, 0.67), (0.5, 0.93), (-0.5, 0.07)])
def test_raters_prefer_by_how_much_better_a_picture_is(lead: float, share: float) -> None:
    rng = np.random.default_rng(0)
    said = [answer(0.5 + lead, 0.5, rng) for _ in range(4000)]
    decided = [one == "first" for one in said if one != "tie"]
    assert np.mean(decided) == pytest.approx(share, abs=0.03)
    assert len(RATERS) == len({*RATERS}) and (("tie" in said) == (lead == 0))


def test_suffixes_are_praise_and_nothing_else() -> None:
    found = suffixes()
    assert len(found) == len({*found}) == 32
    for suffix in found:
        words = split_clauses(suffix)
        assert {*words} <= {*PRAISE} and len({*words}) == len(words)
        assert not any(avoided in suffix for avoided in AVOID)


def test_nothing_is_tuned_on_what_is_measured() -> None:
    found = tuning_prompts()
    assert len(found) > 3000 and {*found}.isdisjoint(prompts(COUNT))


def test_the_oracle_rewards_what_was_asked_for() -> None:
    scenes = [draw_scene(HELD_OUT + at) for at in range(40)]
    scenes = [scene for scene in scenes if scene.fault == "clean" and scene.relation is None]
    rng = np.random.default_rng(0)
    images = [Image.fromarray(render(scene)) for scene in scenes]
    asked = [subject(scene, rng) for scene in scenes]
    right = oracle_reward(asked, images)
    wrong = oracle_reward([*asked[1:], asked[0]], images)
    assert np.mean(right) > 0.8 > np.mean(wrong) + 0.3
