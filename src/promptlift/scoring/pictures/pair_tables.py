"""Columns of values for the pictures and pairs of a run, and the same for shuffled captions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from promptlift.pictures import IMPROVED, ORIGINAL, SIDES, pair_up
from promptlift.scoring.pictures.clip import ClipEncoder
from promptlift.scoring.pictures.feature_cache import FloatArray
from promptlift.scoring.pictures.metrics import CLIP_METRICS, MATCH_METRICS, OWN_PROMPT
from promptlift.scoring.pictures.pair_scores import other_prompts
from promptlift.scoring.pictures.picture_features import PictureFeatures, PictureModels, caption
from promptlift.scoring.pictures.similarity import (
    clip_score,
    cosines,
    directional_similarity,
    match_probability,
)

Values = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Columns = dict[str, Values]


@dataclass(frozen=True)
class Tables:
    """Values of original pictures, improved pictures and pairs, by metric.

    Attributes:
        prompts: prompt of each row of `sides`.
        sides: columns of the original and of the improved pictures; a row of both is a pair. In
            a run without any pair, the pictures of the one side that was drawn.
        pairs: columns of the pairs.
    """

    prompts: Integers
    sides: dict[str, Columns]
    pairs: Columns


class TableBuilder:
    """Makes the tables of a run, with each picture's own captions or with shuffled ones.

    Args:
        found: features and values of the pictures.
        models: that they come from.
        batch_size: pictures that are scored at a time.
        seed: of the shuffling.
    """

    def __init__(
        self, found: PictureFeatures, models: PictureModels, *, batch_size: int, seed: int
    ) -> None:
        self._found, self._models, self._batch_size = found, models, batch_size
        pictures = found.pictures
        self.pairs = pair_up(pictures)
        place = {picture.key: at for at, picture in enumerate(pictures)}
        # Places of the pictures of each row, by side.
        self._places = {
            ORIGINAL: [place[pair.original.key] for pair in self.pairs],
            IMPROVED: [place[pair.improved.key] for pair in self.pairs],
        }
        if not self.pairs:  # pictures of one side still have scores
            side = min(picture.side for picture in pictures)
            self._places = {side: [at for at, one in enumerate(pictures) if one.side == side]}
        # The pictures whose captions the rows have.
        self._captioned = [*self._places.values()][-1]
        self.prompts = np.array([pictures[at].prompt_index for at in self._captioned])
        # Captions of every picture: the original prompt, and what was drawn.
        self._captions = (
            [caption(picture.source) for picture in pictures],
            [caption(picture.prompt) for picture in pictures],
        )
        texts = sorted({*self._captions[0], *self._captions[1]})
        self._place = {text: at for at, text in enumerate(texts)}
        self._features = models.clip.texts(texts) if models.clip is not None else None
        sources = {pictures[at].prompt_index: self._captions[0][at] for at in self._captioned}
        self._others = other_prompts(sources, seed=seed)

    def pictures(self) -> Columns:
        """Values of every picture, [pictures]; NaN where an original has no improved prompt."""
        clip, found = self._models.clip, self._found
        if clip is None:
            return dict(found.columns)
        texts = [self._text_features(which, range(len(found.pictures))) for which in (0, 1)]
        assert found.features is not None
        clips = _with_prompts(clip, texts, found.features)
        original = np.array([picture.side == ORIGINAL for picture in found.pictures])
        for metric in (CLIP_METRICS[1], MATCH_METRICS[1]):
            if metric.name in clips:
                clips[metric.name][original] = np.nan
        return {**clips, **found.columns}

    def own(self) -> Tables:
        """Each picture with its own captions."""
        columns = self._found.columns
        return self._build(
            list(range(len(self.prompts))),
            lambda side: {name: values[self._places[side]] for name, values in columns.items()},
        )

    def shuffled(self) -> Tables | None:
        """Each pair with the captions of another prompt, for the metrics that read captions.

        For picture similarity the original picture is the other prompt's. None where all prompts
        are one.
        """
        if self._others is None:
            return None
        first: dict[tuple[int, int | None], int] = {}
        variants = [self._found.pictures[at].variant for at in self._captioned]
        rows = list(zip(self.prompts.tolist(), variants, strict=True))
        for row, (prompt, variant) in enumerate(rows):
            first.setdefault((prompt, None), row)
            first.setdefault((prompt, variant), row)
        taken = [(self._others[prompt], variant) for prompt, variant in rows]
        other = [first.get(key, first[key[0], None]) for key in taken]
        return self._build(other, lambda side: self._scored_again(side, other))

    def _build(self, rows: Sequence[int], columns: Callable[[str], Columns]) -> Tables:
        """The tables with the captions of `rows` at each row."""
        captioned = [self._captioned[row] for row in rows]
        sides = {side: columns(side) for side in self._places}
        pairs: Columns = {}
        if (clip := self._models.clip) is not None:
            texts = [self._text_features(which, captioned) for which in (0, 1)]
            for side in self._places:
                read = texts if self.pairs or side == IMPROVED else texts[:1]
                sides[side] = {**self._with_clip(clip, side, read), **sides[side]}
            if self.pairs:
                original, improved = (self._picture_features(side) for side in SIDES)
                pairs = {
                    "directional_similarity": directional_similarity(
                        texts[0], texts[1], original, improved
                    ),
                    "picture_similarity": cosines(original[rows], improved),
                }
        return Tables(self.prompts, sides, pairs)

    def _with_clip(self, clip: ClipEncoder, side: str, texts: Sequence[FloatArray]) -> Columns:
        pictures = self._picture_features(side)
        own = clip_score(texts[SIDES.index(side)], pictures)
        return {**_with_prompts(clip, texts, pictures), OWN_PROMPT.name: own}

    def _scored_again(self, side: str, other: Sequence[int]) -> Columns:
        """Values of the scorers that read the original prompt, with another one's."""
        shown = [self._found.pictures[at] for at in self._places[side]]
        asked = [self._captions[0][self._captioned[row]] for row in other]
        found: Columns = {}
        for scorer in self._models.scorers:
            if scorer.metric.compares != "source":
                continue
            parts = []
            starts = range(0, len(shown), self._batch_size)
            for start in self._models.context.cache.turns(starts):
                part = slice(start, start + self._batch_size)
                parts.append(scorer.score(prompts=asked[part], pictures=shown[part]))
            found[scorer.metric.name] = np.concatenate(parts).astype(np.float64)
        return found

    def _picture_features(self, side: str) -> FloatArray:
        assert self._found.features is not None
        return self._found.features[self._places[side]]

    def _text_features(self, which: int, places: Sequence[int]) -> FloatArray:
        assert self._features is not None
        texts = self._captions[which]
        return self._features[[self._place[texts[at]] for at in places]]


def _with_prompts(clip: ClipEncoder, texts: Sequence[FloatArray], pictures: FloatArray) -> Columns:
    """CLIPScore and match probability of pictures with the original prompt, and the improved."""
    pairs = zip(CLIP_METRICS, texts, strict=False)
    found = {metric.name: clip_score(read, pictures) for metric, read in pairs}
    if clip.logit_bias is not None:
        for metric, read in zip(MATCH_METRICS, texts, strict=False):
            found[metric.name] = match_probability(
                read, pictures, clip.logit_scale, clip.logit_bias
            )
    return found
