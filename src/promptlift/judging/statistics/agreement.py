"""Whether raters agree with each other."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from promptlift.errors import InputError
from promptlift.judging.records import IMPROVED, ORIGINAL, PERSON, Vote
from promptlift.judging.statistics.bootstrap import DRAWS, Array, crossed_totals, percentiles
from promptlift.judging.statistics.selecting import TIE, counted, outcome


@dataclass(frozen=True, kw_only=True)
class PairKappa:
    """Cohen's kappa of two raters.

    Attributes:
        first, second: the raters.
        pairs: judged by both.
        alike: share of those that both answered alike; None without any.
        kappa: in [-1, 1]; None where it is not defined.
    """

    first: str
    second: str
    pairs: int
    alike: float | None
    kappa: float | None


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """How far raters agree on whether the baseline, the system or neither is better.

    Attributes:
        raters: who judged at least one pair, sorted.
        pairs: judged by two raters or more.
        alpha: Krippendorff's, over all those pairs; None where it is not defined.
        alpha_low, alpha_high: its 95% percentile bootstrap interval over prompts.
        fleiss: Fleiss' kappa over the pairs that all raters judged; None where not defined.
        fleiss_pairs: how many those are.
        cohen: of each two raters.
    """

    raters: tuple[str, ...]
    pairs: int
    alpha: float | None
    alpha_low: float | None
    alpha_high: float | None
    fleiss: float | None
    fleiss_pairs: int
    cohen: tuple[PairKappa, ...]

    def to_dict(self) -> dict[str, Any]:
        """The agreement as plain JSON types."""
        cohen = [vars(found) for found in self.cohen]
        return {**vars(self), "raters": list(self.raters), "cohen": cohen}


def agreement(
    votes: Iterable[Vote],
    *,
    question: str | None = None,
    kind: str = PERSON,
    system: str = IMPROVED,
    baseline: str = ORIGINAL,
    draws: int = DRAWS,
    seed: int = 0,
) -> Agreement:
    """Agreement between raters, by all three coefficients.

    Answers are mapped from sides to systems first; both kinds of tie are one category. Repeated
    and attention pairs and skips do not count.

    Raises:
        InputError: votes on several questions, none of which was named, or on other systems.
    """
    categories = [baseline, system, TIE]
    by_rater: dict[str, dict[str, str]] = {}
    prompt_of: dict[str, int] = {}
    for vote in counted(votes, question=question, kind=kind):
        answers = by_rater.setdefault(vote.rater, {})
        answers[vote.pair] = outcome(vote, system=system, baseline=baseline)
        prompt_of[vote.pair] = vote.prompt_index
    raters = sorted(by_rater)
    pairs = sorted(prompt_of)
    counts = np.zeros((len(pairs), len(categories)), dtype=np.int64)
    for answers in by_rater.values():
        for row, pair in enumerate(pairs):
            if pair in answers:
                counts[row, categories.index(answers[pair])] += 1
    several = counts.sum(axis=1) > 1
    by_all = counts.sum(axis=1) == len(raters)
    prompts = [prompt_of[pair] for pair, kept in zip(pairs, several, strict=True) if kept]
    interval = _alpha_interval(counts[several], prompts, draws, seed) if prompts else None
    return Agreement(
        raters=tuple(raters),
        pairs=int(several.sum()),
        alpha=krippendorff_alpha(counts),
        alpha_low=interval[0] if interval else None,
        alpha_high=interval[1] if interval else None,
        fleiss=fleiss_kappa(counts[by_all]) if len(raters) > 1 else None,
        fleiss_pairs=int(by_all.sum()) if len(raters) > 1 else 0,
        cohen=tuple(_pair_kappa(by_rater, *two) for two in combinations(raters, 2)),
    )


def cohen_kappa(first: Sequence[Hashable], second: Sequence[Hashable]) -> float | None:
    """Cohen's kappa of two raters, in [-1, 1]: agreement beyond what their habits would give.

    Observed agreement less the chance agreement of the two raters' own shares of each category,
    over 1 less chance agreement (Cohen, Educational and Psychological Measurement 20, 1960).
    None without answers, or where both gave one and the same answer throughout.

    Args:
        first, second: categories, [n] each, of the same n items.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} and {len(second)} answers are no pairs")
    alike = sum(a == b for a, b in zip(first, second, strict=True))
    return _beyond(alike * len(first), chance_alike(first, second), len(first) ** 2)


def chance_alike(first: Sequence[Hashable], second: Sequence[Hashable]) -> int:
    """Pairs of one answer from each that are alike; over n² it is their chance agreement."""
    return sum(list(first).count(name) * list(second).count(name) for name in set(first))


def fleiss_kappa(counts: npt.NDArray[np.int64]) -> float | None:
    """Fleiss' kappa of equally many raters on each item, in [-1, 1].

    Fleiss, Psychological Bulletin 76, 1971; raters need not be the same on each
    item. None without items, or where one category took all answers.

    Args:
        counts: how many raters put the item into the category, [items, categories].

    Raises:
        InputError: items with differently many answers, or with fewer than two.
    """
    if not len(counts):
        return None
    per_item = counts.sum(axis=1)
    raters = int(per_item[0])
    if raters < 2 or (per_item != raters).any():
        numbers = ", ".join(str(number) for number in sorted(set(per_item.tolist())))
        raise InputError(
            f"Fleiss' kappa needs equally many answers to each item, at least 2, not {numbers}. "
            "Leave items out, or use Krippendorff's alpha."
        )
    observed = (counts * (counts - 1)).sum() / (len(counts) * raters * (raters - 1))
    return _beyond(observed, ((counts.sum(axis=0) / counts.sum()) ** 2).sum(), 1.0)


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
    found = np.full(len(totals), np.nan)
    above, below = (n - 1) * alike - by_chance, n * (n - 1) - by_chance
    np.divide(above, below, out=found, where=below > 0)
    return found


def _alpha_interval(
    counts: npt.NDArray[np.int64], prompts: Sequence[int], draws: int, seed: int
) -> tuple[float, float] | None:
    return percentiles(
        _alphas(crossed_totals(_coincidences(counts), None, prompts, draws=draws, seed=seed))
    )


def _pair_kappa(by_rater: Mapping[str, Mapping[str, str]], first: str, second: str) -> PairKappa:
    shared = sorted(set(by_rater[first]) & set(by_rater[second]))
    answers = [[by_rater[rater][pair] for pair in shared] for rater in (first, second)]
    alike = sum(a == b for a, b in zip(*answers, strict=True))
    return PairKappa(
        first=first,
        second=second,
        pairs=len(shared),
        alike=alike / len(shared) if shared else None,
        kappa=cohen_kappa(*answers),
    )


def _beyond(observed: float, chance: float, whole: float) -> float | None:
    """Agreement beyond chance, as a share of what could be."""
    return float((observed - chance) / (whole - chance)) if chance < whole else None
