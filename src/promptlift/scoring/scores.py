"""What a metric is, and what a score is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


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
