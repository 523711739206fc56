"""What a metric is, what a score is, and how sure it is."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

DRAWS, FLIPS = 2000, 10_000
_LEVEL = (0.025, 0.975)
_NUMBERS_AT_ONCE = 2_000_000

Values = Sequence[float] | npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A measure, apart from any value of it.

    Attributes:
        name: key in records and columns, "bertscore_f1_target".
        title: as people write it, "BERTScore F1 (target)".
        range: least and greatest possible value; None where there is no bound.
        higher_is_better: None where neither is better by itself, as for lengths.
        source: paper, package or definition.
        compares: what the prediction is held against: "target", "source", "picture", "others"
            (the other predictions), or "nothing".
    """

    name: str
    title: str
    range: tuple[float | None, float | None]
    higher_is_better: bool | None
    source: str
    compares: str = "nothing"


@dataclass(frozen=True, kw_only=True)
class Score:
    """The value of a metric over some predictions.

    Attributes:
        metric: name of the metric.
        value: mean over the predictions, or the corpus's value.
        low: lower end of the 95% bootstrap interval.
        high: upper end.
        n: predictions (or prompts, where several pictures belong to one) that it rests on.
        settings: what decides the value beside the texts: model, layer, smoothing, …
    """

    metric: str
    value: float
    low: float
    high: float
    n: int
    settings: Mapping[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The score as plain JSON types."""
        return {**vars(self), "settings": dict(self.settings)}


def mean_interval(
    values: Values, groups: Sequence[Any] | None = None, *, seed: int = 0
) -> tuple[float, float, float]:
    """Mean with its 95% percentile bootstrap interval.

    Args:
        values: one for each prediction, without NaN, at least one.
        groups: which predictions belong together, as pictures of one prompt from several seeds:
            whole groups are drawn (Efron and Tibshirani, "An Introduction to the Bootstrap",
            1993, section 8). Groups of like size are taken to weigh by their size.
        seed: of the draws.
    """
    array = np.asarray(values, dtype=np.float64)
    sums, counts = _by_group(array, groups)
    return (float(array.mean()), *_bootstrap(sums, counts, seed))


def ratio_interval(
    numerators: Values, denominators: Values, *, seed: int = 0
) -> tuple[float, float, float]:
    """Sum over sum, as bits per character are, with its 95% percentile bootstrap interval."""
    above = np.asarray(numerators, dtype=np.float64)
    below = np.asarray(denominators, dtype=np.float64)
    return (float(above.sum() / below.sum()), *_bootstrap(above, below, seed))


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
    if weights is None:
        mean, low, high = mean_interval(difference, groups, seed=seed)
    else:
        weight = np.asarray(weights, dtype=np.float64)
        difference = difference * weight
        total_weights, _ = _by_group(weight, groups)
        mean, low, high = ratio_interval(_by_group(difference, groups)[0], total_weights, seed=seed)
    sums, _ = _by_group(difference, groups)
    random = np.random.default_rng(seed)
    total = sums.sum()
    # Sums in another order differ in their last digits: a tie must count as one.
    far = abs(total) - 1e-9 * np.abs(sums).sum()
    reached = 0
    for rows in _chunks(FLIPS, len(sums)):
        flipped = random.integers(0, 2, size=(rows, len(sums)), dtype=np.int8)
        reached += int((np.abs(total - 2 * (flipped @ sums)) >= far).sum())
    return {"difference": mean, "low": low, "high": high, "p": (reached + 1) / (FLIPS + 1)}


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


def _by_group(
    values: npt.NDArray[np.float64], groups: Sequence[Any] | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    if groups is None:
        return values, np.ones(len(values))
    _, places = np.unique(np.asarray(groups), return_inverse=True)
    sums = np.bincount(places, weights=values).astype(np.float64)
    return sums, np.bincount(places).astype(np.float64)


def _bootstrap(
    sums: npt.NDArray[np.float64], counts: npt.NDArray[np.float64], seed: int
) -> tuple[float, float]:
    """Ends of the 95% interval of the ratio of two sums, drawn in chunks of bounded memory."""
    random = np.random.default_rng(seed)
    ratios = []
    for rows in _chunks(DRAWS, len(sums)):
        draws = random.integers(0, len(sums), size=(rows, len(sums)))
        ratios.append(sums[draws].sum(axis=1) / counts[draws].sum(axis=1))
    low, high = np.quantile(np.concatenate(ratios), _LEVEL)
    return float(low), float(high)


def _chunks(draws: int, count: int) -> Iterator[int]:
    """How many draws to make at a time, each of `count` numbers."""
    at_once = max(1, _NUMBERS_AT_ONCE // count)
    while draws > 0:
        yield min(draws, at_once)
        draws -= at_once
