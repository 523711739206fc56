"""Scores of a run's pictures with the original prompt's own words, a prompt at a time."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
import numpy.typing as npt

from promptlift.errors import ConfigError, InputError
from promptlift.pictures import IMPROVED, Picture, stream_index
from promptlift.scoring.pictures.clip import ClipEncoder
from promptlift.scoring.pictures.metrics import CLIP_METRICS
from promptlift.scoring.pictures.pair_scores import gain_of
from promptlift.scoring.pictures.picture_features import PictureModels, features_of
from promptlift.scoring.pictures.preference_models import (
    PictureScorer,
    ScorerContext,
    check_metrics,
    make_scorer,
)
from promptlift.scoring.pictures.similarity import clip_score

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
        seeds: of the noise, in the order of the scores.
        original: of the original's pictures, [seeds].
        improved: by variant, of the variant's pictures, [seeds].
        blanks: by variant, [seeds]: 1 where only the variant's picture is near-blank, -1 where
            only the original's is, else 0.
    """

    prompt_index: int
    seeds: tuple[int, ...]
    original: Values
    improved: Mapping[int, Values]
    blanks: Mapping[int, Values]


def load_metric(name: str, context: ScorerContext) -> PictureScorer:
    """The scorer of a metric's name.

    Raises:
        ConfigError: there is none, or neither end of it is better.
        ModelError: its weights are missing or damaged.
        MissingExtraError: packages are missing.
    """
    check_metrics([name], "clip")
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
    models = PictureModels(context=context, scorers=[scorer])
    sign = 1.0 if scorer.metric.higher_is_better else -1.0
    for index, group in groupby(stream_index(folder), key=lambda one: one.prompt_index):
        pictures = list(group)
        found = features_of(pictures, models)
        if found.faults:
            raise InputError(found.faults[0])
        values = sign * found.columns[scorer.metric.name]
        if not np.isfinite(values).all():
            place = int(np.flatnonzero(~np.isfinite(values))[0])
            raise InputError(f"{pictures[place].path} gets no number from {scorer.metric.name}.")
        yield _prompt_scores(index, pictures, values, found.columns["near_blank"])


def matched(
    stream: Iterator[PromptScores], indices: Iterable[int]
) -> Iterator[PromptScores | None]:
    """The scores of each of some prompts in their order, None where no picture of it was drawn."""
    found = next(stream, None)
    for index in indices:
        if found is not None and found.prompt_index == index:
            yield found
            found = next(stream, None)
        else:
            yield None


def _prompt_scores(
    index: int, pictures: Sequence[Picture], values: Values, blank: Values
) -> PromptScores:
    rows = {
        one.key: row for one, row in zip(pictures, np.stack([values, blank], axis=1), strict=True)
    }
    seeds = tuple(dict.fromkeys(one.seed for one in pictures))
    variants = dict.fromkeys(one.variant for one in pictures if one.side == IMPROVED)
    original = np.array([rows[index, seed, False, 0] for seed in seeds])
    improved = {
        variant: np.array([rows[index, seed, True, variant] for seed in seeds])
        for variant in variants
    }
    return PromptScores(
        prompt_index=index,
        seeds=seeds,
        original=original[:, 0],
        improved={variant: found[:, 0] for variant, found in improved.items()},
        blanks={
            variant: gain_of(original[:, 1], found[:, 1]) for variant, found in improved.items()
        },
    )
