"""What the pictures of a round teach: pairs to learn from."""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from promptlift.picking.pick import IMPROVEMENTS, entries_of
from promptlift.picking.picks import candidates, read_picks
from promptlift.records import Improvement, Pair
from promptlift.scoring.pictures.picture_features import caption
from promptlift.scoring.text.diversity import added_words
from promptlift.tuning.config import BEST_OF_N
from promptlift.tuning.pooling import Values, Variants, pooled


def lessons(folders: Sequence[Path], how: str) -> list[Pair]:
    """The pairs that the last of some picking runs teaches, judged with what all of them tell.

    With "best-of-n" of each prompt its best variant, where it gains over the original. With
    "preferences" the best variant beside the worst, the second best beside the second worst, and
    so on. Which is better, `pooling.pooled` estimates.

    Args:
        folders: of the picking runs, the last one last.
        how: of `TuneConfig.learn`.
    """
    every = [[*_drawn(folder)] for folder in folders]
    told = [
        Variants([frozenset(added_words(one.source, one.prompt)) for one in variants], gains)
        for run in every
        for variants, gains in run
    ]
    if not told:
        return []
    estimates = pooled(told)[-len(every[-1]) :] if every[-1] else []
    found: list[Pair | None] = []
    for (variants, _), estimated in zip(every[-1], estimates, strict=True):
        ranked = sorted(zip(variants, estimated.tolist(), strict=True), key=lambda item: -item[1])
        if how == BEST_OF_N:
            best, gain = ranked[0]
            found += [pair_of(best)] if gain > 0 else []
            continue
        for place in range(len(ranked) // 2):
            (better, high), (worse, low) = ranked[place], ranked[-1 - place]
            found += [pair_of(better, worse)] if high > low else []
    return [pair for pair in found if pair is not None]


def pair_of(better: Improvement, worse: Improvement | None = None) -> Pair | None:
    """What a model is to write for a prompt, without weights and tags; None where it is nothing."""
    source, target = caption(better.source), _target(better)
    rejected = None if worse is None else _target(worse)
    if not source.strip() or not target.strip() or rejected == "" or rejected == target:
        return None
    form = str(better.settings.get("form") or "tags")
    return Pair(source=source, target=target, mode=better.mode, form=form, rejected=rejected)


def with_old(pairs: Sequence[Pair], old: Sequence[Pair], share: float, seed: str) -> list[Pair]:
    """The pairs with old ones among them, so many that they have a share of all."""
    count = min(len(old), round(len(pairs) * share / (1 - share)))
    return [*pairs, *random.Random(seed).sample(old, count)]


def _target(improvement: Improvement) -> str:
    if improvement.mode == "rewrite":
        return caption(improvement.prompt)
    joint = " " if improvement.settings.get("form") == "paragraph" else ", "
    return joint.join(improvement.additions)


def _drawn(folder: Path) -> Iterator[tuple[list[Improvement], Values]]:
    """Of each prompt that was drawn its variants, and their gains, [variants, seeds]."""
    rows = read_picks(folder)
    for entry, row in zip(entries_of(folder / IMPROVEMENTS), rows, strict=True):
        if row["scores"] is None:
            continue
        variants = candidates(entry)
        scores = np.array([row["scores"][str(one.variant)] for one in variants], np.float64)
        yield variants, scores - np.array(row["scores"]["original"], np.float64)
