"""Features and values of every picture of a run: each is read once, for all models together."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from promptlift.errors import InputError, ModelError
from promptlift.picture_files import PictureReader
from promptlift.pictures import Picture
from promptlift.progress import progress
from promptlift.prompts.parts import parts_of
from promptlift.prompts.syntax import parse
from promptlift.scoring.pictures.clip import ClipEncoder
from promptlift.scoring.pictures.feature_cache import FloatArray
from promptlift.scoring.pictures.measures import MEASURES, VERSION, measure
from promptlift.scoring.pictures.preference_models import (
    PickScore,
    PictureScorer,
    ScorerContext,
    check_metrics,
    make_scorer,
)
from promptlift.scoring.scores import Metric
from promptlift.world.bundle import SCORING_NOTICE, is_pocket

Values = npt.NDArray[np.float64]
Report = Callable[[str], None]

_NAMED = 20  # faulty files named one by one; all of them are counted


@dataclass(frozen=True, kw_only=True)
class PictureModels:
    """The models that pictures are scored with.

    Attributes:
        context: the settings, and all that is shared.
        clip: for CLIPScore; None where it is not asked for.
        scorers: of preference and aesthetics.
        measures: whether the measures without weights are taken.
        left_out: by name, why a scorer is missing that was not asked for by name.
    """

    context: ScorerContext
    clip: ClipEncoder | None = None
    scorers: Sequence[PictureScorer] = ()
    measures: bool = True
    left_out: Mapping[str, str] = field(default_factory=dict)

    @property
    def readers(self) -> list[ClipEncoder]:
        """Those encoders that read captions."""
        own = [] if self.clip is None else [self.clip]
        others = [one.encoder for one in self.scorers if isinstance(one, PickScore)]
        return list(dict.fromkeys([*own, *others]))

    @property
    def metrics(self) -> list[Metric]:
        """Metrics that each picture has by itself or with its original prompt, CLIPScore aside."""
        own = MEASURES if self.measures else ()
        return [*(scorer.metric for scorer in self.scorers), *own]


@dataclass(frozen=True)
class PictureFeatures:
    """What the models found in the pictures that could be read.

    Attributes:
        pictures: these pictures, in the index's order.
        features: of `PictureModels.clip`, float32 [pictures, width].
        columns: values by metric, [pictures].
        faults: a line for each picture that was left out.
    """

    pictures: list[Picture]
    features: FloatArray | None
    columns: dict[str, Values]
    faults: list[str]


def caption(prompt: str) -> str:
    """A prompt as text encoders of picture models see it: without tags, weights and brackets.

    A prompt without such syntax is its own caption.
    """
    spans = parse(prompt)
    if all(span.kind == "text" for span in spans):
        return prompt
    return " ".join(part.words for part in parts_of(spans) if part.words)


def load_models(context: ScorerContext, report: Report) -> PictureModels:
    """The models that the settings ask for.

    Raises:
        ConfigError: a metric is not known.
        ModelError: weights that were asked for are missing or damaged.
    """
    config = context.config
    known = check_metrics(config.metrics or (), "clip", "measures")
    wanted = list(dict.fromkeys(config.metrics or known))
    # Weights asked for by name must be there. Others are used only where they are already there:
    # scoring does not begin a download of gigabytes by itself.
    named = set(config.metrics or ("clip", "measures", "wants"))
    named |= {"pickscore"} if config.preference else set()
    named |= {"aesthetic"} if config.aesthetic else set()
    clip = context.encoder(config.clip) if "clip" in wanted else None
    if clip is not None and is_pocket(clip.model_id):
        report(SCORING_NOTICE)
    at_hand = replace(context, config=replace(config, offline=True))
    scorers, left_out = [], {}
    for name in wanted:
        if name in ("clip", "measures"):
            continue
        try:
            scorers.append(make_scorer(name, context if name in named else at_hand))
        except ModelError as error:
            if name in named:
                raise
            left_out[name] = str(error)
            report(f"without {name}: {error}")
    return PictureModels(
        context=context,
        clip=clip,
        scorers=scorers,
        measures="measures" in wanted,
        left_out=left_out,
    )


def features_of(
    listed: Sequence[Picture], models: PictureModels, report: Report = lambda line: None
) -> PictureFeatures:
    """Read every picture once, in batches; each is decoded once for all models.

    A file that is missing, damaged or not the one in the index is named, counted and left out.

    Raises:
        InputError: no file can be read, or one that is in the index as it is holds no picture.
    """
    size = models.context.config.batch_size
    kept: list[Picture] = []
    faults: list[str] = []
    features: list[FloatArray] = []
    columns: dict[str, list[Values]] = {}
    with progress("pictures scored", report=report) as show:
        for start in models.context.cache.turns(range(0, len(listed), size)):
            batch = _readable(listed[start : start + size], models.context.reader, faults, report)
            if batch:
                if models.clip is not None:
                    features.append(models.clip.pictures(batch))
                for name, values in _values(batch, models).items():
                    columns.setdefault(name, []).append(values)
                kept += batch
            show(min(start + size, len(listed)), len(listed))
    if not kept:
        raise InputError(f"none of the {len(listed)} pictures can be read; the first: {faults[0]}")
    if faults:
        report(f"{len(faults)} of {len(listed)} pictures are left out")
    return PictureFeatures(
        kept,
        np.concatenate(features) if features else None,
        {name: np.concatenate(parts) for name, parts in columns.items()},
        faults,
    )


def _readable(
    batch: Sequence[Picture], reader: PictureReader, faults: list[str], report: Report
) -> list[Picture]:
    """Those whose file is the one in the index."""
    good = []
    for picture in batch:
        try:
            reader.check(picture)
            good.append(picture)
        except InputError as error:
            faults.append(str(error))
            if len(faults) <= _NAMED:
                report(str(error))
    return good


def _values(batch: Sequence[Picture], models: PictureModels) -> dict[str, Values]:
    context = models.context
    found: dict[str, Values] = {}
    if models.measures:
        measured = context.cache.fetch(
            VERSION,
            "picture",
            [picture.sha256 for picture in batch],
            lambda places: np.stack(
                [measure(context.reader.image(batch[place])) for place in places]
            ),
            width=len(MEASURES),
        )
        for place, metric in enumerate(MEASURES):
            found[metric.name] = measured[:, place].astype(np.float64)
    prompts = [caption(picture.source) for picture in batch]
    for scorer in models.scorers:
        values = scorer.score(prompts=prompts, pictures=batch)
        found[scorer.metric.name] = np.asarray(values, np.float64)
    return found
