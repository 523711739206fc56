"""Columns of values for the pictures and pairs of a run, and the same for shuffled captions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from promptlift.pictures import SIDES, PicturePair, pair_up
from promptlift.scoring.pictures.clip import ClipEncoder, clip_score, cosines, match_probability
from promptlift.scoring.pictures.directional import directional_similarity
from promptlift.scoring.pictures.feature_cache import FloatArray
from promptlift.scoring.pictures.pair_scores import other_prompts
from promptlift.scoring.pictures.picture_features import Looked, Models, caption
from promptlift.scoring.scores import Metric

Values = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Columns = dict[str, Values]

_HESSEL = "Hessel et al., CLIPScore, EMNLP 2021; scale 100 as in TorchMetrics"
_ZHAI = "Zhai et al., Sigmoid Loss for Language Image Pre-Training, ICCV 2023"


def _clip_metric(name: str, title: str, compares: str) -> Metric:
    return Metric(
        name=name,
        title=title,
        range=(0.0, 100.0),
        higher_is_better=True,
        source=_HESSEL,
        compares=compares,
    )


def _match_metric(prompt: str, compares: str) -> Metric:
    return Metric(
        name=f"match_probability_{prompt}_prompt",
        title=f"SigLIP match probability ({prompt} prompt)",
        range=(0.0, 1.0),
        higher_is_better=True,
        source=_ZHAI,
        compares=compares,
    )


CLIP_METRICS = (
    _clip_metric("clipscore_original_prompt", "CLIPScore (original prompt)", "source"),
    _clip_metric("clipscore_improved_prompt", "CLIPScore (improved prompt)", "improved prompt"),
)
OWN_PROMPT = _clip_metric("clipscore_own_prompt", "CLIPScore (each with its prompt)", "own prompt")
MATCH_METRICS = (
    _match_metric("original", "source"),
    _match_metric("improved", "improved prompt"),
)
PAIR_METRICS = (
    Metric(
        name="directional_similarity",
        title="Directional similarity",
        range=(-1.0, 1.0),
        higher_is_better=True,
        source="Gal et al., StyleGAN-NADA, 2022; the paper's section 5",
        compares="picture",
    ),
    Metric(
        name="picture_similarity",
        title="Picture similarity",
        range=(-1.0, 1.0),
        higher_is_better=None,
        source="cosine of the two pictures' CLIP features",
        compares="picture",
    ),
)


@dataclass(frozen=True)
class Tables:
    """Values of original pictures, improved pictures and pairs, by metric.

    Attributes:
        prompts: prompt of each row of `sides`.
        sides: columns of the original and of the improved pictures, row by row the two of a
            pair. In a run without any pair, the pictures of the one side that was drawn.
        pairs: columns of the pairs.
    """

    prompts: Integers
    sides: dict[str, Columns]
    pairs: Columns


class TableBuilder:
    """Makes the tables of a run, with each picture's own captions or with shuffled ones.

    Args:
        looked: what was found in the pictures.
        models: what looked at them.
        batch_size: pictures that are scored at a time.
        seed: of the shuffling.
    """

    def __init__(self, looked: Looked, models: Models, *, batch_size: int, seed: int) -> None:
        self._looked = looked
        self._models = models
        self._batch_size = batch_size
        pictures = looked.pictures
        self.pairs: list[PicturePair] = pair_up(pictures)
        # Without pairs there are still pictures of one side to speak of.
        self._rows = self.pairs or [PicturePair(place, place) for place in range(len(pictures))]
        drawn = {picture.side for picture in pictures}
        self._sides = SIDES if self.pairs else tuple(sorted(drawn))[:1]
        if not self.pairs:
            side = self._sides[0]
            self._rows = [row for row in self._rows if pictures[row.original].side == side]
        self.prompts = np.array([pictures[row.improved].prompt_index for row in self._rows])
        # Captions of every picture: the original prompt, and what was drawn.
        self._captions = (
            [caption(picture.source) for picture in pictures],
            [caption(picture.prompt) for picture in pictures],
        )
        texts = sorted({*self._captions[0], *self._captions[1]})
        self._place = {text: place for place, text in enumerate(texts)}
        self._features = models.clip.texts(texts) if models.clip is not None else None
        sources = {
            pictures[row.improved].prompt_index: self._captions[0][row.improved]
            for row in self._rows
        }
        self._others = other_prompts(sources, seed=seed)

    def pictures(self) -> Columns:
        """Values of every picture, [pictures]; NaN where an original has no improved prompt."""
        clip, found = self._models.clip, dict(self._looked.columns)
        if clip is None:
            return found
        assert self._looked.features is not None
        improved = np.array([picture.side == SIDES[1] for picture in self._looked.pictures])
        places = list(range(len(improved)))
        clips: Columns = {}
        for which, metric in enumerate(CLIP_METRICS):
            read = self._text_features(which, places)
            clips[metric.name] = clip_score(read, self._looked.features)
            if clip.logit_bias is not None:
                clips[MATCH_METRICS[which].name] = match_probability(
                    read, self._looked.features, clip.logit_scale, clip.logit_bias
                )
        for metric in (CLIP_METRICS[1], MATCH_METRICS[1]):
            if metric.name in clips:
                clips[metric.name][~improved] = np.nan
        return {**clips, **found}

    def own(self) -> Tables:
        """Each picture with its own captions."""
        columns = self._looked.columns
        return self._build(
            list(range(len(self._rows))),
            lambda side: {name: values[self._places(side)] for name, values in columns.items()},
        )

    def shuffled(self) -> Tables | None:
        """Each pair with the captions of another prompt, for the metrics that read captions.

        For picture similarity the original picture is the other prompt's. None where all prompts
        are one.
        """
        if self._others is None:
            return None
        first: dict[tuple[int, int | None], int] = {}
        for row, prompt in enumerate(self.prompts):
            first.setdefault((int(prompt), None), row)
            first.setdefault((int(prompt), self._variant(row)), row)
        other = []
        for row, prompt in enumerate(self.prompts):
            taken = self._others[int(prompt)]
            other.append(first.get((taken, self._variant(row)), first[taken, None]))
        return self._build(other, lambda side: self._scored_again(side, other))

    def _build(self, rows: list[int], columns: Callable[[str], Columns]) -> Tables:
        """The tables with the captions of `rows` at each row."""
        captions = [self._rows[row].improved for row in rows]
        sides = {side: columns(side) for side in self._sides}
        pairs: Columns = {}
        if (clip := self._models.clip) is not None:
            texts = [self._text_features(which, captions) for which in (0, 1)]
            for side in self._sides:
                read = texts if self.pairs or side == SIDES[1] else texts[:1]
                sides[side] = {**self._with_clip(clip, side, read), **sides[side]}
            if self.pairs:
                pairs = self._pair_columns(texts, rows)
        return Tables(self.prompts, sides, pairs)

    def _with_clip(self, clip: ClipEncoder, side: str, texts: Sequence[FloatArray]) -> Columns:
        pictures = self._picture_features(side)
        found = {
            metric.name: clip_score(read, pictures)
            for metric, read in zip(CLIP_METRICS, texts, strict=False)
        }
        own = texts[SIDES.index(side)]
        found[OWN_PROMPT.name] = clip_score(own, pictures)
        if clip.logit_bias is not None:
            for metric, read in zip(MATCH_METRICS, texts, strict=False):
                found[metric.name] = match_probability(
                    read, pictures, clip.logit_scale, clip.logit_bias
                )
        return found

    def _pair_columns(self, texts: Sequence[FloatArray], rows: list[int]) -> Columns:
        original, improved = (self._picture_features(side) for side in SIDES)
        return {
            "directional_similarity": directional_similarity(
                texts[0], texts[1], original, improved
            ),
            "picture_similarity": cosines(original[rows], improved),
        }

    def _scored_again(self, side: str, other: list[int]) -> Columns:
        """Values of the scorers that read the original prompt, with another one's."""
        shown = [self._looked.pictures[place] for place in self._places(side)]
        asked = [self._captions[0][self._rows[row].improved] for row in other]
        found: Columns = {}
        for scorer in self._models.scorers:
            if scorer.metric.compares != "source":
                continue
            parts = []
            for start in range(0, len(shown), self._batch_size):
                part = slice(start, start + self._batch_size)
                parts.append(scorer.score(prompts=asked[part], pictures=shown[part]))
            found[scorer.metric.name] = np.concatenate(parts).astype(np.float64)
        return found

    def _variant(self, row: int) -> int:
        return self._looked.pictures[self._rows[row].improved].variant

    def _places(self, side: str) -> list[int]:
        return [row.original if side == SIDES[0] else row.improved for row in self._rows]

    def _picture_features(self, side: str) -> FloatArray:
        assert self._looked.features is not None
        return self._looked.features[self._places(side)]

    def _text_features(self, which: int, places: list[int]) -> FloatArray:
        assert self._features is not None
        texts = self._captions[which]
        return self._features[[self._place[texts[place]] for place in places]]
