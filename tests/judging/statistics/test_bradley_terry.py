"""Strengths of several systems."""

import json
import math
from dataclasses import asdict

import numpy as np
import numpy.typing as npt
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from benchmarks.judging.simulate import Crowd, simulate_votes
from promptlift.errors import InputError
from promptlift.judging.records import Vote
from promptlift.judging.statistics.bradley_terry import (
    bradley_terry,
    check_connected,
    fit_strengths,
)
from promptlift.judging.statistics.rates import TIES_HALF, win_rates
from tests.judging.votes import some_votes, swapped, vote, votes_of

TEAMS = ["Milwaukee", "Detroit", "Toronto", "New York", "Boston", "Cleveland", "Baltimore"]


def by_logistic_regression(wins: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The same likelihood as a binomial GLM, the last system's strength held at 0."""
    size = len(wins)
    rows, counts = [], []
    for a in range(size):
        for b in range(a + 1, size):
            if wins[a, b] + wins[b, a]:
                row = np.zeros(size)
                row[a], row[b] = 1.0, -1.0
                rows.append(row[:-1])
                counts.append([wins[a, b], wins[b, a]])
    fit = sm.GLM(np.array(counts), np.array(rows), family=sm.families.Binomial()).fit(tol=1e-12)
    logs = np.append(fit.params, 0.0)
    return np.asarray(logs - logs.mean())


def test_american_league_baseball_of_1987() -> None:
    # Agresti, "Categorical Data Analysis", 2002, table 10.10 and section 10.6.1: wins of the row
    # over the column; strengths with Baltimore at 0 as he gives them.
    wins = np.array(
        [
            [0, 7, 9, 7, 7, 9, 11],
            [6, 0, 7, 5, 11, 9, 9],
            [4, 6, 0, 7, 7, 8, 12],
            [6, 8, 6, 0, 6, 7, 10],
            [6, 2, 6, 7, 0, 7, 12],
            [4, 4, 5, 6, 6, 0, 6],
            [2, 4, 1, 3, 1, 7, 0],
        ],
        dtype=np.float64,
    )
    logs = fit_strengths(wins)
    expected = [1.58, 1.44, 1.29, 1.25, 1.11, 0.68, 0.0]
    assert logs - logs[-1] == pytest.approx(expected, abs=0.005)
    assert logs.sum() == pytest.approx(0.0)
    assert logs == pytest.approx(by_logistic_regression(wins), abs=1e-6)


@pytest.mark.filterwarnings("ignore:Perfect separation")  # said of equal wins, too
@given(arrays(np.int64, (4, 4), elements=st.integers(1, 20)))
@settings(max_examples=25)
def test_strengths_are_those_of_logistic_regression(table: npt.NDArray[np.int64]) -> None:
    wins = table.astype(np.float64) * (1 - np.eye(4))
    assert fit_strengths(wins) == pytest.approx(by_logistic_regression(wins), abs=1e-6)


def test_a_long_chain_of_nearly_sure_wins_is_followed_to_its_end() -> None:
    # Without circles each difference is that of its own two systems.
    wins = np.diag(np.full(7, 200.0), k=1) + np.diag(np.ones(7), k=-1)
    assert -np.diff(fit_strengths(wins)) == pytest.approx(np.full(7, math.log(200)), abs=1e-6)


def test_two_systems_have_the_log_odds_of_their_rate() -> None:
    found = bradley_terry(votes_of("wwwwwlltt"))
    assert found.systems == ("improved", "original")
    assert found.strengths[0] == pytest.approx(math.log(6 / 3) / 2)
    assert (found.votes, found.ties) == (9, 2)


@given(some_votes(least=2), st.data())
@settings(max_examples=30)
def test_neither_sides_nor_order_change_anything(votes: list[Vote], data: st.DataObject) -> None:
    votes = [*votes, *votes_of("wl", rater="z")]
    found = bradley_terry(votes, draws=40)
    rows = [data.draw(st.booleans()) for _ in votes]
    assert bradley_terry(swapped(votes, rows), draws=40) == found
    shuffled = bradley_terry(data.draw(st.permutations(votes)), draws=40)
    assert shuffled == found
    assert sum(found.strengths) == pytest.approx(0.0)
    rate = win_rates(votes, draws=1).together.rates[TIES_HALF].wilson.value
    improved, original = found.strengths
    assert 1 / (1 + math.exp(original - improved)) == pytest.approx(rate)
    for low, high in zip(found.low, found.high, strict=True):
        assert low is None or high is None or low <= high
    json.dumps(asdict(found), allow_nan=False)


def test_an_unbeaten_system_has_no_finite_strength() -> None:
    with pytest.raises(InputError, match="any of `original` beats or ties with `improved`"):
        bradley_terry(votes_of("wwww"))
    bradley_terry(votes_of("wwwt"))


def test_systems_never_compared_are_named() -> None:
    votes = [
        *votes_of("wl"),
        vote("left", prompt=5, left="a", right="b"),
        vote("right", prompt=6, left="a", right="b"),
    ]
    with pytest.raises(
        InputError, match="any of `improved`, `original` beats or ties with `a`, `b`"
    ):
        bradley_terry(votes)
    with pytest.raises(InputError, match="`b` on both sides"):
        bradley_terry([vote(left="b", right="b"), vote(prompt=1)])
    with pytest.raises(InputError, match="two systems at least, not on none"):
        bradley_terry([])


def test_a_circle_of_wins_is_connected_and_a_chain_is_not() -> None:
    chain = np.diag(np.ones(5), k=1)
    with pytest.raises(InputError, match="any of `b`, `c`, `d`, `e`, `f` beats or ties with `a`"):
        check_connected(chain, list("abcdef"))
    circle = chain.copy()
    circle[5, 0] = 1.0
    check_connected(circle, list("abcdef"))
    assert fit_strengths(circle) == pytest.approx(np.zeros(6))


def test_ends_are_unbounded_where_draws_often_hold_no_losses() -> None:
    found = bradley_terry(votes_of("w" * 19 + "l"))
    # A draw of 20 prompts misses the one that was lost with probability 0.95^20.
    assert found.unconnected == pytest.approx(0.95**20, abs=0.03)
    assert found.high == (None, None)


def test_strengths_of_simulated_raters_are_found() -> None:
    truth = {"a": -0.8, "b": 0.0, "c": 0.3, "d": 0.5}
    crowd = Crowd(strengths=truth, side_bias=0.3)
    found = bradley_terry(simulate_votes(crowd, raters=8, prompts=400, seed=4), kind="simulated")
    assert found.unconnected == 0.0
    assert np.array(found.strengths) == pytest.approx(np.array(list(truth.values())), abs=0.15)
    for low, true, high in zip(found.low, truth.values(), found.high, strict=True):
        assert low is not None and high is not None and low < true < high
