"""What the pictures of a round teach: pairs to learn from."""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from promptlift.picking.picks import IMPROVEMENTS, candidates, entries_of, pair_of, read_picks
from promptlift.records import Improvement, Pair
from promptlift.scoring.text.diversity import added_words
from promptlift.tuning.config import BEST_OF_N
from promptlift.tuning.pooling import Values, Variants, pooled

_CLEAR = 1.0  # standard errors by which a variant must lead


def lessons(folders: Sequence[Path], how: str) -> list[Pair]:
    """The pairs that picking runs teach, all of them judged with what all of them tell.

    With "best-of-n" of each prompt its best variant, where it gains over the original. With
    "preferences" the best variant beside the worst, the second best beside the second worst, and
    so on. How much better one is, `pooling.pooled` estimates; what cannot be told from luck is not
    taught.

    Args:
        folders: of the picking runs.
        how: of `TuneConfig.learn`.
    """
    drawn = [one for folder in folders for one in _drawn(folder)]
    if not drawn:
        return []
    words = [[frozenset(added_words(one.source, one.prompt)) for one in each] for each, _ in drawn]
    estimates = pooled([Variants(own, gains) for own, (_, gains) in zip(words, drawn, strict=True)])
    found: list[Pair | None] = []
    for (variants, _), estimated in zip(drawn, estimates, strict=True):
        order = np.argsort(-estimated.gains, kind="stable").tolist()
        for place in range(1 if how == BEST_OF_N else len(order) // 2):
            best, worst = order[place], order[-1 - place]
            lead = estimated.gains[best] - estimated.gains[worst]
            if lead <= _CLEAR * estimated.errors[best, worst]:
                continue
            if how != BEST_OF_N:
                found.append(pair_of(variants[best], variants[worst]))
            elif estimated.gains[best] > 0:
                found.append(pair_of(variants[best]))
    return [pair for pair in found if pair is not None]


def with_old(pairs: Sequence[Pair], old: Sequence[Pair], share: float, seed: str) -> list[Pair]:
    """The pairs with old ones among them, so many that they have a share of all."""
    count = min(len(old), round(len(pairs) * share / (1 - share)))
    return [*pairs, *random.Random(seed).sample(old, count)]


def _drawn(folder: Path) -> Iterator[tuple[list[Improvement], Values]]:
    """Of each prompt that was drawn its variants, and their gains, [variants, seeds].

    One that was left as it is stands for all such; it gains nothing.
    """
    rows = read_picks(folder)
    for entry, row in zip(entries_of(folder / IMPROVEMENTS), rows, strict=True):
        if row["scores"] is None:
            continue
        variants = candidates(entry)
        original = row["scores"]["original"]
        unchanged = [one for one in entry.variants if one.prompt == one.source][:1]
        scores = [row["scores"][str(one.variant)] for one in variants] + [original] * len(unchanged)
        yield [*variants, *unchanged], np.array(scores, np.float64) - np.array(original)
