"""Intervals cover what is true of simulated raters as often as they say.

Each case simulates many studies and counts in how many the interval held the truth. The default
run has few studies and only finds gross faults; the slow run has 500.
"""

from collections.abc import Callable

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
    WinRate,
    win_rates,
)

FEW = 60
MANY = 500
STUDIES = [FEW, pytest.param(MANY, marks=pytest.mark.slow)]

Held = dict[str, bool | None]
Study = Callable[[int], Held]

ALIKE = Crowd(side_bias=0.5, lapses=0.1, ties=0.25)
DIFFERENT = Crowd(prompt_spread=1.0, rater_spread=0.6, side_bias=0.5, lapses=0.1, ties=0.25)


def coverage(study: Study, studies: int) -> dict[str, float]:
    """Share of studies whose intervals held the truth, by name."""
    results = [study(seed) for seed in range(studies)]
    found = {}
    for name in results[0]:
        held = [result[name] for result in results if result[name] is not None]
        found[name] = float(np.mean(np.array(held, dtype=np.float64)))
    print({name: round(value, 3) for name, value in found.items()}, studies)
    return found


def check(found: dict[str, float], studies: int, least: float = 0.95) -> None:
    """No interval covers less than it should by more than chance explains (1 in 1,000)."""
    limit = stats.binom.ppf(0.001, studies, least) / studies
    assert min(found.values()) >= limit, found


def rates_study(crowd: Crowd, raters: int, prompts: int) -> Study:
    decided = crowd.win_rate()
    truths = {
        WITHOUT_TIES: decided,
        TIES_LOSE: decided * (1 - crowd.ties),
        TIES_HALF: decided * (1 - crowd.ties) + crowd.ties / 2,
    }

    def study(seed: int) -> Held:
        votes = simulate_votes(crowd, raters=raters, prompts=prompts, seed=seed)
        rates = win_rates(votes, kind="simulated", draws=400, seed=seed).together.rates
        wilson = {
            f"wilson {rule}": rates[rule].low <= truth <= rates[rule].high
            for rule, truth in truths.items()
        }
        crossed = {f"crossed {rule}": crossed_holds(rates[rule], t) for rule, t in truths.items()}
        return {**wilson, **crossed}

    return study


def crossed_holds(rate: WinRate, truth: float) -> bool:
    assert rate.crossed_low is not None and rate.crossed_high is not None
    return rate.crossed_low <= truth <= rate.crossed_high


@pytest.mark.parametrize("studies", STUDIES)
def test_one_rater_alike_on_all_prompts(studies: int) -> None:
    found = coverage(rates_study(ALIKE, raters=1, prompts=100), studies)
    check({name: value for name, value in found.items() if "wilson" in name}, studies)
    check(found, studies, 0.93)


@pytest.mark.slow
@pytest.mark.parametrize("studies", STUDIES)
def test_raters_and_prompts_that_differ(studies: int) -> None:
    found = coverage(rates_study(DIFFERENT, raters=10, prompts=60), studies)
    check({name: value for name, value in found.items() if "crossed" in name}, studies, 0.93)
    # Votes are not independent here: why the bootstrap is there.
    assert found["wilson " + WITHOUT_TIES] < 0.85


@pytest.mark.parametrize("studies", STUDIES)
def test_raters_and_prompts_that_do_not_differ_get_wide_intervals(studies: int) -> None:
    found = coverage(rates_study(ALIKE, raters=6, prompts=40), studies)
    check(found, studies)


@pytest.mark.slow
def test_three_raters_who_differ_much_are_too_few() -> None:
    check(coverage(rates_study(DIFFERENT, raters=3, prompts=60), MANY), MANY, 0.7)
    found = coverage(rates_study(Crowd(rater_spread=1.5), raters=3, prompts=200), MANY)
    assert 0.5 < found["crossed " + WITHOUT_TIES] < 0.9


@pytest.mark.parametrize("studies", STUDIES)
def test_strengths(studies: int) -> None:
    truth = {"a": -0.7, "b": 0.1, "c": 0.6}
    crowd = Crowd(strengths=truth)

    def study(seed: int) -> Held:
        votes = simulate_votes(crowd, raters=4, prompts=60, seed=seed)
        found = bradley_terry(votes, kind="simulated", draws=200, seed=seed)
        ends = zip(found.low, truth.values(), found.high, strict=True)
        return {
            name: (low is None or low <= true) and (high is None or true <= high)
            for name, (low, true, high) in zip(found.systems, ends, strict=True)
        }

    check(coverage(study, studies), studies, 0.93)


@pytest.mark.parametrize("studies", STUDIES)
def test_consistency_and_side_bias(studies: int) -> None:
    crowd = Crowd(side_bias=0.8)
    # Swapped when seen again, the edge is the same and the bias turned.
    left, right = (1 / (1 + np.exp(-(1.0 + bias))) for bias in (0.8, -0.8))
    consistent = left * right + (1 - left) * (1 - right)
    lefts = (left + 1 - right) / 2

    def study(seed: int) -> Held:
        votes = simulate_votes(crowd, raters=1, prompts=80, repeats=40, seed=seed)
        [found] = rater_checks(votes, kind="simulated")
        return {
            "consistency": found.consistency_low <= consistent <= found.consistency_high,
            "left": found.left_low <= lefts <= found.left_high,
        }

    check(coverage(study, studies), studies, 0.93)


@pytest.mark.slow
@pytest.mark.parametrize("studies", STUDIES)
def test_metrics_against_people(studies: int) -> None:
    def measure(seed: int, prompts: int, draws: int) -> list[float | None]:
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
        ends = (found.accuracy_low, found.accuracy_high, found.tau_low, found.tau_high)
        return [found.accuracy, found.tau, *ends]

    large = [measure(10_000 + seed, 2_000, 1) for seed in range(4)]
    accuracy, tau = (float(np.mean([found[place] for found in large])) for place in (0, 1))

    def study(seed: int) -> Held:
        _, _, accuracy_low, accuracy_high, tau_low, tau_high = measure(seed, 80, 200)
        assert accuracy_low is not None and accuracy_high is not None
        assert tau_low is not None and tau_high is not None
        return {
            "accuracy": accuracy_low <= accuracy <= accuracy_high,
            "tau": tau_low <= tau <= tau_high,
        }

    check(coverage(study, studies), studies, 0.92)
