"""Splits: whole, disjoint, without near-duplicates across, whatever the order."""

import random

import pytest

from promptlift.errors import ConfigError, InputError
from promptlift.pairs.build import build_pairs
from promptlift.pairs.config import BuildConfig, SplitConfig
from promptlift.pairs.near import THRESHOLD, shingles
from promptlift.pairs.split import split_pairs, whole_prompt
from promptlift.records import Pair

SUBJECTS = ["lighthouse", "fox", "castle", "robot", "orchard", "harbour", "violin", "glacier"]
PLACES = ["at dawn", "in deep snow", "under a bridge", "by the sea", "on the moon"]
PROMPTS = [
    f"an old {subject} {place} number {place[::2]}, soft light, {subject} colors, {end}"
    for subject in SUBJECTS
    for place in PLACES
    for end in ("oil on canvas", "oil on canvas, 4k")  # near-duplicates of each other
]
PAIRS = [pair for pairs in build_pairs(PROMPTS, BuildConfig(keep="all")) for pair in pairs]


def test_nothing_is_lost_and_nothing_near_crosses() -> None:
    split = split_pairs(PAIRS, SplitConfig(test_share=0.3))
    assert len(split.train) + len(split.test) + len(split.left_out) == len(PAIRS)
    highest = 0.0
    for held in {whole_prompt(pair) for pair in split.test}:
        for learned in {whole_prompt(pair) for pair in split.train}:
            one, other = shingles(held), shingles(learned)
            highest = max(highest, len(one & other) / len(one | other))
    assert highest < THRESHOLD
    assert split.closest == (highest if highest >= 0.3 else 0.0)


def test_a_long_target_that_is_almost_one_to_train_is_left_out() -> None:
    ending = "soft light, wide angle, oil on canvas, thick paint, muted colors, mist"
    pairs = [
        Pair(source=" ".join(f"{subject}{n}" for n in range(12)), target=target, mode="extend")
        for subject in SUBJECTS
        for target in (f"{ending}, {subject}", "soft light, 4k")  # both at many prompts
    ]
    split = split_pairs(pairs, SplitConfig(test_share=0.5))
    assert {pair.target for pair in split.test} == {"soft light, 4k"}
    assert len(split.left_out) == len(split.test)
    assert len(split.train) + 2 * len(split.test) == len(pairs)
    assert split.closest_target == 0.0


def test_cuts_of_one_prompt_stay_together_when_cleaning_changed_them() -> None:
    pairs = [
        *PAIRS,
        Pair(source="a very old stone mill", target="soft light", mode="extend"),
        Pair(source="a very old stone mill, ivy, owls, a cart, hay", target="4k", mode="extend"),
    ]
    for seed in range(8):
        split = split_pairs(pairs, SplitConfig(test_share=0.5, seed=seed))
        assert sum("stone mill" in pair.source for pair in split.test) in (0, 2)


def test_order_does_not_matter_and_the_seed_does() -> None:
    shuffled = random.Random(1).sample(PAIRS, len(PAIRS))

    def held(pairs: list[Pair], seed: int) -> set[str]:
        split = split_pairs(pairs, SplitConfig(test_share=0.3, seed=seed))
        return {whole_prompt(pair) for pair in split.test}

    assert held(PAIRS, 0) == held(shuffled, 0)
    assert held(PAIRS, 0) != held(PAIRS, 1)


def test_too_few_groups_give_a_clear_error() -> None:
    with pytest.raises(InputError, match="leave one side empty"):
        split_pairs(PAIRS[:1], SplitConfig())


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_refuses_a_share_of_nothing_or_all(share: float) -> None:
    with pytest.raises(ConfigError, match="test_share"):
        SplitConfig(test_share=share)
