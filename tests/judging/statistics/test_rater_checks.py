"""What a rater's answers say of the rater."""

import json
from dataclasses import asdict, astuple

import pytest
from hypothesis import given, settings
from scipy import stats

from benchmarks.judging.simulate import Crowd, simulate_votes
from promptlift.judging.records import Vote
from promptlift.judging.statistics.rater_checks import rater_checks
from promptlift.statistics import wilson
from tests.judging.votes import some_votes, swapped, vote, votes_of


def test_repeats_sides_and_attention_by_hand() -> None:
    votes = [
        *votes_of("wwlts"),
        # Seen again, swapped: alike, not alike, alike, alike (a tie either way), skipped at first.
        vote("right", prompt=0, left="original", right="improved", purpose="repeat"),
        vote("left", prompt=1, left="original", right="improved", purpose="repeat"),
        vote("left", prompt=2, left="original", right="improved", purpose="repeat"),
        vote("both_bad", prompt=3, left="original", right="improved", purpose="repeat"),
        vote("left", prompt=4, left="original", right="improved", purpose="repeat"),
        vote("left", prompt=20, right="noise", purpose="attention"),
        vote("left", prompt=21, left="noise", right="original", purpose="attention"),
        vote("skip", prompt=22, right="noise", purpose="attention"),
    ]
    known = {"pair-20": "improved", "pair-21": "original", "pair-22": "improved"}
    [found] = rater_checks(votes, known=known)
    assert (found.rater, found.repeats, found.alike, found.consistency.value) == ("ann", 4, 3, 0.75)
    # At first 2 improved, 1 original, 1 tie of 4; again 1 improved, 2 original, 1 tie.
    assert found.chance == pytest.approx((2 * 1 + 1 * 2 + 1 * 1) / 16)
    assert astuple(found.consistency) == (0.75, *wilson(3, 4))
    assert (found.decided, found.left, found.left_share.value) == (3, 2, 2 / 3)
    assert found.left_test == pytest.approx(stats.binomtest(2, 3).pvalue)
    assert (found.attention, found.attention_passed) == (2, 1)
    json.dumps(asdict(found), allow_nan=False)


@given(some_votes())
@settings(max_examples=40)
def test_swapping_all_sides_turns_the_side_bias_round(votes: list[Vote]) -> None:
    there, back = rater_checks(votes), rater_checks(swapped(votes))
    for one, other in zip(there, back, strict=True):
        assert one.left + other.left == one.decided == other.decided
        assert one.left_test == other.left_test
        assert (one.repeats, one.consistency.value, one.chance) == (0, None, None)


def test_one_who_always_answers_left_is_found_out() -> None:
    lefts = Crowd(side_bias=20.0)
    votes = simulate_votes(lefts, raters=1, prompts=60, repeats=20, seed=2)
    [found] = rater_checks(votes, kind="simulated")
    assert (found.left_share.value, found.consistency.value) == (1.0, 0.0)
    assert found.left_test < 1e-9
    assert rater_checks(votes) == []


def test_a_careful_rater_is_consistent_and_has_no_side() -> None:
    sure = Crowd(strengths={"original": 0.0, "improved": 0.0}, prompt_spread=50.0)
    votes = simulate_votes(sure, raters=1, prompts=200, repeats=40, seed=2)
    [found] = rater_checks(votes, kind="simulated")
    assert found.consistency.value is not None and found.consistency.value > 0.9
    assert found.left_test > 0.05
