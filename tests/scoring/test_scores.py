"""Intervals and tests: by hand, against scipy, and on simulated data."""

import resource
from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from promptlift.scoring import scores
from promptlift.scoring.scores import (
    Score,
    corpus_interval,
    mean_interval,
    paired_test,
    ratio_interval,
)

FLOATS = st.floats(-100, 100)


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
    monkeypatch.setattr(scores, "_NUMBERS_AT_ONCE", 1000)
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


def test_a_score_is_plain_json() -> None:
    score = Score(metric="words", value=3.0, low=2.0, high=4.0, n=5, settings={"a": 1})
    assert score.to_dict() == {
        "metric": "words", "value": 3.0, "low": 2.0, "high": 4.0, "n": 5, "settings": {"a": 1},
    }  # fmt: skip


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
