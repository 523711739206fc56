"""How many votes are needed."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from promptlift.errors import ConfigError
from promptlift.judging.statistics.planning import (
    sign_test_power,
    votes_for_power,
    votes_for_width,
)
from promptlift.statistics import wilson


def test_half_a_rate_within_ten_points_takes_93_votes() -> None:
    # At a rate of 1/2 the half-width is z / (2 sqrt(n + z²)): n = (1.96 / 0.2)² - 1.96² = 92.2.
    assert votes_for_width(0.5, 0.1) == 93
    assert votes_for_width(0.5, 0.001, level=0.5) > 100_000


@given(st.floats(0, 1), st.floats(0.02, 0.45), st.sampled_from([0.8, 0.95, 0.99]))
@settings(max_examples=60)
def test_it_is_the_fewest_and_more_stay_enough(rate: float, half: float, level: float) -> None:
    def width(votes: int) -> float:
        low, high = wilson(rate * votes, votes, level=level)
        return high - low

    n = votes_for_width(rate, half, level=level)
    assert width(n) <= 2 * half < (width(n - 1) if n > 1 else 1.0)
    assert all(width(n + more) <= 2 * half for more in range(30))


# SciPy overflows at rates that are almost 0.
_RATES = st.sampled_from([0.0, 1.0]) | st.floats(1e-9, 1 - 1e-9)


@pytest.mark.slow
@given(st.integers(1, 80), _RATES, st.sampled_from([0.01, 0.05, 0.1]))
@settings(max_examples=30)
def test_power_is_the_chance_of_all_counts_that_scipy_rejects(
    n: int, rate: float, alpha: float
) -> None:
    chances = stats.binom.pmf(range(n + 1), n, rate)
    expected = sum(
        chance
        for wins, chance in enumerate(chances)
        if stats.binomtest(wins, n).pvalue <= alpha * (1 + 1e-9)
    )
    assert sign_test_power(n, rate, alpha=alpha) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("rate", "power", "alpha"),
    [(0.6, 0.8, 0.05), (0.79, 0.9, 0.05), (0.3, 0.8, 0.01), (0.55, 0.7, 0.1), (1.0, 0.8, 0.05)],
)
def test_fewer_votes_fail_and_more_never_do(rate: float, power: float, alpha: float) -> None:
    n = votes_for_power(rate, power=power, alpha=alpha)
    assert sign_test_power(n - 1, rate, alpha=alpha) < power
    assert sign_test_power(range(n, 2 * n + 60), rate, alpha=alpha).min() >= power


def test_all_wins_need_six_and_ties_need_more() -> None:
    # Two-sided p of n wins and no loss is 2 / 2^n: below 0.05 from 6 on.
    assert votes_for_power(1.0) == 6
    decided = votes_for_power(0.65)
    assert votes_for_power(0.65, ties=0.5) == 2 * decided
    assert votes_for_power(0.35) == decided


@pytest.mark.slow
def test_near_one_half_the_search_is_wide_enough() -> None:
    for rate in (0.52, 0.48):
        n = votes_for_power(rate)
        assert sign_test_power(n - 1, rate) < 0.8
        assert sign_test_power(range(n, n + 600), rate).min() >= 0.8


def test_bad_values_are_named() -> None:
    calls: list[tuple[Callable[[], int], str]] = [
        (lambda: votes_for_width(1.2, 0.1), "`win_rate` is 1.2"),
        (lambda: votes_for_width(0.5, 0.0), "`half_width` is 0.0"),
        (lambda: votes_for_width(0.5, 1e-5), "No 1,000,000 votes"),
        (lambda: votes_for_power(0.501), "at least 0.01 away"),
        (lambda: votes_for_power(0.6, power=1.0), "`power` is 1.0"),
        (lambda: votes_for_power(0.6, alpha=0.0), "`alpha` is 0.0"),
        (lambda: votes_for_power(0.6, ties=1.0), "`ties` is 1.0"),
    ]
    for call, word in calls:
        with pytest.raises(ConfigError, match=word):
            call()
