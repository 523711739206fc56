"""Metrics held against people."""

import json
from dataclasses import asdict, astuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from promptlift.judging.statistics.metrics_agreement import mean_preferences, metric_agreement
from promptlift.statistics import Estimate
from tests.judging.votes import swapped, votes_of

PAIRS = st.lists(
    st.tuples(st.integers(0, 9), st.integers(-3, 3), st.integers(-2, 2)), min_size=2, max_size=30
)


def test_accuracy_and_tau_by_hand() -> None:
    # Right, wrong, a tie of the metric, people split, right.
    found = metric_agreement([0, 1, 2, 3, 4], [0.2, 0.1, 0.0, -9.0, -0.3], [1, -0.5, 1, 0, -1])
    assert (found.pairs, found.prompts, found.decided) == (5, 5, 4)
    assert found.accuracy.value == pytest.approx(2.5 / 4)
    # Of ten comparisons people tie one (first and third). Of the others are discordant: second
    # with third, fourth with second, fourth with fifth; concordant are six.
    assert found.tau.value == pytest.approx((6 - 3) / np.sqrt(10 * 9))
    json.dumps(asdict(found), allow_nan=False)


@given(PAIRS)
@settings(max_examples=60)
def test_tau_is_scipys(pairs: list[tuple[int, int, int]]) -> None:
    prompts, metric, people = zip(*pairs, strict=True)
    found = metric_agreement(prompts, metric, [value / 2 for value in people], draws=20)
    if len(set(metric)) == 1 or len(set(people)) == 1:
        assert found.tau.value is None
    else:
        assert found.tau.value == pytest.approx(stats.kendalltau(metric, people).statistic)


@given(PAIRS)
@settings(max_examples=40)
def test_turning_both_or_the_order_changes_nothing_and_one_flips(
    pairs: list[tuple[int, int, int]],
) -> None:
    prompts, metric, people = (list(values) for values in zip(*pairs, strict=True))
    shares = [value / 2 for value in people]
    found = metric_agreement(prompts, metric, shares, draws=20)
    down, away = [-value for value in metric], [-value for value in shares]
    assert metric_agreement(prompts, down, away, draws=20) == found
    assert metric_agreement(prompts[::-1], metric[::-1], shares[::-1], draws=20) == found
    flipped = metric_agreement(prompts, down, shares, draws=20)
    for name in ("accuracy", "tau"):
        one, other = getattr(found, name), getattr(flipped, name)
        if one.value is not None:
            whole = 1 if name == "accuracy" else 0
            assert other.value == pytest.approx(whole - one.value)
            assert other.low == pytest.approx(whole - one.high)
            assert whole - 1 <= one.low <= one.high <= 1 + 1e-12


def test_weighted_tau_is_that_of_the_repeated_pairs() -> None:
    from promptlift.judging.statistics.metrics_agreement import _taus

    random = np.random.default_rng(3)
    metric, people = random.integers(-3, 4, (2, 700)).astype(np.float64)  # several blocks of rows
    weights = random.integers(0, 4, (3, 700)).astype(np.float64)
    for weight, tau in zip(weights, _taus(metric, people, weights), strict=True):
        times = weight.astype(np.int64)
        expected = stats.kendalltau(np.repeat(metric, times), np.repeat(people, times)).statistic
        assert tau == pytest.approx(expected)


def test_whole_prompts_are_drawn() -> None:
    random = np.random.default_rng(4)
    metric, people = random.normal(size=60), random.choice([-1.0, 1.0], 60)
    once = metric_agreement(range(60), metric.tolist(), people.tolist())
    copies = metric_agreement(
        [*range(60)] * 4, np.tile(metric, 4).tolist(), np.tile(people, 4).tolist()
    )
    assert copies.accuracy == once.accuracy
    assert astuple(copies.tau) == pytest.approx(astuple(once.tau))


def test_nothing_to_compare() -> None:
    found, nothing = metric_agreement([], [], []), Estimate(None, None, None)
    assert (found.accuracy, found.tau, found.pairs) == (nothing, nothing, 0)
    assert metric_agreement([1, 2], [0.1, 0.2], [0, 0]).accuracy.low is None
    with pytest.raises(ValueError, match="1, 2 and 1 values"):
        metric_agreement([1], [0.1, 0.2], [0])
    with pytest.raises(ValueError, match="from -1 to 1"):
        metric_agreement([1], [0.1], [1.5])
    with pytest.raises(ValueError, match="finite"):
        metric_agreement([1], [float("nan")], [1])


def test_preferences_are_means_over_raters() -> None:
    votes = [*votes_of("wwt", rater="ann"), *swapped(votes_of("wlbs", rater="bob"))]
    assert mean_preferences(votes) == {"pair-0": (0, 1.0), "pair-1": (1, 0.0), "pair-2": (2, 0.0)}
