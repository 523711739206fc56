"""Bits per character: how well a model foresees a target, whatever its tokenizer."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from promptlift.records import Pair

if TYPE_CHECKING:
    from promptlift.improving.improver import Improver


def target_bits(improver: "Improver", pairs: Sequence[Pair]) -> npt.NDArray[np.float64]:
    """-log2 P(target and its end | source) of each pair, in its own mode and form; float64 [pairs].

    It is the model's own probability, before temperature and rules. NaN where the model has not
    learned the pair's mode or form.
    """
    bits = np.full(len(pairs), np.nan)
    card = improver.card
    for mode, form in sorted({(pair.mode, pair.form) for pair in pairs}):
        if mode not in card.modes or form not in card.forms:
            continue
        places = [i for i, pair in enumerate(pairs) if (pair.mode, pair.form) == (mode, form)]
        logs = improver.log_probability(
            [pairs[place].source for place in places],
            [pairs[place].target for place in places],
            mode=mode,
            form=form,
        )
        bits[places] = -logs / math.log(2)
    return bits


def characters_of(targets: Sequence[str]) -> npt.NDArray[np.float64]:
    """Characters of each target and one for its end; float64 [targets].

    Bits per character over many targets are all bits over all characters, so a target's own value
    weighs by these.
    """
    return np.array([len(target) + 1.0 for target in targets])
