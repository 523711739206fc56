"""Models of what people prefer, with one interface.

A scorer gives a value for each picture, or for each prompt with its picture. Two are here, and
`wants_shown` is made here; `register_scorer` adds others.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from promptlift.errors import ConfigError, ModelError
from promptlift.picture_files import PictureReader
from promptlift.pictures import Picture
from promptlift.scoring.pictures.clip import ClipEncoder
from promptlift.scoring.pictures.clip_loading import load_clip
from promptlift.scoring.pictures.config import (
    AESTHETIC_CLIP,
    AESTHETIC_HEAD,
    CLIP_WANTS,
    PICKSCORE,
    POCKET_AESTHETIC,
    POCKET_WANTS,
    PictureScoringConfig,
)
from promptlift.scoring.pictures.feature_cache import FeatureCache
from promptlift.scoring.pictures.learned_preference import about_learned, load_learned
from promptlift.scoring.pictures.question_answering import load_question_answering
from promptlift.scoring.pictures.similarity import cosines, unit
from promptlift.scoring.pictures.wants_shown import ClipAnswerer, PocketReader, WantsShown
from promptlift.scoring.scores import Metric
from promptlift.world.bundle import PREFERENCE

if TYPE_CHECKING:
    from torch import Tensor

Values = npt.NDArray[np.float64]
# PickScore's own repository tells users to prepare texts and pictures as this model does.
_PICKSCORE_PROCESSOR = "laion/CLIP-ViT-H-14-laion2B-s32B-b79K"
_HEAD_FILE = "aesthetic-model.pth"


class PictureScorer(Protocol):
    """What a model of preference gives.

    Attributes:
        metric: name, range, direction and source. `compares` is "source" where the value
            depends on the prompt, and "nothing" where it rests on the picture alone.
        model: `NAME@HASH` of the weights.
    """

    metric: Metric
    model: str

    def score(self, *, prompts: Sequence[str], pictures: Sequence[Picture]) -> Values:
        """A value for each picture with the prompt at its place, float64 [pictures]."""
        ...


@runtime_checkable
class GradedScorer(PictureScorer, Protocol):
    """A scorer that gradients pass."""

    def graded(self, prompts: Sequence[str], pictures: "Tensor") -> "Tensor":
        """A value for each picture with the prompt at its place, float [pictures].

        Args:
            prompts: a prompt for each picture.
            pictures: float [pictures, 3, height, width] from 0 to 1.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class ScorerContext:
    """What a scorer is made from.

    Attributes:
        config: the settings.
        cache: keeps features by model and hash.
        reader: opens pictures.
    """

    config: PictureScoringConfig
    cache: FeatureCache
    reader: PictureReader
    _encoders: dict[tuple[str, str | None], ClipEncoder] = field(default_factory=dict)

    def encoder(self, name: str, processor: str | None = None) -> ClipEncoder:
        """A CLIP or SigLIP, loaded once however many scorers use it. See `load_clip`."""
        key = (name, processor)
        if key not in self._encoders:
            self._encoders[key] = load_clip(
                name,
                processor=processor,
                device=self.config.device,
                offline=self.config.offline,
                cache=self.cache,
                reader=self.reader,
                batch_size=self.config.batch_size,
            )
        return self._encoders[key]


ScorerFactory = Callable[[ScorerContext], PictureScorer]


class PickScore:
    """How well people would like a picture for a prompt: the scaled cosine of a tuned CLIP.

    Kirstain et al., "Pick-a-Pic", NeurIPS 2023, section 4. The difference of two scores is the
    log-odds that people pick the one picture over the other for that prompt.
    """

    def __init__(self, encoder: ClipEncoder) -> None:
        scale = encoder.logit_scale
        self.encoder = encoder
        self.model = encoder.model_id
        self.metric = Metric(
            name="pickscore",
            title="PickScore (original prompt)",
            range=(-scale, scale),
            higher_is_better=True,
            source="Kirstain et al., Pick-a-Pic, NeurIPS 2023",
            compares="source",
        )

    def score(self, *, prompts: Sequence[str], pictures: Sequence[Picture]) -> Values:
        texts, shown = self.encoder.texts(prompts), self.encoder.pictures(pictures)
        return self.encoder.logit_scale * cosines(texts, shown)

    def graded(self, prompts: Sequence[str], pictures: "Tensor") -> "Tensor":
        return self.encoder.logit_scale * self.encoder.graded_cosines(prompts, pictures)


class AestheticHead:
    """LAION's aesthetic predictor: linear layers over a picture's unit CLIP feature.

    Trained on people's ratings from 1 to 10 (SAC, LAION-Logos and AVA); the layers have no bounds.
    https://github.com/christophschuhmann/improved-aesthetic-predictor

    Args:
        encoder: CLIP ViT-L/14 of OpenAI, which the published head was trained on.
        layers: weight [out, in] and bias [out] of each layer, the last with one output.
        model: `NAME@HASH` of the head.
    """

    metric = Metric(
        name="aesthetic",
        title="LAION aesthetic score",
        range=(None, None),
        higher_is_better=True,
        source="improved-aesthetic-predictor of LAION; trained on ratings from 1 to 10",
    )

    def __init__(
        self,
        encoder: ClipEncoder,
        layers: Sequence[tuple[Values, Values]],
        model: str,
    ) -> None:
        self._encoder = encoder
        self._layers = layers
        self.model = model

    def score(self, *, prompts: Sequence[str], pictures: Sequence[Picture]) -> Values:
        values = unit(self._encoder.pictures(pictures))
        for weight, bias in self._layers:  # without activations between them, as published
            values = values @ weight.T + bias
        return values[:, 0]

    def graded(self, prompts: Sequence[str], pictures: "Tensor") -> "Tensor":
        values = self._encoder.graded(pictures)
        values = values / values.norm(dim=-1, keepdim=True)
        for weight, bias in self._layers:
            values = values @ values.new_tensor(weight.T) + values.new_tensor(bias)
        found: Tensor = values[:, 0]
        return found


def make_scorer(name: str, context: ScorerContext) -> PictureScorer:
    """A scorer by its name.

    Raises:
        ConfigError: there is none of this name.
        ModelError: its weights are missing or damaged.
    """
    check_metrics([name])
    return _SCORERS[name](context)


def register_scorer(name: str, factory: ScorerFactory) -> None:
    """Make a scorer known under a name, for `metrics` of `PictureScoringConfig`.

    Args:
        name: the name; that of its metric.
        factory: makes it; raises `ModelError` where its weights are missing.

    Raises:
        ConfigError: the name is taken.
    """
    if name in (*_SCORERS, "clip", "measures"):
        raise ConfigError(f"metric {name!r} is there already; choose another name")
    _SCORERS[name] = factory


def check_metrics(names: Sequence[str], *others: str) -> list[str]:
    """The metrics that are known: `others`, then the scorers.

    Raises:
        ConfigError: one of `names` is not among them.
    """
    known = [*others, *_SCORERS]
    if unknown := [name for name in names if name not in known]:
        raise ConfigError(f"metric {unknown[0]!r} is not known; there is: {', '.join(known)}")
    return known


def _pickscore(context: ScorerContext) -> PictureScorer:
    name = context.config.preference or PICKSCORE
    processor = _PICKSCORE_PROCESSOR if name == PICKSCORE else None
    return PickScore(context.encoder(name, processor))


def _aesthetic(context: ScorerContext) -> PictureScorer:
    path = _head_file(context.config.aesthetic or AESTHETIC_HEAD, context.config.offline)
    clip = context.config.aesthetic_clip
    if learned := about_learned(path):
        encoder = context.encoder(learned["clip"] if clip == AESTHETIC_CLIP else clip)
        return load_learned(path, learned, encoder, context.reader)
    layers, encoder = _head_layers(path), context.encoder(clip)
    if layers[0][0].shape[1] != encoder.width:
        raise ModelError(
            f"{path} reads features of {layers[0][0].shape[1]} numbers and {encoder.model_id} "
            f"gives {encoder.width}: they do not belong together."
        )
    digest = hashlib.sha256()
    for weight, bias in layers:
        digest.update(weight.tobytes() + bias.tobytes())
    model = f"{path.stem}@{digest.hexdigest()[:12]} on {encoder.model_id}"
    return AestheticHead(encoder, layers, model)


def _wants(context: ScorerContext) -> PictureScorer:
    config, cache, reader = context.config, context.cache, context.reader
    if config.wants == POCKET_WANTS:
        return WantsShown(PocketReader(cache, reader))
    if config.wants == CLIP_WANTS:
        return WantsShown(ClipAnswerer(context.encoder(config.clip)))
    return WantsShown(
        load_question_answering(
            config.wants, device=config.device, offline=config.offline, cache=cache, reader=reader
        )
    )


def _head_file(name: str, offline: bool) -> Path:
    if name == POCKET_AESTHETIC:
        return PREFERENCE
    path = Path(name).expanduser()
    if path.is_file():
        return path
    if path.suffix or name.count("/") != 1:
        raise ModelError(f"{name} does not exist. Give the file of an aesthetic head.")
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(name, _HEAD_FILE, local_files_only=offline))
    except Exception as error:  # a score of kinds, as with transformers
        raise ModelError(
            f"{name} is not on this machine{'' if offline else ' and could not be downloaded'}. "
            f"Download the aesthetic head (4 MB) with: hf download {name} {_HEAD_FILE}"
        ) from error


def _head_layers(path: Path) -> list[tuple[Values, Values]]:
    """Weight and bias of each layer, in order, checked to fit each other."""
    try:
        tensors = _read_tensors(path)
    except Exception as error:
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"{path} cannot be read as weights: {first}") from error
    names = sorted(
        (name.removesuffix("weight") for name in tensors if name.endswith("weight")), key=_number
    )
    layers = []
    for name in names:
        weight, bias = tensors[f"{name}weight"], tensors.get(f"{name}bias")
        if weight.ndim != 2 or bias is None or bias.shape != weight.shape[:1]:
            raise ModelError(f"{path}: layer {name.rstrip('.') or 'weight'} is not a linear layer.")
        layers.append((weight, bias))
    fits = all(a[0].shape[0] == b[0].shape[1] for a, b in pairwise(layers))
    if not layers or layers[-1][0].shape[0] != 1 or not fits:
        raise ModelError(f"{path} is not an aesthetic head: linear layers that end in one number.")
    return layers


def _read_tensors(path: Path) -> dict[str, Values]:
    if path.suffix == ".safetensors":
        from safetensors.numpy import load_file

        found: dict[str, Any] = load_file(path)
        return {name: np.asarray(value, np.float64) for name, value in found.items()}
    import torch

    found = torch.load(path, map_location="cpu", weights_only=True)
    return {name: value.double().numpy() for name, value in found.items()}


def _number(name: str) -> tuple[int, ...]:
    return tuple(int(digits) for digits in re.findall(r"\d+", name))


_SCORERS: dict[str, ScorerFactory] = {
    "pickscore": _pickscore, "aesthetic": _aesthetic, "wants": _wants
}  # fmt: skip
