"""Whether an automatic metric prefers what people prefer."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from promptlift.judging.records import PERSON, Vote
from promptlift.judging.statistics.selecting import TIE, outcomes
from promptlift.pictures import IMPROVED
from promptlift.statistics import DRAWS, Array, Estimate, multiplicities, percentiles, shares

_ROWS = 512


@dataclass(frozen=True, kw_only=True)
class MetricAgreement:
    """How well a metric's differences follow people's preferences.

    Attributes:
        pairs: of pictures.
        prompts: that they belong to.
        decided: pairs on which people are not evenly split.
        accuracy: share of the decided pairs whose better picture the metric finds, a tie of the
            metric counted as half; in [0, 1], chance is 0.5. None without decided pairs.
        tau: Kendall's tau-b of difference and preference, in [-1, 1]; None where one of them is
            the same for all pairs. Both have percentile bootstrap intervals over prompts.
    """

    pairs: int
    prompts: int
    decided: int
    accuracy: Estimate
    tau: Estimate


def metric_agreement(
    prompts: Sequence[int],
    differences: Sequence[float],
    preferences: Sequence[float],
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> MetricAgreement:
    """Accuracy and rank correlation of a metric with people's mean preference.

    Accuracy is that by which PickScore was measured (Kirstain et al., "Pick-a-Pic", NeurIPS 2023),
    but pairs on which people are evenly split are left out, and a metric ties only where it is
    equal. Tau-b is Kendall's (Biometrika 33, 1945), which allows for ties.

    A drawn prompt brings all its pairs; pairs drawn twice are tied with themselves and count in
    no part of tau.

    Args:
        prompts: index of each pair's prompt, [n].
        differences: the metric's value of improved minus original, higher being better, [n].
        preferences: people's mean, in [-1, 1], 1 where all prefer the improved picture, [n].
        draws: bootstrap samples.
        seed: of the draws.

    Raises:
        ValueError: the three differ in length, or a value is not finite or out of range.
    """
    metric = np.asarray(differences, dtype=np.float64)
    people = np.asarray(preferences, dtype=np.float64)
    if not len(prompts) == len(metric) == len(people):
        raise ValueError(f"{len(prompts)}, {len(metric)} and {len(people)} values are no pairs")
    if not np.isfinite(metric).all() or not (np.abs(people) <= 1.0).all():
        raise ValueError("differences must be finite, and preferences from -1 to 1")
    decided = (people != 0).astype(np.float64)
    right = decided * (1.0 + np.sign(metric) * np.sign(people)) / 2.0
    _, places = np.unique(np.asarray(prompts), return_inverse=True)
    count = len(set(prompts))
    weights = multiplicities(count, draws, np.random.default_rng(seed))[:, places]
    once = np.ones((1, len(metric)))

    def estimate(statistic: Callable[[Array], Array]) -> Estimate:
        [value] = statistic(once)
        known = None if np.isnan(value) else float(value)
        return Estimate(known, *percentiles(statistic(weights)))

    return MetricAgreement(
        pairs=len(metric),
        prompts=count,
        decided=int(decided.sum()),
        accuracy=estimate(lambda drawn: shares(drawn @ right, drawn @ decided)),
        tau=estimate(lambda drawn: _taus(metric, people, drawn)),
    )


def mean_preferences(
    votes: Iterable[Vote],
    *,
    question: str | None = None,
    kind: str = PERSON,
    system: str = IMPROVED,
) -> dict[str, tuple[int, float]]:
    """For each pair its prompt's index and the mean of its votes: 1 a win, 0 a tie, -1 a loss.

    Raises:
        InputError: votes on several questions, none of which was named, or on other systems.
    """
    points: dict[tuple[str, int], list[int]] = {}
    for vote, winner in outcomes(votes, question=question, kind=kind, system=system):
        point = 0 if winner == TIE else 1 if winner == system else -1
        points.setdefault((vote.pair, vote.prompt_index), []).append(point)
    return {pair: (index, fmean(found)) for (pair, index), found in points.items()}


def _taus(first: Array, second: Array, weights: Array) -> Array:
    """Kendall's tau-b of pairs with whole weights, [draws] for weights [draws, pairs].

    Concordant less discordant comparisons over the geometric mean of those that are tied in
    neither variable by itself. Rows of the table of comparisons are made a few hundred at a time.
    """
    sums = np.zeros((3, len(weights)))
    narrow = weights.astype(np.float32)  # holds whole numbers up to 16 million exactly
    for start in range(0, len(first), _ROWS):
        rows = slice(start, start + _ROWS)
        signs = [
            np.sign(values[rows, None] - values[None]).astype(np.float32)
            for values in (first, second)
        ]
        tables = (signs[0] * signs[1], np.abs(signs[0]), np.abs(signs[1]))
        for place, table in enumerate(tables):
            sums[place] += ((narrow @ table.T) * weights[:, rows]).sum(axis=1)
    return shares(sums[0], np.sqrt(sums[1] * sums[2]))
