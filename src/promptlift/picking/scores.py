"""Scores of a run's pictures with the original prompt's own words, a prompt at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt

from promptlift.errors import ConfigError, InputError
from promptlift.pictures import SIDES, Picture, stream_index
from promptlift.scoring.pictures.clip import ClipEncoder, clip_score
from promptlift.scoring.pictures.pair_tables import CLIP_METRICS
from promptlift.scoring.pictures.picture_features import Models, look
from promptlift.scoring.pictures.preference_models import (
    PictureScorer,
    ScorerContext,
    make_scorer,
    scorer_names,
)

Values = npt.NDArray[np.float64]


class ClipScore:
    """CLIPScore as a scorer among the others, with the original prompt."""

    metric = CLIP_METRICS[0]

    def __init__(self, encoder: ClipEncoder) -> None:
        self._encoder = encoder
        self.model = encoder.model_id

    def score(self, *, prompts: Sequence[str], pictures: Sequence[Picture]) -> Values:
        return clip_score(self._encoder.texts(prompts), self._encoder.pictures(pictures))


@dataclass(frozen=True, kw_only=True)
class PromptScores:
    """Scores of all pictures of a prompt; higher is better, negated where the metric has it so.

    Attributes:
        prompt_index: position of the prompt.
        seeds: of the noise, in the order of the columns.
        variants: number of each variant, in the order of the rows.
        original: of the original's pictures, [seeds].
        improved: of the variants' pictures, [variants, seeds].
        blanks: [variants, seeds]: 1 where only the variant's picture is near-blank, -1 where only
            the original's is, else 0.
    """

    prompt_index: int
    seeds: tuple[int, ...]
    variants: tuple[int, ...]
    original: Values
    improved: Values
    blanks: Values


def metric_names() -> list[str]:
    """Metrics that pictures can be picked by."""
    return ["clip", *scorer_names()]


def check_metric(name: str) -> None:
    """Refuse a metric that is not known, before anything is loaded.

    Raises:
        ConfigError: it is not.
    """
    if name not in metric_names():
        raise ConfigError(f"metric {name!r} is not known; there is: {', '.join(metric_names())}")


def load_metric(name: str, context: ScorerContext) -> PictureScorer:
    """The scorer of a metric's name.

    Raises:
        ConfigError: there is none, or neither end of it is better.
        ModelError: its weights are missing or damaged.
        MissingExtraError: packages are missing.
    """
    check_metric(name)
    if name == "clip":
        return ClipScore(context.encoder(context.config.clip))
    scorer = make_scorer(name, context)
    if scorer.metric.higher_is_better is None:
        raise ConfigError(f"metric {name!r} has no better end, so nothing can be picked by it")
    return scorer


def stream_scores(
    folder: Path, scorer: PictureScorer, context: ScorerContext
) -> Iterator[PromptScores]:
    """The scores of each prompt of `folder/index.parquet`, in its order.

    What was encoded is kept, so a second time costs little. Bounded by the pictures of one prompt.

    Raises:
        InputError: a picture cannot be read, or gets no number.
    """
    models = Models(None, [scorer], True, context.encoders(), {})
    sign = 1.0 if scorer.metric.higher_is_better else -1.0
    for index, group in groupby(stream_index(folder), key=lambda one: one.prompt_index):
        pictures = list(group)
        looked = look(pictures, models, context, lambda line: None)
        if looked.faults:
            raise InputError(looked.faults[0])
        values = sign * looked.columns[scorer.metric.name]
        if not np.isfinite(values).all():
            place = int(np.flatnonzero(~np.isfinite(values))[0])
            raise InputError(f"{pictures[place].path} gets no number from {scorer.metric.name}.")
        yield _arranged(index, pictures, values, looked.columns["near_blank"])


def _arranged(
    index: int, pictures: Sequence[Picture], values: Values, blank: Values
) -> PromptScores:
    seeds = tuple(dict.fromkeys(one.seed for one in pictures))
    improved = [one for one in pictures if one.side == SIDES[1]]
    variants = tuple(dict.fromkeys(one.variant for one in improved))
    tables = []
    for column in (values, blank):
        table = np.empty((1 + len(variants), len(seeds)))
        for one, value in zip(pictures, column, strict=True):
            row = 0 if one.side == SIDES[0] else 1 + variants.index(one.variant)
            table[row, seeds.index(one.seed)] = value
        tables.append(table)
    scores, blanks = tables
    return PromptScores(
        prompt_index=index,
        seeds=seeds,
        variants=variants,
        original=scores[0],
        improved=scores[1:],
        blanks=blanks[1:] - blanks[0],
    )
