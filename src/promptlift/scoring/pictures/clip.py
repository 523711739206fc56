"""CLIP and SigLIP: features of texts and pictures, each encoded once."""

import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from promptlift.files import sha256_of_weights
from promptlift.picture_files import PictureReader
from promptlift.pictures import Picture
from promptlift.scoring.pictures.feature_cache import FeatureCache, FloatArray

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

BICUBIC = 3  # as Pillow numbers it


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

    Attributes:
        limit: tokens that the model reads.
        width: length of a feature.
        logit_scale: what the model multiplies cosines by, at most 100 in CLIP.
        logit_bias: what SigLIP adds to the scaled cosine; None in CLIP.
        model_id: `name@hash` of the weights.
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
        config, bias = model.config, getattr(model, "logit_bias", None)
        self._kind = config.model_type
        self.width = int(
            getattr(config, "projection_dim", None) or config.text_config.projection_size
        )
        self.logit_scale = float(model.logit_scale.exp())
        self.logit_bias = None if bias is None else float(bias)
        read = int(config.text_config.max_position_embeddings)
        self.limit = min(read, int(self._tokenizer.model_max_length))
        weights = sha256_of_weights(model)
        self.model_id = f"{name}@{weights[:12]}"
        preparation = f"{weights} {self._prepare.to_json_string()} {self.limit}"
        self._key = hashlib.sha256(preparation.encode()).hexdigest()

    def texts(self, texts: Sequence[str]) -> FloatArray:
        """Features of texts, float32 [texts, width]."""
        # Texts of like length go together: a batch is as long as its longest.
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        listed = [texts[place] for place in order]
        features = np.empty((len(texts), self.width), np.float32)
        features[order] = self._cache.fetch(
            self._key,
            "text",
            [hashlib.sha256(text.encode("utf-8", "replace")).hexdigest() for text in listed],
            partial(self._encode, listed),
            width=self.width,
            at_a_time=self._batch_size,
        )
        return features

    def pictures(self, pictures: Sequence[Picture]) -> FloatArray:
        """Features of pictures, float32 [pictures, width].

        Raises:
            InputError: a file is missing, damaged or another one; it names the file.
        """
        return self._cache.fetch(
            self._key,
            "picture",
            [picture.sha256 for picture in pictures],
            lambda places: self.encode_images(
                [self._reader.image(pictures[place]) for place in places]
            ),
            width=self.width,
            at_a_time=self._batch_size,
        )

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

    def graded(self, pictures: "Tensor") -> "Tensor":
        """Features of pictures that gradients pass, float [pictures, width].

        Args:
            pictures: float [pictures, 3, height, width] from 0 to 1. They are prepared as the
                model's own preparation does, but for rounding to 8 bits.
        """
        prepared = prepare(pictures.to(self._model.device).float(), self._prepare)
        output = self._model.get_image_features(pixel_values=prepared)
        found: Tensor = getattr(output, "pooler_output", output)
        return found

    def graded_cosines(self, texts: Sequence[str], pictures: "Tensor") -> "Tensor":
        """Cosine of each text with the picture at its place, float [pictures]; as `graded`."""
        import torch

        seen = self.graded(pictures)
        read = torch.from_numpy(self.texts(texts)).to(seen)
        return torch.nn.functional.cosine_similarity(read, seen)

    def _encode(self, listed: Sequence[str], places: Sequence[int]) -> FloatArray:
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

        return self._batches([listed[place] for place in places], encode)

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


def prepare(pictures: "Tensor", preparation: Any) -> "Tensor":
    """Pictures as a model's preparation makes them of files: resized, cropped and normalized.

    Args:
        pictures: float [pictures, 3, height, width] from 0 to 1.
        preparation: an image processor of transformers: CLIP's or SigLIP's.
    """
    import torch

    size, crop = preparation.size, getattr(preparation, "crop_size", None)
    height, width = pictures.shape[-2:]
    shortest = size.get("shortest_edge")
    if shortest:
        scale = shortest / min(height, width)
        # The longer side is cut off to a whole number, as transformers does.
        target = [shortest if side == min(height, width) else int(side * scale)
                  for side in (height, width)]  # fmt: skip
    else:
        target = [size["height"], size["width"]]
    if preparation.do_resize and target != [height, width]:
        mode = "bicubic" if preparation.resample == BICUBIC else "bilinear"
        pictures = torch.nn.functional.interpolate(
            pictures, target, mode=mode, antialias=True
        ).clamp(0, 1)
    if getattr(preparation, "do_center_crop", False) and crop:
        top, left = ((side - crop[name]) // 2 for side, name in zip(
            pictures.shape[-2:], ("height", "width"), strict=True))  # fmt: skip
        pictures = pictures[..., top : top + crop["height"], left : left + crop["width"]]
    mean, std = (pictures.new_tensor(values).view(3, 1, 1) for values in (
        preparation.image_mean, preparation.image_std))  # fmt: skip
    return (pictures - mean) / std
