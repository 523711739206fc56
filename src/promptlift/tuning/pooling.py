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


@dataclass(frozen=True)
class Estimated:
    """What the variants of one prompt gain.

    Attributes:
        gains: estimated, [variants].
        errors: standard error of the difference of each two, [variants, variants].
    """

    gains: Values
    errors: Values


def pooled(prompts: Sequence[Variants]) -> list[Estimated]:
    """The estimated gains of each prompt's variants, in the order of the prompts."""
    counts = Counter(word for one in prompts for words in one.words for word in words)
    known = sorted(word for word, count in counts.items() if count >= _LEAST)
    means = [one.gains.mean(axis=1) for one in prompts]
    # Within a prompt: how hard it is to draw concerns all of its variants alike.
    values = [mean - mean.mean() for mean in means]
    told = [_indicators(one.words, known) for one in prompts]
    penalty = _best_penalty(told, values)
    effects = _effects(told, values, penalty)
    left = [value - one @ effects for value, one in zip(values, told, strict=True)]
    spread = sum(float((one**2).sum()) for one in left) / max(1, sum(len(one) - 1 for one in left))
    luck = min(spread, _luck(prompts, spread))
    trust = 1 - luck / spread if spread else 1.0
    rows = np.concatenate(told)
    uncertain = spread * np.linalg.inv(rows.T @ rows + penalty * np.eye(len(known)))
    found = []
    for mean, value, one in zip(means, values, told, strict=True):
        guess = one @ effects
        apart = one[:, None] - one[None]
        of_words = np.einsum("ijk,kl,ijl->ij", apart, uncertain, apart)
        errors = np.sqrt((1 - trust) ** 2 * of_words + 2 * trust * luck)
        found.append(Estimated(mean.mean() + guess + trust * (value - guess), errors))
    return found


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


def _luck(prompts: Sequence[Variants], spread: float) -> float:
    """The variance of a variant's mean gain that is luck.

    Seeds tell: by how much a variant's gains differ between them, beyond what all variants of the
    prompt share. From one seed it is not known, and half of the spread is taken for it.
    """
    total, freedom, shares = 0.0, 0, list[float]()
    for one in prompts:
        variants, seeds = one.gains.shape
        own = one.gains - one.gains.mean(axis=0) - one.gains.mean(axis=1, keepdims=True)
        total += float(((own + one.gains.mean()) ** 2).sum())
        freedom += (variants - 1) * (seeds - 1)
        shares += [1 / seeds] * (variants - 1)
    return total / freedom * float(np.mean(shares)) if freedom else spread / 2
