"""Whether raters agree with each other."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from promptlift.judging.records import PERSON, Vote
from promptlift.judging.statistics.selecting import TIE, outcomes
from promptlift.pictures import IMPROVED, ORIGINAL
from promptlift.statistics import DRAWS, Array, Estimate, crossed_totals, percentiles, shares


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How far raters agree on whether the original, the system or neither is better.

    Attributes:
        raters: who judged at least one pair, sorted.
        pairs: judged by two raters or more.
        alpha: Krippendorff's, over all those pairs, with its bootstrap interval over prompts.
    """

    raters: tuple[str, ...]
    pairs: int
    alpha: Estimate


def agreement(
    votes: Iterable[Vote],
    *,
    question: str | None = None,
    kind: str = PERSON,
    system: str = IMPROVED,
    draws: int = DRAWS,
    seed: int = 0,
) -> Agreement:
    """Agreement between raters.

    Answers are mapped from sides to systems first; both kinds of tie are one category. Repeated
    and attention pairs and skips do not count.

    Raises:
        InputError: votes on several questions, none of which was named, or on other systems.
    """
    found = outcomes(votes, question=question, kind=kind, system=system)
    prompt_of = {vote.pair: vote.prompt_index for vote, _ in found}
    pairs, categories = sorted(prompt_of), [ORIGINAL, system, TIE]
    counts = np.zeros((len(pairs), len(categories)), dtype=np.int64)
    places = {pair: row for row, pair in enumerate(pairs)}
    for vote, answer in found:
        counts[places[vote.pair], categories.index(answer)] += 1
    prompts = [prompt_of[pairs[place]] for place in np.flatnonzero(counts.sum(axis=1) > 1)]
    drawn = crossed_totals(_coincidences(counts), None, prompts, draws=draws, seed=seed)
    return Agreement(
        raters=tuple(sorted({vote.rater for vote, _ in found})),
        pairs=len(prompts),
        alpha=Estimate(krippendorff_alpha(counts), *percentiles(_alphas(drawn))),
    )


def krippendorff_alpha(counts: npt.NDArray[np.int64]) -> float | None:
    """Krippendorff's alpha for categories without order, at most 1; answers may be missing.

    Krippendorff, "Computing Krippendorff's Alpha-Reliability", 2011, section C. Items with fewer
    than two answers say nothing of agreement and are left out. None if no others are left, or
    where one category took all answers.

    Args:
        counts: how many raters put the item into the category, [items, categories].
    """
    [alpha] = _alphas(_coincidences(counts).sum(axis=0, keepdims=True))
    return None if np.isnan(alpha) else float(alpha)


def _coincidences(counts: npt.NDArray[np.int64]) -> Array:
    """For each item with several answers its pairs of answers alike, then of each category."""
    counts = counts[counts.sum(axis=1) > 1]
    per_item = counts.sum(axis=1, keepdims=True)
    alike = (counts * (counts - 1)).sum(axis=1, keepdims=True) / (per_item - 1)
    return np.concatenate([alike, counts], axis=1, dtype=np.float64)


def _alphas(totals: Array) -> Array:
    alike, of_category = totals[:, 0], totals[:, 1:]
    n = of_category.sum(axis=1)
    by_chance = (of_category * (of_category - 1)).sum(axis=1)
    return shares((n - 1) * alike - by_chance, n * (n - 1) - by_chance)
