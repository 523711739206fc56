"""Original and improved pictures compared: differences, win rates, and what chance gives."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from promptlift.scoring.scores import Metric, Score
from promptlift.statistics import mean_interval, paired_test

Values = npt.NDArray[np.float64]
Number = TypeVar("Number", float, Values)


def gain_of(original: Number, improved: Number, *, higher_is_better: bool = True) -> Number:
    """By how much the improved picture is better, in the unit of the metric.

    Args:
        original: value of the original picture, or an array of them.
        improved: of the improved picture of the same prompt and seed.
        higher_is_better: which end of the metric is the better one.
    """
    return improved - original if higher_is_better else original - improved


def mean_score(
    metric: Metric,
    values: Values,
    prompts: npt.NDArray[np.int64],
    settings: Mapping[str, Any],
    *,
    seed: int = 0,
) -> Score | None:
    """Mean with its 95% interval over prompts, with the seeds of a prompt drawn together.

    Args:
        metric: the metric.
        values: of pictures or pairs; NaN where it is undefined, left out and counted as
            `undefined` in the settings.
        prompts: prompt of each value.
        settings: what else decides the value.
        seed: of the bootstrap.

    Returns:
        The score, its `n` the number of prompts; None where no value is defined.
    """
    known = ~np.isnan(values)
    if not known.any():
        return None
    groups = prompts[known].tolist()
    value, low, high = mean_interval(values[known], groups, seed=seed)
    more = {"undefined": int((~known).sum())} if not known.all() else {}
    return Score(
        metric=metric.name,
        value=value,
        low=low,
        high=high,
        n=len(set(groups)),
        settings={**settings, **more},
    )


def compare(
    metric: Metric,
    original: Values,
    improved: Values,
    prompts: npt.NDArray[np.int64],
    *,
    tie: float,
    seed: int = 0,
) -> dict[str, Any] | None:
    """Improved against original pictures in one metric, pair by pair.

    Args:
        metric: the metric; where it has no better end, wins are not counted.
        original: values of the original pictures, [pairs].
        improved: of the improved pictures of the same prompt and seed, [pairs].
        prompts: prompt of each pair.
        tie: values that differ by no more are a tie.
        seed: of the bootstrap and the permutation test.

    Returns:
        `metric`, `n` (prompts), `pairs`, `difference` (improved minus original) with `low`, `high`
        and `p` as `paired_test` gives them, and where the metric has a better end `wins`,
        `losses`, `ties` and `win_rate`. None where no pair has both values.
    """
    known = ~(np.isnan(original) | np.isnan(improved))
    if not known.any():
        return None
    original, improved = original[known], improved[known]
    groups = prompts[known].tolist()
    found: dict[str, Any] = {
        "metric": metric.name,
        "n": len(set(groups)),
        "pairs": len(groups),
        **paired_test(original, improved, groups, seed=seed),
    }
    if metric.higher_is_better is None:
        return found
    gains = gain_of(original, improved, higher_is_better=metric.higher_is_better)
    return {**found, **win_rates(gains, prompts[known], tie=tie, seed=seed)}


def win_rates(
    gains: Values, prompts: npt.NDArray[np.int64], *, tie: float, seed: int = 0
) -> dict[str, Any]:
    """How often the improved picture wins, by each way of counting ties.

    Args:
        gains: by how much the improved picture of each pair is better.
        prompts: prompt of each pair.
        tie: a gain or loss of no more is a tie.
        seed: of the bootstrap.

    Returns:
        `wins`, `losses`, `ties` (pairs), `tie` (the threshold) and `win_rate`, which has `value`,
        `low` and `high` under `ties_to_original` (as the paper counts), `ties_half` and
        `without_ties` (None where every pair is a tie).
    """
    wins, losses = gains > tie, gains < -tie
    decided = wins | losses
    won = wins.astype(np.float64)

    def rate(values: Values, groups: npt.NDArray[np.int64]) -> dict[str, float]:
        value, low, high = mean_interval(values, groups.tolist(), seed=seed)
        return {"value": value, "low": low, "high": high}

    return {
        "wins": int(wins.sum()),
        "losses": int(losses.sum()),
        "ties": int((~decided).sum()),
        "tie": tie,
        "win_rate": {
            "ties_to_original": rate(won, prompts),
            "ties_half": rate(np.where(decided, won, 0.5), prompts),
            "without_ties": rate(won[decided], prompts[decided]) if decided.any() else None,
        },
    }


def other_prompts(sources: Mapping[int, str], *, seed: int = 0) -> dict[int, int] | None:
    """For each prompt another one, with other words: the shuffled captions.

    The distinct original prompts stand in a circle in random order, and each takes the next, so
    none keeps its own and each is taken once. What a metric gives for these is what chance gives.

    Args:
        sources: original prompt by `prompt_index`.
        seed: of the order.

    Returns:
        The other prompt's index by `prompt_index`; None where all prompts are one.
    """
    first: dict[str, int] = {}
    for index in sorted(sources):
        first.setdefault(sources[index], index)
    distinct = sorted(first)
    if len(distinct) < 2:
        return None
    order = [distinct[place] for place in np.random.default_rng(seed).permutation(len(distinct))]
    following = dict(zip(order, [*order[1:], order[0]], strict=True))
    return {index: first[following[source]] for index, source in sources.items()}


def scores_of(
    metrics: Sequence[Metric],
    columns: Mapping[str, Values],
    prompts: npt.NDArray[np.int64],
    settings: Mapping[str, Mapping[str, Any]],
    *,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """The scores of those metrics that have a column, as JSON."""
    found = [
        mean_score(
            metric, columns[metric.name], prompts, settings.get(metric.name, {}), seed=seed
        )
        for metric in metrics
        if metric.name in columns
    ]  # fmt: skip
    return [score.to_dict() for score in found if score is not None]
