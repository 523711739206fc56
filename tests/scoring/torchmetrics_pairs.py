"""TorchMetrics' CLIPScore, to compare with."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torchmetrics.functional.multimodal import clip_score
from transformers import AutoModel, AutoProcessor


def torchmetrics_model(folder: Path) -> Callable[[], tuple[Any, Any]]:
    """The model as TorchMetrics 1.9 expects it: transformers 5 wraps features in an output."""
    model, processor = AutoModel.from_pretrained(folder), AutoProcessor.from_pretrained(folder)

    class Unwrapped:
        config = model.config

        def to(self, device: object) -> "Unwrapped":
            return self

        def get_image_features(self, *args: Any) -> torch.Tensor:
            found: torch.Tensor = model.get_image_features(*args).pooler_output
            return found

        def get_text_features(self, *args: Any) -> torch.Tensor:
            found: torch.Tensor = model.get_text_features(*args).pooler_output
            return found

    return lambda: (Unwrapped(), processor)


def as_tensor(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def by_torchmetrics(folder: Path, texts: list[str], images: list[Image.Image]) -> list[float]:
    """TorchMetrics' score of each pair by itself."""
    model = torchmetrics_model(folder)
    with torch.inference_mode():
        return [
            float(clip_score(as_tensor(image), text, model))
            for text, image in zip(texts, images, strict=True)
        ]
