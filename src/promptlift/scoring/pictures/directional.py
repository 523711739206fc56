"""How a change of the text shows in the picture."""

import numpy as np
import numpy.typing as npt

from promptlift.scoring.pictures.clip import unit
from promptlift.scoring.pictures.feature_cache import FloatArray

# Below this length the difference of two unit features is rounding, and its direction is noise.
_NO_CHANGE = 1e-4


def directional_similarity(
    original_texts: FloatArray,
    improved_texts: FloatArray,
    original_pictures: FloatArray,
    improved_pictures: FloatArray,
) -> npt.NDArray[np.float64]:
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
