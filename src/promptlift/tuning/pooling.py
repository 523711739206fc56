"""How much better a prompt draws, estimated from its own pictures and from those of others.

A few pictures say little of one improved prompt: their scores are mostly luck, and the best of
several is mostly the luckiest. What its words brought to other prompts says more. So what a
variant gains is foretold by its words (ridge regression within prompts, the penalty chosen on other
prompts), and from there moved towards its own scores as far as these can be trusted (empirical
Bayes; Efron and Morris, "Stein's paradox in statistics", 1977).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]
_LEAST = 5  # variants that a word must be in
_FOLDS = 5
PENALTIES = tuple(10.0**power for power in range(-1, 5))


@dataclass(frozen=True)
class Variants:
    """The variants of one prompt.

    Attributes:
        words: that each adds.
        gains: of each over the original, by seed, [variants, seeds].
    """

    words: Sequence[frozenset[str]]
    gains: Values


def pooled(prompts: Sequence[Variants]) -> list[Values]:
    """The estimated gain of each variant, [variants] for each prompt; the same order each time."""
    counts = Counter(word for one in prompts for words in one.words for word in words)
    known = sorted(word for word, count in counts.items() if count >= _LEAST)
    means = [one.gains.mean(axis=1) for one in prompts]
    # Within a prompt: how hard it is to draw concerns all of its variants alike.
    values = [mean - mean.mean() for mean in means]
    told = [_indicators(one.words, known) for one in prompts]
    effects = _effects(told, values, _best_penalty(told, values))
    foretold = [one @ effects for one in told]
    trust = _trust(prompts, [value - told for value, told in zip(values, foretold, strict=True)])
    return [
        mean.mean() + guess + trust * (value - guess)
        for mean, value, guess in zip(means, values, foretold, strict=True)
    ]


def _indicators(words: Sequence[frozenset[str]], known: Sequence[str]) -> Values:
    """Which words each variant has, less the mean over the variants, [variants, known]."""
    found = np.array([[word in one for word in known] for one in words], np.float64)
    found = found.reshape(len(words), len(known))
    centred: Values = found - found.mean(axis=0)
    return centred


def _effects(told: Sequence[Values], values: Sequence[Values], penalty: float) -> Values:
    """What each word brings, [known]."""
    rows, gains = np.concatenate(told), np.concatenate(values)
    width = rows.shape[1]
    solved: Values = np.linalg.solve(rows.T @ rows + penalty * np.eye(width), rows.T @ gains)
    return solved


def _best_penalty(told: Sequence[Values], values: Sequence[Values]) -> float:
    """That whose effects foretell prompts best that they were not learned from."""
    fold_of = np.random.default_rng(0).permutation(len(told)) % _FOLDS
    losses = []
    for penalty in PENALTIES:
        loss = 0.0
        for fold in range(_FOLDS):
            learned = [at for at in range(len(told)) if fold_of[at] != fold]
            if not learned:
                continue
            effects = _effects(
                [told[at] for at in learned], [values[at] for at in learned], penalty
            )
            for at in np.flatnonzero(fold_of == fold).tolist():
                loss += float(((values[at] - told[at] @ effects) ** 2).sum())
        losses.append(loss)
    return PENALTIES[int(np.argmin(losses))]


def _trust(prompts: Sequence[Variants], left: Sequence[Values]) -> float:
    """How much of what words do not foretell is the variant's own, and not luck, from 0 to 1.

    Luck is known from seeds: by how much a variant's gains differ between them, beyond what all
    variants of the prompt share. From one seed it is not known, and half is believed.
    """
    noise, freedom = 0.0, 0
    for one in prompts:
        variants, seeds = one.gains.shape
        shared = one.gains - one.gains.mean(axis=0) - one.gains.mean(axis=1, keepdims=True)
        noise += float(((shared + one.gains.mean()) ** 2).sum())
        freedom += (variants - 1) * (seeds - 1)
    degrees = sum(len(one) - 1 for one in left)
    spread = float(sum((one**2).sum() for one in left))
    if not freedom or not degrees or not spread:
        return 0.5
    luck = noise / freedom / prompts[0].gains.shape[1]
    return float(max(0.0, 1 - luck / (spread / degrees)))
