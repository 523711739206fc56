"""How alike texts and pictures are, from their CLIP features."""

import numpy as np
import numpy.typing as npt

from promptlift.scoring.pictures.feature_cache import FloatArray

Values = npt.NDArray[np.float64]
# Below this length the difference of two unit features is rounding, and its direction is noise.
_NO_CHANGE = 1e-4


def cosines(first: FloatArray, second: FloatArray) -> Values:
    """Cosine of each row of `first` with the same row of `second`, [rows], from -1 to 1."""
    found: Values = (unit(first) * unit(second)).sum(axis=1).clip(-1.0, 1.0)
    return found


def clip_score(texts: FloatArray, pictures: FloatArray) -> Values:
    """CLIPScore of each text with the same row's picture, [rows], from 0 to 100.

    100 · max(cos, 0), the scale of TorchMetrics and of the paper's figures. CLIPScore's own paper
    multiplies by 2.5 (Hessel et al., "CLIPScore", EMNLP 2021, equation 1). Each pair is clipped at
    0, as in that equation; TorchMetrics clips the mean alone.
    """
    found: Values = 100.0 * np.maximum(cosines(texts, pictures), 0.0)
    return found


def match_probability(texts: FloatArray, pictures: FloatArray, scale: float, bias: float) -> Values:
    """SigLIP's own probability that text and picture belong together, [rows].

    The sigmoid of scale · cos + bias (Zhai et al., "Sigmoid Loss for Language Image Pre-Training",
    ICCV 2023, section 3.2).
    """
    logits = scale * cosines(texts, pictures) + bias
    found: Values = 1.0 / (1.0 + np.exp(-logits))
    return found


def unit(features: FloatArray) -> Values:
    """Features of length 1, in float64."""
    exact = features.astype(np.float64)
    exact /= np.maximum(np.linalg.norm(exact, axis=1, keepdims=True), 1e-12)
    return exact


def directional_similarity(
    original_texts: FloatArray,
    improved_texts: FloatArray,
    original_pictures: FloatArray,
    improved_pictures: FloatArray,
) -> Values:
    """Cosine between the change of the text and the change of the picture, [pairs], -1 to 1.

    The changes are differences of unit features (Gal et al., "StyleGAN-NADA", 2022, equation 1;
    the paper's section 5 asks for it). Where text or picture did not change there is no
    direction: NaN.

    Args:
        original_texts, improved_texts, original_pictures, improved_pictures: features of one
            model, [pairs, width].
    """
    text = unit(improved_texts) - unit(original_texts)
    picture = unit(improved_pictures) - unit(original_pictures)
    lengths = np.linalg.norm(text, axis=1), np.linalg.norm(picture, axis=1)
    changed = (lengths[0] > _NO_CHANGE) & (lengths[1] > _NO_CHANGE)
    found = np.full(len(text), np.nan)
    product = (text[changed] * picture[changed]).sum(axis=1)
    found[changed] = np.clip(product / (lengths[0][changed] * lengths[1][changed]), -1.0, 1.0)
    return found
