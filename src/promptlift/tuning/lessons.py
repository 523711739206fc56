"""What the pictures of a round teach: pairs to learn from."""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

from promptlift.picking.pick import IMPROVEMENTS, entries_of
from promptlift.picking.picks import candidates, read_picks
from promptlift.records import Improvement, Pair
from promptlift.scoring.pictures.picture_features import caption
from promptlift.tuning.config import BEST_OF_N


def lessons(folder: Path, how: str) -> list[Pair]:
    """The pairs that a picking run teaches.

    With "best-of-n" of each prompt its best variant, where its pictures score more than those of
    the original. With "preferences" the best variant beside the worst, the second best beside the
    second worst, and so on.

    Args:
        folder: of the picking run.
        how: of `TuneConfig.learn`.
    """
    found: list[Pair | None] = []
    for original, ranked in _ranked(folder):
        if how == BEST_OF_N:
            best, score = ranked[0]
            found += [pair_of(best)] if score > original else []
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


def _ranked(folder: Path) -> Iterator[tuple[float, list[tuple[Improvement, float]]]]:
    """Of each prompt that was drawn the original's mean score, and its variants, best first."""
    rows = read_picks(folder)
    for entry, row in zip(entries_of(folder / IMPROVEMENTS), rows, strict=True):
        if row["scores"] is None:
            continue
        scores = {name: fmean(values) for name, values in row["scores"].items()}
        variants = [(one, scores[str(one.variant)]) for one in candidates(entry)]
        yield scores["original"], sorted(variants, key=lambda item: -item[1])
