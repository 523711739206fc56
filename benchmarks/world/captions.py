"""Whole captions of the pocket world, which its picture models learn from."""

import numpy as np

from promptlift.world.captions import background_words, details, subject
from promptlift.world.scenes import Scene

_PLAIN = 0.4  # share of captions that are plain


def caption(scene: Scene, rng: np.random.Generator, *, control: bool = False) -> str:
    """A caption, plain or detailed.

    Args:
        scene: what the picture shows.
        rng: decides which words the caption has.
        control: of the control world.
    """
    first = subject(scene, rng)
    if rng.random() < _PLAIN:
        extra = background_words(scene, rng) if rng.random() < 0.15 else ""
        return f"{first}, {extra}" if extra else first
    said = details(scene, rng, control=control)
    return ", ".join([first, *(words for words in said if words not in first)])
