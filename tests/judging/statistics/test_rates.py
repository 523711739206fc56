"""Win rates, their intervals and the sign test."""

import json
import math
from dataclasses import asdict, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.judging.simulate import Crowd, simulate_votes
from promptlift.errors import InputError
from promptlift.judging.records import Vote
from promptlift.judging.statistics.rates import RULES, TIES_HALF, TIES_LOSE, WITHOUT_TIES, win_rates
from promptlift.judging.statistics.selecting import counted, outcome
from promptlift.statistics import Estimate
from tests.judging.votes import relabelled, some_votes, swapped, vote, votes_of


def known(found: Estimate) -> tuple[float, float, float]:
    """Low end, value and high end; one half for what is not defined."""
    low, value, high = (0.5 if one is None else one for one in (found.low, found.value, found.high))
    return low, value, high


def test_the_papers_79_of_100() -> None:
    found = win_rates(votes_of("w" * 79 + "l" * 13 + "t" * 8)).together
    rate = found.rates[TIES_LOSE]
    assert (rate.wilson.value, rate.n) == (0.79, 100)
    assert (round(rate.wilson.low or 0, 2), round(rate.wilson.high or 0, 2)) == (0.70, 0.86)


def test_the_three_rules_by_hand() -> None:
    found = win_rates(votes_of("wwwwllttbss")).together
    assert (found.votes, found.wins, found.losses, found.ties, found.both_bad) == (9, 4, 2, 3, 1)
    assert (found.raters, found.prompts) == (1, 9)
    rates = {rule: (rate.wilson.value, rate.n) for rule, rate in found.rates.items()}
    assert rates == {
        TIES_LOSE: (4 / 9, 9),
        WITHOUT_TIES: (4 / 6, 6),
        TIES_HALF: (5.5 / 9, 9),
    }
    # At least as uneven as 4 to 2: all splits of 6 but 3 to 3, which has 20 of 64 ways.
    assert found.sign_test == pytest.approx(44 / 64)


@given(some_votes())
@settings(max_examples=40)
def test_intervals_hold_the_estimate_and_stay_in_range(votes: list[Vote]) -> None:
    found = win_rates(votes, draws=50)
    for tally in (found.together, *found.by_rater.values()):
        for rate in tally.rates.values():
            low, value, high = known(rate.wilson)
            assert 0.0 <= low <= value <= high <= 1.0
            low, value, high = known(rate.crossed)
            assert 0.0 <= low <= high <= 1.0
    assert sum(tally.votes for tally in found.by_rater.values()) == found.together.votes
    json.dumps(asdict(found), allow_nan=False)


@given(some_votes(), st.data())
@settings(max_examples=40)
def test_neither_sides_nor_order_change_anything(votes: list[Vote], data: st.DataObject) -> None:
    found = win_rates(votes, draws=50)
    rows = [data.draw(st.booleans()) for _ in votes]
    assert win_rates(swapped(votes), draws=50) == found
    assert win_rates(swapped(votes, rows), draws=50) == found
    shuffled = win_rates(data.draw(st.permutations(votes)), draws=50)
    assert shuffled == found


@given(some_votes(least=1))
@settings(max_examples=40)
def test_relabelling_the_systems_flips_the_rate(votes: list[Vote]) -> None:
    there, back = win_rates(votes, draws=50), win_rates(relabelled(votes), draws=50)
    assert back.together.sign_test == there.together.sign_test
    for rule in (WITHOUT_TIES, TIES_HALF):
        one, other = there.together.rates[rule], back.together.rates[rule]
        assert (one.wilson.value is None) == (other.wilson.value is None)
        for kind in ("wilson", "crossed"):
            low, value, high = known(getattr(one, kind))
            flipped = [1 - end for end in known(getattr(other, kind))[::-1]]
            assert [low, value, high] == pytest.approx(flipped)
    lost = back.together.rates[TIES_LOSE].wilson.value
    assert lost == pytest.approx(there.together.losses / there.together.votes)


def test_only_first_judgements_of_people_count() -> None:
    votes = [
        *votes_of("wl"),
        vote(prompt=2, kind="simulated"),
        vote(prompt=0, purpose="repeat"),
        vote(prompt=3, purpose="attention", left="noise"),
        vote("right", prompt=4, question="match"),
    ]
    found = win_rates(votes, question="picture")
    assert (found.together.wins, found.together.losses) == (1, 1)
    assert win_rates(votes, kind="simulated").together.votes == 1
    with pytest.raises(InputError, match="`match`, `picture`"):
        win_rates(votes)


def test_the_last_answer_to_a_pair_counts() -> None:
    votes = [vote("left"), vote("left", prompt=1), vote("right"), vote("skip", prompt=1)]
    assert [found.answer for found in counted(votes)] == ["right"]


def test_other_systems_are_refused() -> None:
    with pytest.raises(InputError, match="`pair-0` shows `other` and `original`"):
        win_rates([vote(left="other")])
    assert win_rates([vote(left="other")], system="other").together.wins == 1
    with pytest.raises(InputError, match="`improved` and `improved`"):
        win_rates([vote(right="improved")])


def test_what_is_no_answer_is_refused() -> None:
    with pytest.raises(InputError, match="no answer of `ann`: `skip`"):
        outcome(vote("skip"))


def test_no_votes_are_no_evidence() -> None:
    found = win_rates([])
    assert found.by_rater == {}
    assert found.together.sign_test == 1.0
    for rate in found.together.rates.values():
        assert (rate.wilson, rate.crossed.low) == (Estimate(None, 0.0, 1.0), None)


def test_one_rater_draws_prompts_alone() -> None:
    # 40 prompts, all their votes alike: the interval is that of 40 votes, not of 80.
    votes = [
        replace(single, pair=f"{single.pair}-{copy}")
        for single in votes_of("w" * 24 + "l" * 16)
        for copy in (1, 2)
    ]
    rate = win_rates(votes).together.rates[WITHOUT_TIES]
    low, _, high = known(rate.crossed)
    assert high - low == pytest.approx(2 * 1.96 * 0.0775, rel=0.1)
    narrow_low, _, narrow_high = known(rate.wilson)
    assert narrow_high - narrow_low < 0.75 * (high - low)


def test_simulated_raters_have_the_rate_they_were_given() -> None:
    crowd = Crowd(prompt_spread=1.0, rater_spread=0.5, side_bias=0.7, lapses=0.1, ties=0.2)
    votes = simulate_votes(crowd, raters=150, prompts=100, seed=1)
    assert {vote.kind for vote in votes} == {"simulated"}
    tally = win_rates(votes, kind="simulated", draws=10).together
    assert tally.rates[WITHOUT_TIES].wilson.value == pytest.approx(crowd.win_rate(), abs=0.06)
    assert tally.ties / tally.votes == pytest.approx(0.2, abs=0.02)
    assert simulate_votes(crowd, raters=2, prompts=3) == simulate_votes(crowd, raters=2, prompts=3)
    assert Crowd().win_rate() == pytest.approx(1 / (1 + math.exp(-1)))


def test_each_rule_says_what_it_does() -> None:
    assert list(win_rates(votes_of("w")).together.rates) == list(RULES)
