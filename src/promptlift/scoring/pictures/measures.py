"""Measures of a picture that need no weights.

They catch what CLIPScore lets pass: the paper found pictures of "several solid colours". Near-blank
is measured in colour. The others are taken from the grey picture (ITU-R 601 luma, 8 bits). All are
taken at the picture's own size, on which sharpness depends: compare pictures of one size only.
"""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from promptlift.scoring.scores import Metric

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

VERSION = "measures-2"  # of the definitions below; kept values of another version are not used
# A pixel is flat if it differs from its right and lower neighbours by no more, in each channel.
_FLAT_LEVELS = 8
_FLAT_SHARE = 0.97
_COARSE_LEVELS = 8  # width of a bin, so that noise of a level or two leaves a colour one colour
_COARSE_BITS = 3.0

MEASURES = (
    Metric(
        name="entropy",
        title="Entropy (bits)",
        range=(0.0, 8.0),
        higher_is_better=None,
        source="Shannon entropy of the histogram of 256 grey levels",
    ),
    Metric(
        name="sharpness",
        title="Sharpness",
        range=(0.0, None),
        higher_is_better=None,
        source="variance of the Laplacian (Pech-Pacheco et al., ICPR 2000), grey levels squared",
    ),
    Metric(
        name="contrast",
        title="RMS contrast",
        range=(0.0, 0.5),
        higher_is_better=None,
        source="standard deviation of grey in [0, 1] (Peli, JOSA A 7, 1990)",
    ),
    Metric(
        name="near_blank",
        title="Near-blank pictures",
        range=(0.0, 1.0),
        higher_is_better=False,
        source="at least 97% flat pixels, and under 3 bits of entropy in 32 levels of each colour",
    ),
)


def measure(image: "Image") -> npt.NDArray[np.float32]:
    """Entropy, sharpness, contrast and near-blank (0 or 1) of a picture, in this order."""
    grey = np.asarray(image.convert("L"))
    return np.array(
        [entropy(grey), sharpness(grey), contrast(grey), float(is_near_blank(image))],
        np.float32,
    )


def entropy(grey: npt.NDArray[np.uint8], width: int = 1) -> float:
    """Entropy of the histogram of grey levels, in bits, from 0 to 8; bins are `width` wide."""
    counts = np.bincount(grey.ravel() // width)
    shares = counts[counts > 0] / grey.size
    return float(max(0.0, -(shares * np.log2(shares)).sum()))


def sharpness(grey: npt.NDArray[np.uint8]) -> float:
    """Variance of the Laplacian (four neighbours) over the inner pixels, grey levels squared.

    0 in a picture of one colour or an even gradient, and where a side is under 3 pixels.
    """
    if min(grey.shape) < 3:
        return 0.0
    levels = grey.astype(np.float32)
    around = levels[:-2, 1:-1] + levels[2:, 1:-1] + levels[1:-1, :-2] + levels[1:-1, 2:]
    return float((around - 4.0 * levels[1:-1, 1:-1]).var(dtype=np.float64))


def contrast(grey: npt.NDArray[np.uint8]) -> float:
    """Root-mean-square contrast: the standard deviation of grey in [0, 1], at most 0.5."""
    return float(grey.std(dtype=np.float64) / 255.0)


def is_near_blank(image: "Image") -> bool:
    """Whether a picture is one solid colour, or a few.

    Two things must hold. At least 97% of the pixels differ from their right and lower neighbours
    by no more than 8 of 255 levels of red, green and blue; and the histogram of each of the three
    in 32 levels has an entropy under 3 bits, as up to seven even areas have. Noise fails the
    first, a gradient over the whole range and a photograph the second. A plain sign or flag is
    near-blank by this rule.
    """
    colours = np.asarray(image.convert("RGB"))
    levels = colours.astype(np.int16)
    flat = np.ones(colours.shape[:2], dtype=bool)
    flat[:, :-1] &= np.abs(np.diff(levels, axis=1)).max(axis=2) <= _FLAT_LEVELS
    flat[:-1] &= np.abs(np.diff(levels, axis=0)).max(axis=2) <= _FLAT_LEVELS
    bits = max(entropy(colours[..., channel], _COARSE_LEVELS) for channel in range(3))
    return bool(flat.mean() >= _FLAT_SHARE) and bits < _COARSE_BITS


def graded_sharpness(pictures: "Tensor") -> "Tensor":
    """`sharpness` that gradients pass, float [pictures].

    Args:
        pictures: float [pictures, 3, height, width] from 0 to 1, not rounded to 8 bits.
    """
    grey = 255 * _graded_grey(pictures)
    around = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:]
    return (around - 4.0 * grey[:, 1:-1, 1:-1]).flatten(1).var(dim=1, correction=0)


def graded_contrast(pictures: "Tensor") -> "Tensor":
    """`contrast` that gradients pass, float [pictures]; as `graded_sharpness`."""
    return _graded_grey(pictures).flatten(1).std(dim=1, correction=0)


def _graded_grey(pictures: "Tensor") -> "Tensor":
    red, green, blue = pictures.float().unbind(1)
    return 0.299 * red + 0.587 * green + 0.114 * blue


GRADED = {"sharpness": graded_sharpness, "contrast": graded_contrast}
