"""The metric doctor: which metrics can tell a real pair from a shuffled one."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from promptlift.scoring.scores import Metric
from promptlift.scoring.text.metrics import CORPUS_METRICS, TEXT_METRICS
from promptlift.statistics import paired_test

BLIND = "a figure of all prompts together: it does not change when they are shuffled"

Columns = Mapping[str, npt.NDArray[np.float64]]


def examine(
    of: str, real: Columns, shuffled: Columns, weights: Columns | None = None
) -> list[dict[str, Any]]:
    """A row for each metric that both have: does the real value differ from the shuffled one?

    Args:
        of: what was scored, "predictions" or "targets".
        real: values by metric and pair; NaN where a metric does not apply.
        shuffled: the same with another pair's target or source.
        weights: by metric how much each pair weighs; equally where a metric is not named.

    Returns:
        `metric`, `of`, the means `real` and `shuffled`, their `difference` with the ends `low`
        and `high` of its 95% bootstrap interval, `p` of the sign-flip test, `n`, and `tells`:
        whether the interval leaves out 0 on the side where the real is better (on either, where
        neither is better).
    """
    rows = []
    for name, metric in TEXT_METRICS.items():
        if name not in real or name not in shuffled:
            continue
        both = ~(np.isnan(real[name]) | np.isnan(shuffled[name]))
        if not both.any():
            continue
        own, other = real[name][both], shuffled[name][both]
        weight = None if weights is None or name not in weights else weights[name][both]
        found = paired_test(other, own, weights=weight)
        rows.append(
            {
                "metric": name,
                "of": of,
                "real": float(np.average(own, weights=weight)),
                "shuffled": float(np.average(other, weights=weight)),
                **found,
                "n": int(both.sum()),
                "tells": _tells(metric, found),
            }
        )
    return rows


def blind_rows(names: Sequence[str] = CORPUS_METRICS) -> list[dict[str, Any]]:
    """Rows of the metrics that see all prompts at once, which shuffling leaves as they are."""
    return [{"metric": name, "of": "all", "tells": False, "note": BLIND} for name in names]


def cannot_tell(rows: Sequence[Mapping[str, Any]]) -> set[str]:
    """Metrics that do not tell real predictions from shuffled ones; targets where there are none.

    A target scored against itself is no evidence for a metric where predictions were scored.
    """
    judged: dict[str, bool] = {}
    for of in ("targets", "predictions"):  # the later one decides
        judged |= {str(row["metric"]): bool(row["tells"]) for row in rows if row["of"] == of}
    return {metric for metric, tells in judged.items() if not tells}


def _tells(metric: Metric, found: Mapping[str, float]) -> bool:
    better, worse = found["low"] > 0, found["high"] < 0
    if metric.higher_is_better is None:
        return better or worse
    return better if metric.higher_is_better else worse
