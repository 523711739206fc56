"""Scores of a run's pictures with the original prompt's own words, a prompt at a time."""

import importlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from promptlift.errors import ConfigError, InputError
from promptlift.pictures import IMPROVED, Picture, stream_index
from promptlift.scoring.pictures.clip import ClipEncoder
from promptlift.scoring.pictures.measures import GRADED, MEASURES, VERSION, measure
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
from promptlift.scoring.scores import Metric

if TYPE_CHECKING:
    from torch import Tensor

Values = npt.NDArray[np.float64]
# Measures by which pictures can be picked, with their places among all.
_MEASURED = {one.name: at for at, one in enumerate(MEASURES) if one.higher_is_better is None}


class ClipScore:
    """CLIPScore as a scorer among the others, with the original prompt."""

    metric = CLIP_METRICS[0]

    def __init__(self, encoder: ClipEncoder) -> None:
        self._encoder = encoder
        self.model = encoder.model_id

    def score(self, *, prompts: Sequence[str], pictures: Sequence[Picture]) -> Values:
        return clip_score(self._encoder.texts(prompts), self._encoder.pictures(pictures))

    def graded(self, prompts: Sequence[str], pictures: "Tensor") -> "Tensor":
        # Not cut off at 0, as the score is: below it there would be no gradient.
        return 100 * self._encoder.graded_cosines(prompts, pictures)


class MeasureScore:
    """A measure without weights as a scorer among the others: the higher, the better."""

    def __init__(self, name: str, context: ScorerContext) -> None:
        self._place, self._context = _MEASURED[name], context
        self.metric = replace(MEASURES[self._place], higher_is_better=True)
        self.model = VERSION

    def score(self, *, prompts: Sequence[str], pictures: Sequence[Picture]) -> Values:
        images = map(self._context.reader.image, pictures)
        return np.array([measure(image)[self._place] for image in images], np.float64)

    def graded(self, prompts: Sequence[str], pictures: "Tensor") -> "Tensor":
        if self.metric.name not in GRADED:
            raise ConfigError(
                f"{self.metric.name} counts grey levels, so it has no gradient; "
                f"{' and '.join(GRADED)} have one"
            )
        return GRADED[self.metric.name](pictures)


class FunctionScore:
    """A user's own function as a scorer: prompts and PIL pictures to numbers, higher is better."""

    def __init__(
        self, name: str, function: Callable[..., Sequence[float]], context: ScorerContext
    ) -> None:
        self._function, self._context = function, context
        self.metric = Metric(
            name=name.replace(":", "."), title=name, range=(None, None), higher_is_better=True,
            source=name, compares="source",
        )  # fmt: skip
        self.model = name

    def score(self, *, prompts: Sequence[str], pictures: Sequence[Picture]) -> Values:
        images = [self._context.reader.image(picture) for picture in pictures]
        try:
            found = np.asarray(self._function(list(prompts), images), np.float64)
        except Exception as error:  # of a user's own
            raise ConfigError(f"{self.model} failed: {error!r}") from error
        if found.shape != (len(pictures),):
            raise ConfigError(
                f"{self.model} gave {found.shape} for {len(pictures)} pictures; it must give one "
                "number for each"
            )
        return found

    def graded(self, prompts: Sequence[str], pictures: "Tensor") -> "Tensor":
        """The function with a tensor, [pictures, 3, height, width] from 0 to 1, in the place of
        PIL pictures."""
        try:
            found: Tensor = self._function(list(prompts), pictures)  # type: ignore[assignment]
        except Exception as error:  # of a user's own
            raise ConfigError(f"{self.model} failed with a tensor: {error!r}") from error
        if getattr(found, "shape", None) != (len(pictures),) or not found.requires_grad:
            raise ConfigError(
                f"{self.model} must give a tensor of one number for each picture, with gradients"
            )
        return found


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

    @property
    def are_undefined(self) -> bool:
        """Whether the metric has no value for any of them: the prompt asks for nothing."""
        every = (self.original, *self.improved.values())
        return all(bool(np.isnan(values).all()) for values in every)


def check_metric(name: str) -> None:
    """Refuse what prompts cannot be picked by.

    Raises:
        ConfigError: there is no such metric or function.
    """
    if ":" in name:
        _function(name)
    elif name not in _MEASURED:
        check_metrics([name], "clip", *_MEASURED)


def load_metric(name: str, context: ScorerContext) -> PictureScorer:
    """The scorer of a metric's name, of a measure's, or of a function's, as MODULE:FUNCTION.

    Raises:
        ConfigError: there is none, or neither end of it is better.
        ModelError: its weights are missing or damaged.
        MissingExtraError: packages are missing.
    """
    check_metric(name)
    if name == "clip":
        return ClipScore(context.encoder(context.config.clip))
    if name in _MEASURED:
        return MeasureScore(name, context)
    if ":" in name:
        return FunctionScore(name, _function(name), context)
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
        if not np.isfinite(values).all() and not np.isnan(values).all():
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


def _function(name: str) -> Callable[..., Sequence[float]]:
    """The function of MODULE:FUNCTION; modules of the folder one is in are found too."""
    module, _, function = name.partition(":")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        found = getattr(importlib.import_module(module), function)
    except Exception as error:  # whatever a user's module does when it is read
        raise ConfigError(f"metric {name!r} cannot be loaded: {error}") from error
    if not callable(found):
        raise ConfigError(f"metric {name!r} is no function")
    made: Callable[..., Sequence[float]] = found
    return made


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
