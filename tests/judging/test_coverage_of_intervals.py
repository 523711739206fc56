"""Intervals cover what is true of simulated raters as often as they say, and are no wider.

Each case simulates many studies and counts in how many the interval held the truth. As an endless
interval holds every truth, the mean width is compared with what it should be: 2 x 1.96 standard
deviations of the estimates of the studies. The default run has few studies and only finds gross
faults; the slow run has 500.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
from scipy import stats

from benchmarks.judging.simulate import Crowd, simulate_votes
from promptlift.judging.statistics.bradley_terry import bradley_terry
from promptlift.judging.statistics.metrics_agreement import mean_preferences, metric_agreement
from promptlift.judging.statistics.rater_checks import rater_checks
from promptlift.judging.statistics.rates import (
    TIES_HALF,
    TIES_LOSE,
    WITHOUT_TIES,
    win_rates,
)
from promptlift.statistics import Estimate

FEW = 60
MANY = 500
STUDIES = [FEW, pytest.param(MANY, marks=pytest.mark.slow)]


class Interval(NamedTuple):
    low: float
    estimate: float
    high: float
    truth: float


class Found(NamedTuple):
    coverage: float  # share of studies whose interval held the truth
    width: float  # mean width over that of 2 x 1.96 standard deviations of the estimates


Study = Callable[[int], dict[str, Interval]]

# The widest that intervals may be, times what they should be; a tenth is for their own shape.
WIDEST = 1.1
# The bootstrap over raters and prompts counts the chance of a single vote three times, in the
# draw of raters, in that of prompts and in both, so it is too wide by the root of 3 where nothing
# but chance differs (Owen, The pigeonhole bootstrap, 2007).
COUNTED_THRICE = 1.1 * 3**0.5
# Where raters and prompts differ, that chance is the lesser part; this much was measured.
COUNTED_THRICE_IN_PART = 1.25

ALIKE = Crowd(side_bias=0.5, lapses=0.1, ties=0.25)
DIFFERENT = Crowd(prompt_spread=1.0, rater_spread=0.6, side_bias=0.5, lapses=0.1, ties=0.25)


def coverage(study: Study, studies: int) -> dict[str, Found]:
    """Coverage and width of the intervals over many studies, by name."""
    results = [study(seed) for seed in range(studies)]
    found = {}
    for name in results[0]:
        low, estimate, high, truth = np.array([result[name] for result in results]).T
        spread = 2 * stats.norm.ppf(0.975) * np.std(estimate, ddof=1)
        found[name] = Found(
            float(np.mean((low <= truth) & (truth <= high))), float(np.mean(high - low) / spread)
        )
    print({name: tuple(round(v, 3) for v in both) for name, both in found.items()}, studies)
    return found


def check(
    found: dict[str, Found], studies: int, least: float = 0.95, widest: float = WIDEST
) -> None:
    """No interval covers less than it should, or is wider than `widest` times what it should be,
    by more than chance explains (1 in 1,000)."""
    limit = stats.binom.ppf(0.001, studies, least) / studies
    assert min(one.coverage for one in found.values()) >= limit, found
    # The standard deviation of the estimates is itself an estimate.
    short = (stats.chi2.ppf(0.001, studies - 1) / (studies - 1)) ** 0.5
    assert max(one.width for one in found.values()) <= widest / short, found


def interval(found: Estimate, truth: float) -> Interval:
    """An estimate of which all is known, beside the truth."""
    assert found.low is not None and found.value is not None and found.high is not None
    return Interval(found.low, found.value, found.high, truth)


def rates_study(crowd: Crowd, raters: int, prompts: int) -> Study:
    decided = crowd.win_rate()
    truths = {
        WITHOUT_TIES: decided,
        TIES_LOSE: decided * (1 - crowd.ties),
        TIES_HALF: decided * (1 - crowd.ties) + crowd.ties / 2,
    }

    def study(seed: int) -> dict[str, Interval]:
        votes = simulate_votes(crowd, raters=raters, prompts=prompts, seed=seed)
        rates = win_rates(votes, kind="simulated", draws=400, seed=seed).together.rates
        found = {}
        for rule, truth in truths.items():
            found[f"wilson {rule}"] = interval(rates[rule].wilson, truth)
            found[f"crossed {rule}"] = interval(rates[rule].crossed, truth)
        return found

    return study


@pytest.mark.parametrize("studies", STUDIES)
def test_one_rater_alike_on_all_prompts(studies: int) -> None:
    found = coverage(rates_study(ALIKE, raters=1, prompts=100), studies)
    check({name: value for name, value in found.items() if "wilson" in name}, studies)
    check(found, studies, 0.93)


@pytest.mark.slow
@pytest.mark.parametrize("studies", STUDIES)
def test_raters_and_prompts_that_differ(studies: int) -> None:
    found = coverage(rates_study(DIFFERENT, raters=10, prompts=60), studies)
    check({name: value for name, value in found.items() if "crossed" in name}, studies, 0.93,
          COUNTED_THRICE_IN_PART)  # fmt: skip
    # Votes are not independent here: why the bootstrap is there.
    assert found["wilson " + WITHOUT_TIES].coverage < 0.85


@pytest.mark.parametrize("studies", STUDIES)
def test_raters_and_prompts_that_do_not_differ_get_wide_intervals(studies: int) -> None:
    found = coverage(rates_study(ALIKE, raters=6, prompts=40), studies)
    check(found, studies, widest=COUNTED_THRICE)


@pytest.mark.slow
def test_three_raters_who_differ_much_are_too_few() -> None:
    check(coverage(rates_study(DIFFERENT, raters=3, prompts=60), MANY), MANY, 0.7,
          COUNTED_THRICE_IN_PART)  # fmt: skip
    found = coverage(rates_study(Crowd(rater_spread=1.5), raters=3, prompts=200), MANY)
    assert 0.5 < found["crossed " + WITHOUT_TIES].coverage < 0.9


@pytest.mark.parametrize("studies", STUDIES)
def test_strengths(studies: int) -> None:
    truth = {"a": -0.7, "b": 0.1, "c": 0.6}
    crowd = Crowd(strengths=truth)

    def study(seed: int) -> dict[str, Interval]:
        votes = simulate_votes(crowd, raters=4, prompts=60, seed=seed)
        found = bradley_terry(votes, kind="simulated", draws=200, seed=seed)
        low = [-np.inf if end is None else end for end in found.low]
        high = [np.inf if end is None else end for end in found.high]
        ends = zip(low, found.strengths, high, truth.values(), strict=True)
        return {name: Interval(*values) for name, values in zip(found.systems, ends, strict=True)}

    check(coverage(study, studies), studies, 0.93, COUNTED_THRICE)


@pytest.mark.parametrize("studies", STUDIES)
def test_consistency_and_side_bias(studies: int) -> None:
    crowd = Crowd(side_bias=0.8)
    # Swapped when seen again, the edge is the same and the bias turned.
    left, right = (1 / (1 + np.exp(-(1.0 + bias))) for bias in (0.8, -0.8))
    consistent = left * right + (1 - left) * (1 - right)
    lefts = (left + 1 - right) / 2

    def study(seed: int) -> dict[str, Interval]:
        votes = simulate_votes(crowd, raters=1, prompts=80, repeats=40, seed=seed)
        [found] = rater_checks(votes, kind="simulated")
        return {
            "consistency": interval(found.consistency, consistent),
            "left": interval(found.left_share, lefts),
        }

    check(coverage(study, studies), studies, 0.93)


@pytest.mark.slow
@pytest.mark.parametrize("studies", STUDIES)
def test_metrics_against_people(studies: int) -> None:
    def measure(seed: int, prompts: int, draws: int) -> tuple[Estimate, Estimate]:
        random = np.random.default_rng(seed)
        crowd = Crowd(prompt_spread=1.5)
        votes = simulate_votes(crowd, raters=5, prompts=prompts, seed=seed)
        people = mean_preferences(votes, kind="simulated")
        preferences = [mean for _, mean in people.values()]
        metric = np.array(preferences) + random.normal(scale=1.0, size=prompts)
        found = metric_agreement(
            [prompt for prompt, _ in people.values()],
            metric.tolist(),
            preferences,
            draws=draws,
            seed=seed,
        )
        return found.accuracy, found.tau

    large = [measure(10_000 + seed, 2_000, 1) for seed in range(4)]
    accuracy, tau = (float(np.mean([found[place].value for found in large])) for place in (0, 1))

    def study(seed: int) -> dict[str, Interval]:
        one, other = measure(seed, 80, 200)
        return {"accuracy": interval(one, accuracy), "tau": interval(other, tau)}

    check(coverage(study, studies), studies, 0.92)
