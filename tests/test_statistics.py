"""Intervals and tests: by hand, against SciPy and statsmodels, and on simulated data."""

import resource
import sys
from collections.abc import Callable, Sequence
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from promptlift import statistics
from promptlift.errors import MissingExtraError
from promptlift.statistics import (
    average_ranks,
    corpus_interval,
    crossed_totals,
    holm,
    mean_interval,
    paired_test,
    ratio_interval,
    sign_test,
    t_quantile,
    wilson,
)

FLOATS = st.floats(-100, 100)
P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=20)


def test_the_interval_is_scipys() -> None:
    values = np.random.default_rng(1).gamma(2.0, size=80)
    mean, low, high = mean_interval(values)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", random_state=2
    ).confidence_interval
    assert mean == pytest.approx(values.mean())
    assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=0.03)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    random = np.random.default_rng(0)
    held = sum(
        low <= 1.0 <= high
        for _, low, high in (mean_interval(random.exponential(size=60)) for _ in range(200))
    )
    # The percentile bootstrap of a skewed mean of 60 holds it in some 93%; 200 trials +- 5%.
    assert 0.87 <= held / 200 <= 0.99


def test_groups_are_drawn_whole() -> None:
    # Ten equal values a prompt say no more than one: the interval must not shrink.
    values = np.random.default_rng(3).normal(size=40)
    _, low, high = mean_interval(values)
    _, wide_low, wide_high = mean_interval(
        np.repeat(values, 10), np.repeat(np.arange(40), 10).tolist()
    )
    assert (wide_low, wide_high) == pytest.approx((low, high))
    _, narrow_low, narrow_high = mean_interval(np.repeat(values, 10))
    assert narrow_high - narrow_low < 0.5 * (wide_high - wide_low)


def test_the_paired_test_by_hand() -> None:
    # Differences 1, 2, 3: of the eight sign changes two, all + and all -, reach a sum of 6.
    first, second = [0.0, 0.0, 0.0], [1.0, 2.0, 3.0]
    reached = sum(abs(a + 2 * b + 3 * c) >= 6 for a, b, c in product((1, -1), repeat=3))
    found = paired_test(first, second)
    assert found["difference"] == 2.0
    assert found["p"] == pytest.approx(reached / 8, abs=0.02)


def test_the_paired_test_is_scipys() -> None:
    random = np.random.default_rng(4)
    first = random.normal(size=30)
    second = first + random.normal(0.25, 1, size=30)
    theirs = stats.permutation_test(
        (second, first),
        lambda a, b, axis: np.mean(a - b, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=20_000,
        random_state=5,
    )
    assert paired_test(first, second)["p"] == pytest.approx(theirs.pvalue, abs=0.02)


def test_no_difference_is_no_finding_and_a_plain_one_is() -> None:
    values = np.random.default_rng(6).normal(size=50)
    assert paired_test(values, values)["p"] == 1.0
    assert paired_test(values, values + 1)["p"] == pytest.approx(1 / 10_001)


def test_a_ratio_weighs_by_its_denominator() -> None:
    value, low, high = ratio_interval([10.0, 1.0] * 50, [10.0, 2.0] * 50)
    assert value == pytest.approx(11 / 12)
    assert low < value < high


def test_the_interval_of_a_corpus_is_centred_on_its_value() -> None:
    def kinds(texts: Sequence[str]) -> float:
        return len(set(texts)) / len(texts)

    texts = [str(number) for number in np.random.default_rng(7).integers(0, 500, size=200)]
    value, low, high = corpus_interval(texts, kinds)
    assert value == kinds(texts)
    assert low < value < high


@pytest.mark.slow
def test_a_hundred_thousand_values_take_little_memory() -> None:
    values = np.random.default_rng(8).normal(size=100_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    mean_interval(values)
    paired_test(values, values + 0.01)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB


def test_draws_in_chunks_vary_as_draws_at_once_do(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(9).normal(size=50)
    whole = mean_interval(values)
    monkeypatch.setattr(statistics, "_NUMBERS_AT_ONCE", 1000)
    assert mean_interval(values) == pytest.approx(whole, abs=0.05)
    assert paired_test(values, values * 2)["p"] == pytest.approx(
        stats.permutation_test(
            (values * 2, values),
            lambda a, b, axis: np.mean(a - b, axis=axis),
            permutation_type="samples",
            vectorized=True,
            n_resamples=5000,
            random_state=1,
        ).pvalue,
        abs=0.03,
    )


@settings(max_examples=30)
@given(st.lists(FLOATS, min_size=1, max_size=20))
def test_the_mean_lies_within_its_values_and_about_its_interval(values: list[float]) -> None:
    mean, low, high = mean_interval(values)
    slack = 1e-9
    assert min(values) - slack <= low <= high <= max(values) + slack
    assert min(values) - slack <= mean <= max(values) + slack


@settings(max_examples=30)
@given(st.lists(st.tuples(FLOATS, FLOATS), min_size=1, max_size=10))
def test_swapping_the_sides_changes_the_sign_alone(pairs: list[tuple[float, float]]) -> None:
    first, second = zip(*pairs, strict=True)
    one, other = paired_test(first, second), paired_test(second, first)
    assert one["difference"] == pytest.approx(-other["difference"])
    assert one["p"] == other["p"]
    assert 0 < one["p"] <= 1


def test_values_that_are_no_pairs_are_refused() -> None:
    with pytest.raises(ValueError, match="1 and 2 values"):
        paired_test([1.0], [1.0, 2.0])


def test_weighted_differences_are_those_of_ratios_of_sums() -> None:
    random = np.random.default_rng(5)
    first, second = random.gamma(2.0, size=(2, 60))
    weights = random.integers(1, 80, size=60).astype(float)
    found = paired_test(first, second, weights=weights)
    ratios = [(values * weights).sum() / weights.sum() for values in (first, second)]
    assert found["difference"] == pytest.approx(ratios[1] - ratios[0])
    assert found["low"] < found["difference"] < found["high"]
    assert paired_test(first, second, weights=np.full(60, 7.0)) == pytest.approx(
        paired_test(first, second)
    )


@given(st.integers(0, 300), st.integers(0, 300), st.sampled_from([0.8, 0.95, 0.99]))
def test_wilson_is_that_of_statsmodels(wins: int, losses: int, level: float) -> None:
    if wins + losses == 0:
        assert wilson(0, 0) == (0.0, 1.0)
        return
    expected = proportion_confint(wins, wins + losses, 1 - level, method="wilson")
    assert wilson(wins, wins + losses, level=level) == pytest.approx(expected, abs=1e-12)


@given(st.integers(0, 400), st.integers(0, 400))
def test_the_sign_test_is_scipys_binomial_test(wins: int, losses: int) -> None:
    expected = stats.binomtest(wins, wins + losses).pvalue if wins + losses else 1.0
    assert sign_test(wins, losses) == pytest.approx(expected, rel=1e-9)


def test_many_thousand_votes_overflow_nothing() -> None:
    assert sign_test(10_100, 9_900) == pytest.approx(stats.binomtest(10_100, 20_000).pvalue)
    assert 0.0 <= sign_test(6_000, 0) < 1e-300


def test_totals_weigh_votes_by_both_multiplicities() -> None:
    # The variance of a total is known where all cells are filled: of x summed over a crossed
    # sample, multiplicities being multinomial.
    random = np.random.default_rng(5)
    table = random.normal(size=(6, 9))
    raters = [f"r{row}" for row in range(6) for _ in range(9)]
    prompts = list(range(9)) * 6
    found = crossed_totals(table.reshape(-1, 1), raters, prompts, draws=40_000)[:, 0]
    mean = np.full((6, 1), 1.0)
    of_raters = mean @ mean.T + np.eye(6) - 1 / 6
    of_prompts = np.ones((9, 9)) + np.eye(9) - 1 / 9
    second = np.einsum("ij,kl,ik,jl->", table, table, of_raters, of_prompts)
    assert found.mean() == pytest.approx(table.sum(), abs=0.2)
    assert found.var() == pytest.approx(second - table.sum() ** 2, rel=0.03)


def test_more_successes_than_trials_are_refused() -> None:
    with pytest.raises(ValueError, match="5 successes of 3"):
        wilson(5, 3)


@pytest.mark.parametrize("freedom", [1, 2, 3, 7, 30, 999, 1001, 50_000])
@pytest.mark.parametrize("share", [0.5, 0.9, 0.95, 0.975, 0.999])
def test_quantiles_agree_with_scipy(share: float, freedom: int) -> None:
    expected = stats.t.ppf(share, freedom)
    assert t_quantile(share, freedom) == pytest.approx(expected, rel=1e-12, abs=1e-12)


@given(st.lists(st.integers(-3, 3) | st.floats(-1, 1), min_size=2, max_size=30))
def test_ranks_go_from_0_to_1(values: list[float]) -> None:
    ranks = average_ranks(values)
    for value, rank in zip(values, ranks, strict=True):
        below = sum(other < value for other in values)
        equal = values.count(value)
        assert rank == pytest.approx((below + (equal - 1) / 2) / (len(values) - 1))


def test_a_value_alone_stands_in_the_middle() -> None:
    assert average_ranks([7.0]).tolist() == [0.5]


def test_holm_worked_by_hand() -> None:
    # Sorted 0.01, 0.03, 0.04: 3 * 0.01, 2 * 0.03, and 0.04 raised to the one before.
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.2]) == [0.2]
    assert holm([]) == []
    assert holm([0.6, 0.7]) == [1.0, 1.0]


@given(P_VALUES)
def test_holm_only_raises_and_keeps_the_order(values: list[float]) -> None:
    found = holm(values)
    assert all(p <= q <= 1 for p, q in zip(values, found, strict=True))
    assert min(found) == pytest.approx(min(1, len(values) * min(values)))
    order = sorted(range(len(values)), key=lambda place: values[place])
    assert [found[place] for place in order] == sorted(found)


@given(P_VALUES, st.randoms())
def test_holm_does_not_depend_on_order(values: list[float], random: "st.DrawFn") -> None:
    shuffled = [*values]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert sorted(holm(values)) == pytest.approx(sorted(holm(shuffled)))


@pytest.mark.parametrize(
    ("compute", "extra"),
    [
        (lambda: sign_test(3, 1), "web"),
        (lambda: t_quantile(0.97531, 11), "score"),
        (lambda: average_ranks([1.0, 2.0]), "report"),
    ],
)
def test_without_scipy_the_extra_is_named(
    compute: Callable[[], object], extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("scipy", "scipy.stats", "scipy.special"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=rf"promptlift\[{extra}\]"):
        compute()
