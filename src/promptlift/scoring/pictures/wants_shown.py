"""`wants_shown`: the share of what a prompt asks for that is found in its picture."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from promptlift.errors import MissingExtraError
from promptlift.files import sha256_of_weights
from promptlift.picture_files import PictureReader
from promptlift.pictures import Picture
from promptlift.scoring.pictures.clip import ClipEncoder
from promptlift.scoring.pictures.feature_cache import FeatureCache, FloatArray
from promptlift.scoring.pictures.similarity import unit
from promptlift.scoring.pictures.wants import Question, questions_of
from promptlift.scoring.scores import Metric
from promptlift.world import bundle
from promptlift.world.scenes import SIZE
from promptlift.world.wanted import wanted_of

Values = npt.NDArray[np.float64]
Found = dict[str, float]


class Answerer(Protocol):
    """What finds wants in pictures.

    Attributes:
        model: `NAME@HASH` of its weights.
    """

    model: str

    def find(self, *, prompts: Sequence[str], pictures: Sequence[Picture]) -> list[Found]:
        """For each picture, how surely it shows each want of its prompt, from 0 to 1."""
        ...


class WantsShown:
    """The share of a prompt's wants that its picture shows; NaN where the prompt asks for nothing.

    After TIFA (Hu et al., ICCV 2023), with questions of one want each, as in DSG (Cho et al., ICLR
    2024).
    """

    metric = Metric(
        name="wants_shown",
        title="Wants shown (original prompt)",
        range=(0.0, 1.0),
        higher_is_better=True,
        source="share of the prompt's wants found in the picture, as TIFA (Hu et al., ICCV 2023)",
        compares="source",
    )

    def __init__(self, answerer: Answerer) -> None:
        self._answerer = answerer
        self.model = answerer.model

    def score(self, *, prompts: Sequence[str], pictures: Sequence[Picture]) -> Values:
        found = self._answerer.find(prompts=prompts, pictures=pictures)
        return np.array([np.mean([*one.values()]) if one else np.nan for one in found], np.float64)


class PocketReader:
    """Reads pictures of the pocket world, with other eyes than the oracle that judges there.

    Raises:
        ModelError: its weights are damaged.
        MissingExtraError: PyTorch is not installed.
    """

    def __init__(self, cache: FeatureCache, reader: PictureReader) -> None:
        try:
            from promptlift.world.oracle import load_oracle
        except ImportError as error:
            raise MissingExtraError("Scoring pictures", "score") from error
        self._oracle = load_oracle(bundle.READER)
        self._cache, self._reader = cache, reader
        self.model = f"{bundle.NAME}-reader@{sha256_of_weights(self._oracle)[:12]}"

    def find(self, *, prompts: Sequence[str], pictures: Sequence[Picture]) -> list[Found]:
        from promptlift.world.oracle import LOGITS, judge, readings

        if not pictures:
            return []
        seen = self._cache.fetch(
            self.model,
            "picture",
            [picture.sha256 for picture in pictures],
            lambda places: self._oracle.look(
                np.stack([self._pixels(pictures[place]) for place in places])
            ),
            width=LOGITS,
        )
        both = zip(prompts, readings(seen), strict=True)
        facts = (judge(wanted_of(prompt), reading) for prompt, reading in both)
        return [{name: float(fact) for name, fact in one.items()} for one in facts]

    def _pixels(self, picture: Picture) -> npt.NDArray[np.uint8]:
        image = self._reader.image(picture)
        # The world's model may have been asked for another size than its own.
        return np.asarray(image if image.size == (SIZE, SIZE) else image.resize((SIZE, SIZE)))


class ClipAnswerer:
    """Asks a CLIP or SigLIP whether a picture is nearer to what was asked for or to anything else.

    Args:
        encoder: reads texts and pictures.
    """

    def __init__(self, encoder: ClipEncoder) -> None:
        self.encoder = encoder
        self.model = encoder.model_id

    def find(self, *, prompts: Sequence[str], pictures: Sequence[Picture]) -> list[Found]:
        return self.compare(prompts, self.encoder.pictures(pictures))

    def compare(self, prompts: Sequence[str], pictures: FloatArray) -> list[Found]:
        """The same of features of pictures, [pictures, width]."""
        asked = [questions_of(prompt) for prompt in prompts]
        texts = sorted({text for questions in asked for one in questions for text in _said(one)})
        features = dict(zip(texts, unit(self.encoder.texts(texts)), strict=True))
        found = []
        for questions, shown in zip(asked, unit(pictures), strict=True):
            answers = {}
            for one in questions:
                stated, *others = (float(features[text] @ shown) for text in _said(one))
                answers[one.text] = float((stated > max(others, default=-1.0)) == one.wanted)
            found.append(answers)
        return found


def _said(question: Question) -> tuple[str, ...]:
    return question.statement, *question.others
