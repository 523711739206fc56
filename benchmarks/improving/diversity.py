"""How various additions are: models beside the held-out targets they might have written.

    python -m benchmarks.improving.diversity --heldout heldout_pairs.parquet [--model FOLDER]...

Of 1,000 random held-out heads: distinct-1 and distinct-2 (Li et al., 2016: different words, and
pairs of neighbouring words, over all of them) of the additions, and the share of results that hold
one of the ten commonest additions of the same system. Both measures fall with length, so each
system is also measured on equal numbers of words: its first additions, up to the smallest total.
Intervals: 95%, bootstrap over heads; distinct-n has none, since resampling repeats texts.
"""

import argparse
import json
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.improving.bits_per_character import cleaned
from promptlift import Improver
from promptlift.prompts.clauses import split_clauses
from promptlift.records import Pair
from promptlift.scoring.text.diversity import distinct
from promptlift.tables import Fault, read_rows

HEADS, TOP = 1000, 10


def measure(additions: Sequence[Sequence[str]], limit: int | None = None) -> dict[str, Any]:
    """The figures of one system: additions of each head, each a phrase."""
    phrases = [[phrase.lower() for phrase in found] for found in additions]
    texts = [" ".join(found).split() for found in phrases]
    counts = Counter(phrase for found in phrases for phrase in set(found))
    top = {phrase for phrase, _ in counts.most_common(TOP)}
    holds = np.array([bool(top & set(found)) for found in phrases])
    draws = np.random.default_rng(0).integers(0, len(holds), size=(2000, len(holds)))
    low, high = np.quantile(holds[draws].mean(axis=1), [0.025, 0.975])
    return {
        "additions": round(float(np.mean([len(found) for found in phrases])), 2),
        "words": sum(map(len, texts)),
        "distinct_1": round(distinct(texts, 1, limit), 4),
        "distinct_2": round(distinct(texts, 2, limit), 4),
        "share_with_top_10": [round(float(value), 3) for value in (holds.mean(), low, high)],
        "top_10": sorted(top),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--heldout", type=Path, required=True)
    parser.add_argument("--model", action="append", default=[])
    args = parser.parse_args()
    pairs = []
    for row in read_rows(args.heldout):
        assert not isinstance(row, Fault) and not isinstance(row.value, str)
        pairs.append(Pair(source=row.value["source"], target=row.value["target"], mode="extend"))
    chosen = random.Random(0).sample(pairs, min(HEADS, len(pairs)))
    systems = {"targets as published": [split_clauses(pair.target) for pair in chosen]}
    for keep in ("words", "offers"):
        kept = cleaned(chosen, keep)
        systems[f"targets, {keep}"] = [split_clauses(pair.target) for pair in kept]
    for name in args.model or [None]:
        improver = Improver.load(name)
        results = improver.improve([pair.source for pair in chosen], seed=0)
        systems[improver.model_id] = [list(result.additions) for [result] in results]
    fewest = min(sum(len(" ".join(found).split()) for found in every) for every in systems.values())
    for name, additions in systems.items():
        print(name, json.dumps(measure(additions)))
        print(f"  on {fewest} words:", json.dumps(
            {key: measure(additions, fewest)[key] for key in ("distinct_1", "distinct_2")}
        ))  # fmt: skip


if __name__ == "__main__":
    main()
