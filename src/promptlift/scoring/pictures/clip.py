"""CLIP and SigLIP: features of texts and pictures, each encoded once, and what is made of them."""

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from promptlift.errors import ConfigError, MissingExtraError, ModelError
from promptlift.pictures import Picture, PictureReader
from promptlift.scoring.pictures.config import POCKET_CLIP
from promptlift.scoring.pictures.feature_cache import FeatureCache, FloatArray
from promptlift.world import bundle

if TYPE_CHECKING:
    from PIL.Image import Image

KINDS = ("clip", "siglip", "siglip2")
# What is to be downloaded, by calculation: parameters in float32.
GIGABYTES = {
    "openai/clip-vit-base-patch16": 0.6,
    "openai/clip-vit-base-patch32": 0.6,
    "openai/clip-vit-large-patch14": 1.7,
    "laion/CLIP-ViT-H-14-laion2B-s32B-b79K": 3.9,
    "yuvalkirstain/PickScore_v1": 3.9,
    "google/siglip-base-patch16-224": 0.8,
    "google/siglip-so400m-patch14-384": 3.5,
}
_PROCESSOR_FILES = "--include '*.json' --include merges.txt"
_CHUNK = 4096  # texts looked up at a time


class ClipEncoder:
    """A CLIP or SigLIP in float32, with its tokenizer and picture preparation.

    Features are what the model projects into the space that texts and pictures share, not
    normalized. Captions longer than the model reads (77 tokens in CLIP, 64 in SigLIP) are cut
    with the end token kept: CLIP takes its feature at that token.

    Args:
        model: in evaluation mode, on its device.
        processor: of the same model.
        name: as it is shown in results.
        cache: where features are kept.
        reader: opens the pictures.
        batch_size: texts or pictures encoded at a time.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        name: str,
        *,
        cache: FeatureCache | None = None,
        reader: PictureReader | None = None,
        batch_size: int = 32,
    ) -> None:
        self._model = model.requires_grad_(False)
        self._tokenizer = processor.tokenizer
        self._prepare = processor.image_processor
        self._cache = cache or FeatureCache()
        self._reader = reader or PictureReader(batch_size)
        self._batch_size = batch_size
        self._kind = model.config.model_type
        read = int(model.config.text_config.max_position_embeddings)
        self.limit = min(read, int(self._tokenizer.model_max_length))
        weights = _hash_of_weights(model)
        self.model_id = f"{name}@{weights[:12]}"
        preparation = f"{weights} {self._prepare.to_json_string()} {self.limit}"
        self._key = hashlib.sha256(preparation.encode()).hexdigest()

    @property
    def width(self) -> int:
        """Length of a feature."""
        config = self._model.config
        return int(getattr(config, "projection_dim", None) or config.text_config.projection_size)

    @property
    def logit_scale(self) -> float:
        """What the model multiplies cosines by, at most 100 in CLIP."""
        return float(self._model.logit_scale.exp())

    @property
    def logit_bias(self) -> float | None:
        """What SigLIP adds to the scaled cosine; None in CLIP."""
        bias = getattr(self._model, "logit_bias", None)
        return None if bias is None else float(bias)

    def texts(self, texts: Sequence[str]) -> FloatArray:
        """Features of texts, float32 [texts, width]."""
        parts = [np.zeros((0, self.width), np.float32)]
        for start in range(0, len(texts), _CHUNK):
            parts.append(self._fetch_texts(texts[start : start + _CHUNK]))
        return np.concatenate(parts)

    def pictures(self, pictures: Sequence[Picture]) -> FloatArray:
        """Features of pictures, float32 [pictures, width].

        Raises:
            InputError: a file is missing, damaged or another one; it names the file.
        """
        if not pictures:
            return np.zeros((0, self.width), np.float32)
        return self._cache.fetch(
            self._key,
            "picture",
            [picture.sha256 for picture in pictures],
            lambda places: self.encode_images(
                [self._reader.image(pictures[place]) for place in places]
            ),
        )

    def lacks(self, pictures: Sequence[Picture]) -> list[int]:
        """Places of the pictures that are still to be encoded."""
        return self._cache.missing(self._key, "picture", [one.sha256 for one in pictures])

    def cut_tokens(self, texts: Sequence[str]) -> list[int]:
        """Number of tokens of each text beyond what the model reads."""
        if not texts:
            return []
        found = self._tokenizer(list(texts), verbose=False)["input_ids"]
        return [max(0, len(ids) - self.limit) for ids in found]

    def encode_images(self, images: Sequence["Image"]) -> FloatArray:
        """Features of images in memory, float32 [images, width]; nothing is kept."""

        def encode(part: Sequence["Image"]) -> Any:
            prepared = self._prepare(images=list(part), return_tensors="pt")
            return self._model.get_image_features(**prepared.to(self._model.device))

        return self._batches(images, encode)

    def _fetch_texts(self, texts: Sequence[str]) -> FloatArray:
        keys = [hashlib.sha256(text.encode("utf-8", "replace")).hexdigest() for text in texts]
        return self._cache.fetch(
            self._key,
            "text",
            keys,
            lambda places: self._encode_texts([texts[place] for place in places]),
        )

    def _encode_texts(self, texts: Sequence[str]) -> FloatArray:
        def encode(part: Sequence[str]) -> Any:
            read = self._tokenizer(
                list(part),
                truncation=True,
                max_length=self.limit,
                # SigLIP was trained on texts filled up to its limit, without a mask.
                padding="longest" if self._kind == "clip" else "max_length",
                return_tensors="pt",
            ).to(self._model.device)
            mask = {"attention_mask": read["attention_mask"]} if self._kind == "clip" else {}
            return self._model.get_text_features(input_ids=read["input_ids"], **mask)

        # Texts of like length go together: a batch is as long as its longest.
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        encoded = self._batches([texts[place] for place in order], encode)
        features = np.empty_like(encoded)
        features[order] = encoded
        return features

    def _batches(self, items: Sequence[Any], encode: Callable[[Sequence[Any]], Any]) -> FloatArray:
        import torch

        parts = []
        with torch.inference_mode():
            for start in range(0, len(items), self._batch_size):
                output = encode(items[start : start + self._batch_size])
                # transformers 4 gives the features themselves, 5 an output that holds them.
                features = getattr(output, "pooler_output", output)
                parts.append(features.float().cpu().numpy())
        return np.concatenate(parts) if parts else np.zeros((0, self.width), np.float32)


def load_clip(
    name: str,
    *,
    processor: str | None = None,
    device: str = "auto",
    offline: bool = False,
    cache: FeatureCache | None = None,
    reader: PictureReader | None = None,
    batch_size: int = 32,
) -> ClipEncoder:
    """Load a CLIP or SigLIP from a folder or the Hub, in float32.

    Args:
        name: folder, Hub name or "pocket".
        processor: folder or Hub name of the tokenizer and picture preparation; the model's own.
        device: auto, cpu, cuda or mps.
        offline: take Hub models from the cache only.
        cache, reader, batch_size: see `ClipEncoder`.

    Raises:
        ModelError: it is not there, cannot be reached, is damaged or of another kind.
        MissingExtraError: PyTorch, transformers or Pillow are not installed.
    """
    try:
        import PIL  # noqa: F401
        import torch
        from transformers import AutoConfig, AutoModel, AutoProcessor
        from transformers.utils import logging
    except ImportError as error:
        raise MissingExtraError("Scoring pictures", "score") from error
    logging.disable_progress_bar()
    offline = offline or os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0")
    place = bundle.CLIP if name == POCKET_CLIP else Path(name).expanduser()
    folder = place.is_dir()
    if not folder and (name.startswith((".", "/", "~")) or name.count("/") != 1):
        raise ModelError(
            f"model {name!r} is no folder. Give the folder of a CLIP or SigLIP, or a Hub name."
        )
    where = str(place) if folder else name
    try:
        config = AutoConfig.from_pretrained(where, local_files_only=offline)
        if config.model_type not in KINDS:
            raise ModelError(
                f"{name} is a {config.model_type!r} model; pictures are scored with CLIP or SigLIP."
            )
        model, report = AutoModel.from_pretrained(
            where, dtype=torch.float32, local_files_only=offline, output_loading_info=True
        )
    except ModelError:
        raise
    except Exception as error:  # transformers raises a score of kinds here
        raise _not_loaded(name, folder, offline, error, download_hint(name)) from error
    try:
        prepare = AutoProcessor.from_pretrained(processor or where, local_files_only=offline)
    except Exception as error:
        hint = f"Download its tokenizer (4 MB) with: hf download {processor} {_PROCESSOR_FILES}"
        at_fault = processor or name
        is_folder = Path(at_fault).is_dir()
        raise _not_loaded(
            at_fault, is_folder, offline, error, hint if processor else download_hint(name)
        ) from error
    if absent := sorted(report["missing_keys"]):
        # transformers fills them with random values and goes on.
        raise ModelError(
            f"{name} lacks {len(absent)} of the model's weights, {absent[0]!r} first. "
            "Download or save the model again."
        )
    return ClipEncoder(
        model.eval().to(pick_device(device)),
        prepare,
        _label(name, folder),
        cache=cache,
        reader=reader,
        batch_size=batch_size,
    )


def _label(name: str, folder: bool) -> str:
    if name == POCKET_CLIP:
        return f"{bundle.NAME}-clip"
    return Path(name).name if folder else name


def pick_device(asked: str) -> str:
    """The device itself, or for "auto" the first there is of cuda, mps and cpu.

    Raises:
        ConfigError: it is not there.
    """
    import torch

    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if asked == "auto":
        return next(name for name, found in there.items() if found)
    if not there.get(asked.split(":")[0], False):
        found = ", ".join(name for name, is_there in there.items() if is_there)
        raise ConfigError(f"device {asked!r} is not there; there is: {found}")
    try:
        device = torch.device(asked)
    except RuntimeError as error:
        raise ConfigError(f"device {asked!r} is none; write for example cpu or cuda:0") from error
    count = torch.cuda.device_count() if device.type == "cuda" else 1
    if (device.index or 0) >= count:
        raise ConfigError(f"device {asked!r} is not there; there are {count}, from 0")
    return asked


def download_hint(name: str) -> str:
    """What to download, how much, and the command."""
    size = f" ({GIGABYTES[name]} GB)" if name in GIGABYTES else ""
    command = f"hf download {name} --exclude '*.h5' --exclude '*.msgpack'"
    return f"Download it{size} with: {command}"


def cosines(first: FloatArray, second: FloatArray) -> npt.NDArray[np.float64]:
    """Cosine of each row of `first` with the same row of `second`, [rows], from -1 to 1."""
    found: npt.NDArray[np.float64] = (unit(first) * unit(second)).sum(axis=1).clip(-1.0, 1.0)
    return found


def clip_score(texts: FloatArray, pictures: FloatArray) -> npt.NDArray[np.float64]:
    """CLIPScore of each text with the same row's picture, [rows], from 0 to 100.

    100 · max(cos, 0), the scale of TorchMetrics and of the paper's figures. CLIPScore's own paper
    multiplies by 2.5 (Hessel et al., "CLIPScore", EMNLP 2021, equation 1). Each pair is clipped at
    0, as in that equation; TorchMetrics clips the mean alone.
    """
    found: npt.NDArray[np.float64] = 100.0 * np.maximum(cosines(texts, pictures), 0.0)
    return found


def match_probability(
    texts: FloatArray, pictures: FloatArray, scale: float, bias: float
) -> npt.NDArray[np.float64]:
    """SigLIP's own probability that text and picture belong together, [rows].

    The sigmoid of scale · cos + bias (Zhai et al., "Sigmoid Loss for Language Image Pre-Training",
    ICCV 2023, section 3.2).
    """
    logits = scale * cosines(texts, pictures) + bias
    found: npt.NDArray[np.float64] = 1.0 / (1.0 + np.exp(-logits))
    return found


def unit(features: FloatArray) -> npt.NDArray[np.float64]:
    """Features of length 1, in float64."""
    exact = features.astype(np.float64)
    exact /= np.maximum(np.linalg.norm(exact, axis=1, keepdims=True), 1e-12)
    return exact


def _not_loaded(name: str, folder: bool, offline: bool, error: Exception, hint: str) -> ModelError:
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    if folder:
        return ModelError(f"model {name!r} cannot be loaded: {first} Is the folder whole?")
    if isinstance(error, ImportError):
        return ModelError(f"model {name!r} needs more packages: {first}")
    if offline:
        return ModelError(f"{name} is not on this machine. {hint}")
    return ModelError(
        f"{name} is not on this machine and could not be downloaded: check the name and the "
        f"connection. {hint}"
    )


def _hash_of_weights(model: Any) -> str:
    """SHA-256 over names and values of the loaded weights, whatever file they came in."""
    digest = hashlib.sha256()
    for key, value in sorted(model.state_dict().items()):
        digest.update(key.encode())
        digest.update(np.ascontiguousarray(value.cpu().numpy()).tobytes())
    return digest.hexdigest()
