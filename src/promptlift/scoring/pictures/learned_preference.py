"""What people prefer, as `promptlift votes learn` learned it from their votes."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from promptlift.errors import ModelError
from promptlift.picture_files import PictureReader
from promptlift.pictures import Picture
from promptlift.scoring.pictures.clip import ClipEncoder
from promptlift.scoring.pictures.feature_cache import FloatArray
from promptlift.scoring.pictures.measures import graded_contrast, graded_sharpness, measure
from promptlift.scoring.pictures.similarity import cosines, unit
from promptlift.scoring.scores import Metric

if TYPE_CHECKING:
    from torch import Tensor

KEY, WEIGHTS = "promptlift", "0.weight"  # of the file's metadata, and of its tensor
_MEASURES = 3
_LOG_SHARPNESS = 10.0  # about the largest, so that each measure is from 0 to 1
_MOST_CONTRAST = 0.5
# Four numbers beside hundreds: larger, so that a penalty on all weights leaves them theirs.
_SCALE = 10.0

Values = npt.NDArray[np.float64]


def features_of(
    encoder: ClipEncoder, reader: PictureReader, prompts: Sequence[str], pictures: Sequence[Picture]
) -> Values:
    """What the preference is linear in, float64 [pictures, width + 4].

    The unit CLIP feature of each picture, its cosine with the prompt at its place, and what CLIP
    sees badly: entropy, the logarithm of sharpness and contrast; the last four from 0 to about 10.
    """
    measured = np.array([measure(reader.image(one)) for one in pictures], np.float64)
    return joined(encoder.pictures(pictures), encoder.texts(prompts), measured)


def joined(pictures: FloatArray, texts: FloatArray, measured: Values) -> Values:
    """`features_of` by the CLIP features of pictures and prompts and by `MEASURES`, a row each."""
    entropy, sharpness, contrast = measured.T[:_MEASURES]
    own = np.column_stack(
        [
            cosines(texts, pictures),
            entropy / 8,
            np.log1p(sharpness) / _LOG_SHARPNESS,
            contrast / _MOST_CONTRAST,
        ]
    )
    return np.concatenate([unit(pictures).astype(np.float64), _SCALE * own], axis=1)


class LearnedPreference:
    """A linear model over `features_of`: the difference of two numbers is the log-odds that people
    prefer the one picture to the other."""

    def __init__(
        self, encoder: ClipEncoder, reader: PictureReader, weights: Values, model: str,
        about: Mapping[str, Any],
    ) -> None:  # fmt: skip
        self._encoder, self._reader, self._weights, self.model = encoder, reader, weights, model
        by = "" if about["kind"] == "person" else f"{about['kind']} "
        self.metric = Metric(
            name="aesthetic",
            title=f"preference learned from {by}votes",
            range=(None, None),
            higher_is_better=True,
            source=f"{about['votes']} {by}votes on {about['prompts']} prompts, by promptlift "
            "votes learn",
            compares="source",
        )

    def score(self, *, prompts: Sequence[str], pictures: Sequence[Picture]) -> Values:
        found: Values = features_of(self._encoder, self._reader, prompts, pictures) @ self._weights
        return found

    def graded(self, prompts: Sequence[str], pictures: "Tensor") -> "Tensor":
        """As `score`; entropy, which has no gradient, is left out."""
        import torch

        seen = self._encoder.graded(pictures)
        texts = torch.from_numpy(self._encoder.texts(prompts)).to(seen)
        own = [
            torch.nn.functional.cosine_similarity(texts, seen),
            torch.zeros(len(pictures)).to(seen),
            graded_sharpness(pictures).to(seen).log1p() / _LOG_SHARPNESS,
            graded_contrast(pictures).to(seen) / _MOST_CONTRAST,
        ]
        unit_seen = torch.nn.functional.normalize(seen, dim=-1)
        features = torch.cat([unit_seen, _SCALE * torch.stack(own, dim=-1)], dim=-1)
        return features @ torch.from_numpy(self._weights).to(seen)


def about_learned(path: Path) -> dict[str, Any] | None:
    """What `promptlift votes learn` wrote of a file; None of any other."""
    if path.suffix != ".safetensors":
        return None
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "numpy") as file:
            text = (file.metadata() or {}).get(KEY)
    except SafetensorError as error:
        raise ModelError(f"{path} cannot be read as weights: {error}") from error
    found: dict[str, Any] | None = json.loads(text) if text else None
    return found


def load_learned(
    path: Path, about: Mapping[str, Any], encoder: ClipEncoder, reader: PictureReader
) -> LearnedPreference:
    """The preference of a file that `promptlift votes learn` wrote.

    Raises:
        ModelError: it was learned on another CLIP, or by an older version.
    """
    if about["clip_model"] != encoder.model_id:
        raise ModelError(
            f"{path} was learned on features of {about['clip_model']}, and not of "
            f"{encoder.model_id}; name the other with --aesthetic-clip"
        )
    weights = weights_of(path)
    if len(weights) != encoder.width + 1 + _MEASURES:
        raise ModelError(f"{path} is of an older version; learn it again: promptlift votes learn")
    digest = hashlib.sha256(weights.tobytes()).hexdigest()
    model = f"{path.stem}@{digest[:12]} on {encoder.model_id}"
    return LearnedPreference(encoder, reader, weights, model, about)


def weights_of(path: Path) -> Values:
    """The weights in a file, [width + 4]."""
    from safetensors.numpy import load_file

    return load_file(path)[WEIGHTS].astype(np.float64).ravel()
