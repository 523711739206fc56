"""Comparisons of pairs: by hand, under a swap of the sides, and what chance gives."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlift.scoring.pictures.pair_scores import (
    compare,
    gain_of,
    mean_score,
    other_prompts,
    win_rates,
)
from promptlift.scoring.scores import Metric

UP = Metric(name="up", title="Up", range=(None, None), higher_is_better=True, source="here")
DOWN = Metric(name="down", title="Down", range=(None, None), higher_is_better=False, source="here")
PLAIN = Metric(name="plain", title="Plain", range=(0, None), higher_is_better=None, source="here")
PROMPTS = np.array([0, 0, 1, 1, 2, 2])


def test_the_three_ways_of_counting_ties_by_hand() -> None:
    found = win_rates(np.array([1.0, 2.0, 0.0, -1.0, 0.05, 3.0]), PROMPTS, tie=0.1)
    assert (found["wins"], found["losses"], found["ties"]) == (3, 1, 2)
    rates = {name: rate["value"] for name, rate in found["win_rate"].items()}
    assert rates == pytest.approx(
        {"ties_to_original": 3 / 6, "ties_half": 4 / 6, "without_ties": 3 / 4}
    )


def test_ties_alone_give_no_rate_without_ties() -> None:
    found = win_rates(np.zeros(4), np.arange(4), tie=0.0)
    assert found["win_rate"]["without_ties"] is None
    assert found["win_rate"]["ties_half"]["value"] == 0.5
    assert found["win_rate"]["ties_to_original"]["value"] == 0.0


SIDES = st.lists(
    st.tuples(st.integers(-20, 20), st.integers(-20, 20), st.integers(0, 4)),
    min_size=1,
    max_size=12,
)


@given(SIDES, st.sampled_from([UP, DOWN]))
def test_swapping_the_sides_negates_and_swaps(
    rows: list[tuple[int, int, int]], metric: Metric
) -> None:
    first, second, prompts = (np.array(column) for column in zip(*rows, strict=True))
    # Quarters: their differences are exact, so nothing hangs on rounding.
    one, other = first / 4, second / 4
    forward = compare(metric, one, other, prompts, tie=0.25)
    back = compare(metric, other, one, prompts, tie=0.25)
    assert forward is not None and back is not None
    assert forward["difference"] == pytest.approx(-back["difference"])
    assert forward["p"] == back["p"]
    assert (forward["wins"], forward["losses"]) == (back["losses"], back["wins"])
    assert forward["ties"] == back["ties"]
    halves = [found["win_rate"]["ties_half"]["value"] for found in (forward, back)]
    assert sum(halves) == pytest.approx(1.0)
    if forward["win_rate"]["without_ties"] is not None:
        decided = [found["win_rate"]["without_ties"]["value"] for found in (forward, back)]
        assert sum(decided) == pytest.approx(1.0)


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=8))
def test_equal_pictures_tie(values: list[float]) -> None:
    same = np.array(values)
    found = compare(UP, same, same.copy(), np.arange(len(same)), tie=0.0)
    assert found is not None
    assert (found["wins"], found["losses"], found["ties"]) == (0, 0, len(values))
    assert (found["difference"], found["low"], found["high"], found["p"]) == (0.0, 0.0, 0.0, 1.0)


def test_lower_is_better_wins_by_falling() -> None:
    found = compare(DOWN, np.array([1.0, 1.0]), np.array([0.0, 0.0]), np.arange(2), tie=0.0)
    assert found is not None
    assert (found["wins"], found["difference"]) == (2, -1.0)


def test_where_nothing_is_better_nothing_wins() -> None:
    found = compare(PLAIN, np.zeros(6), np.ones(6), PROMPTS, tie=0.0)
    assert found is not None
    assert found["difference"] == 1.0
    assert "wins" not in found
    assert (found["n"], found["pairs"]) == (3, 6)


def test_undefined_values_are_left_out_and_counted() -> None:
    values = np.array([1.0, np.nan, 3.0, np.nan, np.nan, np.nan])
    score = mean_score(UP, values, PROMPTS, {"model": "m@0"})
    assert score is not None
    assert (score.value, score.n) == (2.0, 2)
    assert score.settings == {"model": "m@0", "undefined": 4}
    assert mean_score(UP, np.full(6, np.nan), PROMPTS, {}) is None
    found = compare(UP, values, np.ones(6), PROMPTS, tie=0.0)
    assert found is not None and found["pairs"] == 2


def test_seeds_of_one_prompt_do_not_count_as_prompts() -> None:
    # Ten prompts, or the same values twice over as two seeds: the interval stays as wide.
    values = np.random.default_rng(0).normal(size=10)
    once = mean_score(UP, values, np.arange(10), {})
    twice = mean_score(UP, np.repeat(values, 2), np.repeat(np.arange(10), 2), {})
    assert once is not None and twice is not None
    assert twice.n == 10
    assert (twice.low, twice.high) == pytest.approx((once.low, once.high))


@given(st.dictionaries(st.integers(0, 50), st.sampled_from("abcdefgh"), min_size=1), st.integers(0))
def test_every_prompt_takes_another_ones_words(sources: dict[int, str], seed: int) -> None:
    found = other_prompts(sources, seed=seed)
    if len(set(sources.values())) < 2:
        assert found is None
        return
    assert found is not None and found.keys() == sources.keys()
    taken = {sources[index]: sources[other] for index, other in found.items()}
    assert all(own != other for own, other in taken.items())
    assert sorted(taken.values()) == sorted(taken)  # each words are taken once
    backwards = dict(reversed(list(sources.items())))
    assert other_prompts(backwards, seed=seed) == found


def test_a_gain_points_to_the_better_end() -> None:
    original, improved = np.array([1.0, 2.0, np.nan]), np.array([3.0, 1.5, 1.0])
    assert gain_of(original, improved)[:2].tolist() == [2.0, -0.5]
    assert np.isnan(gain_of(original, improved)[2])
    assert gain_of(1.0, 3.0, higher_is_better=False) == -2.0
