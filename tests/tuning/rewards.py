"""Rewards of a user's own, as `--reward tests.tuning.rewards:red` names them."""

from collections.abc import Sequence

import numpy as np
from PIL import Image


def red(prompts: Sequence[str], images: Sequence[Image.Image]) -> list[float]:
    """Mean of the red channel, from 0 to 255."""
    return [float(np.asarray(image.convert("RGB"))[..., 0].mean()) for image in images]


def alike(prompts: Sequence[str], images: Sequence[Image.Image]) -> list[float]:
    """All pictures are as good."""
    return [1.0] * len(images)


def one_number(prompts: Sequence[str], images: Sequence[Image.Image]) -> list[float]:
    """Wrong: one number, however many pictures."""
    return [0.0]
