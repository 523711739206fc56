"""Intervals, resampling and tests that scoring, picking, judging and reporting share.

Bootstrap intervals are 95% percentile intervals. All random draws have a seed: the same values
give the same result.
"""

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from promptlift.errors import MissingExtraError

DRAWS, FLIPS = 2000, 10_000
_LEVEL = (0.025, 0.975)
_NUMBERS_AT_ONCE = 2_000_000

Array = npt.NDArray[np.float64]
Values = Sequence[float] | Array


@dataclass(frozen=True)
class Estimate:
    """A figure with the ends of its 95% interval; each is None where it is not defined."""

    value: float | None
    low: float | None
    high: float | None


def mean_interval(
    values: Values, groups: Sequence[Any] | None = None, *, seed: int = 0
) -> tuple[float, float, float]:
    """Mean with its bootstrap interval: value, low, high.

    Args:
        values: one for each prediction, without NaN, at least one.
        groups: which predictions belong together, as pictures of one prompt from several seeds:
            whole groups are drawn (Efron and Tibshirani, "An Introduction to the Bootstrap",
            1993, section 8). Each group weighs by its size.
        seed: of the draws.
    """
    sums, counts = _by_group(np.asarray(values, dtype=np.float64), groups)
    return ratio_interval(sums, counts, seed=seed)


def ratio_interval(
    numerators: Values, denominators: Values, *, seed: int = 0
) -> tuple[float, float, float]:
    """Sum over sum, such as bits per character, with its bootstrap interval."""
    above = np.asarray(numerators, dtype=np.float64)
    below = np.asarray(denominators, dtype=np.float64)
    random = np.random.default_rng(seed)
    ratios = []
    for rows in _chunks(DRAWS, len(above)):  # for bounded memory
        draws = random.integers(0, len(above), size=(rows, len(above)))
        ratios.append(above[draws].sum(axis=1) / below[draws].sum(axis=1))
    low, high = np.quantile(np.concatenate(ratios), _LEVEL)
    return float(above.sum() / below.sum()), float(low), float(high)


def corpus_interval(
    items: Sequence[Any], statistic: Callable[[Sequence[Any]], float], *, draws: int = 200
) -> tuple[float, float, float]:
    """A statistic of a whole corpus, such as distinct-n, with its 95% interval.

    Diversity falls where an item is drawn twice, so a bootstrap of such statistics lies below the
    value. Halves drawn without replacement vary as the whole sample would (the delete-half
    jackknife of Shao and Wu, Annals of Statistics 17, 1989); their spread is centred on the value.
    """
    value = statistic(items)
    random = np.random.default_rng(0)
    half = max(1, len(items) // 2)
    found = np.array(
        [
            statistic([items[i] for i in random.choice(len(items), half, replace=False)])
            for _ in range(draws)
        ]
    )
    low, high = np.quantile(found, _LEVEL) - found.mean()
    return float(value), float(value + low), float(value + high)


def crossed_totals(
    values: Array,
    raters: Sequence[str] | None,
    prompts: Sequence[int],
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> Array:
    """Totals over bootstrap samples of raters and of prompts, float64 [draws, columns].

    The pigeonhole bootstrap (Owen, Annals of Applied Statistics 1, 2007): raters are drawn with
    replacement, prompts are drawn with replacement, and a vote weighs the product of how often
    its rater and its prompt were drawn. The spread therefore includes the differences between
    raters and between prompts. The noise of single votes is counted up to three times: where
    raters and prompts differ little, intervals are up to 1.7 times too wide. Like any bootstrap
    of few raters, it is too narrow where few raters differ much: three raters whose log odds have
    a standard deviation of 1.5 gave 77% coverage, ten with 0.6 gave 97%.

    Args:
        values: [votes, columns], what to add up.
        raters: of each vote; with None, or with one rater alone, only prompts are drawn.
        prompts: of each vote.
        draws: bootstrap samples. A sample in which no vote is left has totals of 0.
        seed: of the draws. The order of the votes does not matter, and names matter only by
            their order.
    """
    if not len(values):
        return np.zeros((draws, values.shape[1]))
    rater_places, rater_count = _places(raters or [""] * len(prompts))
    prompt_places, prompt_count = _places(prompts)
    columns = values.shape[1]
    cells = np.zeros((rater_count, prompt_count, columns))
    np.add.at(cells, (rater_places, prompt_places), values)
    flat = cells.reshape(rater_count, -1)
    random = np.random.default_rng(seed)
    found = []
    for rows in _chunks(draws, rater_count + prompt_count * columns):
        of_raters = multiplicities(rater_count, rows, random)
        of_prompts = multiplicities(prompt_count, rows, random)
        by_prompt = (of_raters @ flat).reshape(rows, prompt_count, columns)
        found.append(np.einsum("dp,dpc->dc", of_prompts, by_prompt))
    return np.concatenate(found)


def multiplicities(count: int, draws: int, random: np.random.Generator) -> Array:
    """How often each of `count` was drawn in as many draws with replacement, [draws, count]."""
    if count <= 1:
        return np.ones((draws, count))
    return random.multinomial(count, np.full(count, 1 / count), size=draws).astype(np.float64)


def percentiles(values: Array) -> tuple[float, float] | tuple[None, None]:
    """Ends of the percentile interval of draws. NaN are left out; (None, None) if all are NaN."""
    known = values[~np.isnan(values)]
    if not len(known):
        return None, None
    low, high = np.quantile(known, _LEVEL)
    return float(low), float(high)


def shares(numerators: Array, denominators: Array) -> Array:
    """Numerators over denominators, NaN where there is nothing to divide by."""
    found = np.full(denominators.shape, np.nan)
    np.divide(numerators, denominators, out=found, where=denominators > 0)
    return found


def paired_test(
    first: Values,
    second: Values,
    groups: Sequence[Any] | None = None,
    *,
    weights: Values | None = None,
    seed: int = 0,
) -> dict[str, float]:
    """Mean of second minus first on the same prompts: `difference`, `low`, `high` and `p`.

    With weights it is the weighted mean, as of ratios of sums: bits per character by characters.

    The interval is the bootstrap's, over groups where given. `p` is that of the two-sided sign-flip
    permutation test (Fisher's randomization test): the share of 10,000 random sign changes, of
    whole groups, whose mean is at least as far from 0; the smallest it can be is 1/10,001.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} values are no pairs")
    difference = np.asarray(second, dtype=np.float64) - np.asarray(first, dtype=np.float64)
    weight = np.ones(len(difference)) if weights is None else np.asarray(weights, dtype=np.float64)
    difference = difference * weight
    sums, _ = _by_group(difference, groups)
    mean, low, high = ratio_interval(sums, _by_group(weight, groups)[0], seed=seed)
    random = np.random.default_rng(seed)
    total = sums.sum()
    # Sums in another order differ in their last digits: a tie must count as one.
    far = abs(total) - 1e-9 * np.abs(sums).sum()
    reached = 0
    for rows in _chunks(FLIPS, len(sums)):
        flipped = random.integers(0, 2, size=(rows, len(sums)), dtype=np.int8)
        reached += int((np.abs(total - 2 * (flipped @ sums)) >= far).sum())
    return {"difference": mean, "low": low, "high": high, "p": (reached + 1) / (FLIPS + 1)}


def holm(p_values: Sequence[float]) -> list[float]:
    """p values corrected for their number: Holm, Scandinavian Journal of Statistics 6, 1979.

    The chance that any of them falls below a level where nothing differs is at most that level.
    """
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(order), 0, -1)
    adjusted = np.empty(len(order))
    adjusted[order] = np.maximum.accumulate(np.minimum(1.0, factors * np.asarray(p_values)[order]))
    return [float(p) for p in adjusted]


def wilson(successes: float, n: float, *, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share (Wilson, JASA 22, 1927), without continuity correction.

    It contains the estimate, lies in [0, 1], and is sensible at shares of 0 and 1, where the usual
    interval has no width. It takes the trials as independent. SciPy's takes whole counts only;
    with ties as half a win there are halves.

    Args:
        successes: in [0, n]; `judging.statistics.rates.WinRate` says what fractions mean.
        n: trials; 0 gives (0, 1).
        level: confidence, in (0, 1).
    """
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n} are no share")
    if n == 0:
        return 0.0, 1.0
    square = NormalDist().inv_cdf(0.5 + level / 2.0) ** 2
    share = successes / n
    centre = (share + square / (2 * n)) / (1 + square / n)
    half = math.sqrt(square * (share * (1 - share) + square / (4 * n)) / n) / (1 + square / n)
    # Rounding must not push the ends past the bounds or the estimate.
    return max(0.0, min(centre - half, share)), min(1.0, max(centre + half, share))


def sign_test(wins: int, losses: int) -> float:
    """P value of the exact two-sided test that wins and losses are equally likely, in [0, 1].

    The binomial test at one half (Dixon and Mood, JASA 41, 1946): the chance of a split at least
    as uneven. Ties are left out before; no votes give 1. It takes the votes as independent.

    Raises:
        MissingExtraError: SciPy is not installed.
    """
    tail = scipy_part("special", "Testing votes", "web").bdtr(min(wins, losses), wins + losses, 0.5)
    return min(1.0, 2.0 * float(tail))


@lru_cache(maxsize=64)
def t_quantile(share: float, freedom: int) -> float:
    """Quantile of Student's t distribution.

    Args:
        share: probability below it, between 0 and 1.
        freedom: degrees of freedom, from 1.

    Raises:
        MissingExtraError: SciPy is not installed.
    """
    return float(scipy_part("special", "Comparing with noise", "score").stdtrit(freedom, share))


def average_ranks(values: Values) -> Array:
    """Ranks from 0 for the smallest to 1 for the greatest; equal values share their mean rank.

    A value alone has the rank 0.5.

    Raises:
        MissingExtraError: SciPy is not installed.
    """
    ranks = scipy_part("stats", "Ranking", "report").rankdata(values)
    if len(values) < 2:
        return np.full(len(values), 0.5)
    return np.asarray((ranks - 1) / (len(values) - 1))


def scipy_part(name: str, what: str, extra: str) -> Any:
    """A part of SciPy. `special` loads in a quarter of the time that `stats` takes."""
    try:
        return import_module(f"scipy.{name}")
    except ImportError as error:
        raise MissingExtraError(what, extra) from error


def _by_group(values: Array, groups: Sequence[Any] | None) -> tuple[Array, Array]:
    """Sum and number of the values of each group."""
    if groups is None:
        return values, np.ones(len(values))
    places, _ = _places(groups)
    sums = np.bincount(places, weights=values).astype(np.float64)
    return sums, np.bincount(places).astype(np.float64)


def _places(names: Sequence[Hashable]) -> tuple[npt.NDArray[np.int64], int]:
    """The place of each name among the sorted names, and their number."""
    unique, places = np.unique(np.asarray(names), return_inverse=True)
    return places.astype(np.int64), len(unique)


def _chunks(draws: int, count: int) -> Iterator[int]:
    """How many draws to make at a time, each of `count` numbers."""
    at_once = max(1, _NUMBERS_AT_ONCE // count)
    for start in range(0, draws, at_once):
        yield min(at_once, draws - start)
