"""Which layer of an encoder tells real from shuffled pairs of prompts, and its random baseline.

    python -m benchmarks.bertscore_layers --pairs pairs.parquet --heldout heldout_pairs.parquet \
        --prompts prompts.parquet -o src/promptlift/scoring/data/all-MiniLM-L6-v2.csv

Real pairs: plain and detailed prompts (PAIRS) and heads with their rests (HELDOUT), 400 of each.
Shuffled: the same sources with another's target. Printed by layer: mean F1 of both, the share of
pairs of one real and one shuffled F1 in which the real is higher (AUC), and the mean difference
over its standard deviation. The baseline is made as bert_score makes its own
(get_rescale_baseline.py): mean precision, recall and F1 of random pairs of different texts of
fewer than 32 words, here prompts, 5,000 pairs.
"""

import argparse
import csv
import random
from pathlib import Path

import numpy as np
from scipy.stats import rankdata

from promptlift.files import atomic_path
from promptlift.pairs.load import load_pairs, load_prompts
from promptlift.records import Pair
from promptlift.scoring.text.bertscore import NAMES, BertScorer, Scores
from promptlift.tables import Row

PAIRS, RANDOM_PAIRS, MOST_WORDS = 400, 5000, 32


def auc(real: Scores, shuffled: Scores) -> float:
    """Share of pairs of a real and a shuffled score in which the real is higher; ties half."""
    ranks = rankdata(np.concatenate([real, shuffled]))
    own = ranks[: len(real)].sum() - len(real) * (len(real) + 1) / 2
    return float(own / (len(real) * len(shuffled)))


def shifted(texts: list[str]) -> list[str]:
    """Each text in the place of the one before it."""
    return texts[1:] + texts[:1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--heldout", type=Path, required=True)
    parser.add_argument("--prompts", type=Path, required=True)
    parser.add_argument("--encoder")
    parser.add_argument("--random-pairs", type=int, default=RANDOM_PAIRS)
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    sets: dict[str, list[Pair]] = {}
    for name, path in (("plain, detailed", args.pairs), ("head, rest", args.heldout)):
        found = [pair for pair in load_pairs(path) if isinstance(pair, Pair)]
        sets[name] = random.Random(0).sample(found, PAIRS)
    texts = [str(row.value) for row in load_prompts(args.prompts) if isinstance(row, Row)]
    short = sorted({text for text in texts if len(text.split()) < MOST_WORDS})
    chosen = random.Random(0).sample(short, 2 * args.random_pairs)
    one, other = chosen[: args.random_pairs], chosen[args.random_pairs :]
    rows, layer, layers = [], 0, 1
    print("| layer | pairs | real | shuffled | AUC | difference / deviation |")
    print("| ---: | --- | ---: | ---: | ---: | ---: |")
    while layer <= layers:
        scorer = BertScorer(args.encoder, layer=layer)
        layers = scorer.layers
        for name, pairs in sets.items():
            targets = [pair.target for pair in pairs]
            found_scores = scorer.scores_against(
                predictions=[pair.source for pair in pairs],
                references={"real": targets, "shuffled": shifted(targets)},
            )
            real, mixed = found_scores["f1_real"], found_scores["f1_shuffled"]
            size = (real - mixed).mean() / (real - mixed).std()
            print(
                f"| {layer} | {name} | {real.mean():.3f} | {mixed.mean():.3f} "
                f"| {auc(real, mixed):.3f} | {size:.2f} |",
                flush=True,
            )
        scores = scorer.scores(predictions=one, references=other)
        rows.append([layer, *(f"{scores[key].mean():.6f}" for key in NAMES)])
        error = scores["f1"].std() / len(one) ** 0.5
        print(f"baseline {rows[-1]}, standard error of F1 {error:.5f}", flush=True)
        layer += 1
    with atomic_path(args.output) as path, path.open("w", newline="", encoding="utf-8") as file:
        file.write(f"# BERTScore of {len(one)} random pairs of prompts of {args.prompts.name} with "
                   f"fewer than {MOST_WORDS} words; {scorer.name}, weights "
                   f"{scorer.settings['weights']}; benchmarks/bertscore_layers.py\n")  # fmt: skip
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["LAYER", "P", "R", "F"])
        writer.writerows(rows)


if __name__ == "__main__":
    main()
