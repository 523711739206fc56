"""Bits per character of held-out targets: a model against a character n-gram.

    python -m benchmarks.improving.bits_per_character --heldout heldout_pairs.parquet \
        --prompts prompts.parquet --exclude-source UniGenBench-train [--model FOLDER]

The measure is -log2 P(target and its end | source) over the sum of (characters + 1), which does
not depend on a tokenizer. It is taken on pairs whose targets keep offers, words or all, as
`pairs build --keep` makes them, each beside an 8-gram trained on the same kind of targets.
Intervals: 95%, bootstrap over pairs.
"""

import argparse
import json
import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from promptlift import Improver
from promptlift.pairs.clean import clean_target
from promptlift.pairs.config import KEPT
from promptlift.pairs.load import load_prompts
from promptlift.prompts.clauses import cut_prompt
from promptlift.records import Pair
from promptlift.scoring.text.bits import characters_of, target_bits
from promptlift.statistics import ratio_interval
from promptlift.tables import Fault, read_rows

ORDER = 8
START, END = "\x02", "\x03"
ALPHABET = 256  # the base distribution is uniform over so many characters


def ngram_bits(training: Iterable[str], heldout: list[str]) -> npt.NDArray[np.float64]:
    """Bits of each held-out text under a character n-gram with Witten-Bell smoothing.

    Witten and Bell, 1991: P(c|h) = (count(hc) + types(h) P(c|h')) / (count(h) + types(h)), where
    types(h) is the number of different characters seen after h, and h' is h without its first.
    """
    padded = [START * (ORDER - 1) + text + END for text in heldout]
    # Only what the held-out texts ask for is counted: memory stays small.
    asked = {
        text[place - order : place]
        for text in padded
        for place in range(ORDER - 1, len(text))
        for order in range(ORDER)
    }
    counts: Counter[str] = Counter()
    totals: Counter[str] = Counter()
    types: Counter[str] = Counter()
    for text in training:
        line = START * (ORDER - 1) + text + END
        for place in range(ORDER - 1, len(line)):
            for order in range(ORDER):
                context = line[place - order : place]
                if context in asked:
                    event = context + line[place]
                    if not counts[event]:
                        types[context] += 1
                    counts[event] += 1
                    totals[context] += 1
    result = np.zeros(len(heldout))
    for row, text in enumerate(padded):
        for place in range(ORDER - 1, len(text)):
            probability = 1 / ALPHABET
            for order in range(ORDER):
                context = text[place - order : place]
                if totals[context]:
                    kinds = types[context]
                    probability = (counts[context + text[place]] + kinds * probability) / (
                        totals[context] + kinds
                    )
            result[row] -= math.log2(probability)
    return result


def interval(bits: npt.NDArray[np.float64], lengths: npt.NDArray[np.float64]) -> list[float]:
    """Bits per character with its 95% bootstrap interval: value, low, high."""
    return [round(value, 4) for value in ratio_interval(bits, lengths)]


def cleaned(pairs: Iterable[Pair], keep: str) -> list[Pair]:
    """The pairs with cleaned targets, without those of which nothing is left."""
    found = (
        Pair(
            source=pair.source,
            target=clean_target(pair.target, pair.source, keep),
            mode=pair.mode,
        )
        for pair in pairs
    )
    return [pair for pair in found if pair.target]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--heldout", type=Path, required=True)
    parser.add_argument("--prompts", type=Path, required=True)
    parser.add_argument("--exclude-source", action="append", default=[])
    parser.add_argument("--model")
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()

    heldout = []
    for row in read_rows(args.heldout):
        assert not isinstance(row, Fault) and not isinstance(row.value, str)
        heldout.append(Pair(source=row.value["source"], target=row.value["target"], mode="extend"))
    prompts = load_prompts(args.prompts, exclude_source=args.exclude_source)
    training = [
        pair
        for row in prompts
        if not isinstance(row, Fault) and (pair := cut_prompt(str(row.value)))
    ]
    improver = Improver.load(args.model)
    results = {}
    for name in KEPT:
        kept, learned = cleaned(heldout, name), cleaned(training, name)
        targets = [pair.target for pair in kept]
        lengths = characters_of([pair.target for pair in kept])
        model = target_bits(improver, kept)
        ngram = ngram_bits((pair.target for pair in learned), targets)
        results[name] = {
            "pairs": len(kept),
            "characters": int(lengths.sum()),
            "training_targets": len(learned),
            improver.model_id: interval(model, lengths),
            f"character {ORDER}-gram": interval(ngram, lengths),
        }
        print(name, json.dumps(results[name]), flush=True)
    if args.output:
        args.output.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
