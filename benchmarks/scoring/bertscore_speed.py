"""Seconds of BERTScore: ours against the package `bert_score`, on the same weights and pairs.

    python -m benchmarks.scoring.bertscore_speed --heldout heldout_pairs.parquet --threads 2

1,000 random held-out pairs: the whole prompt against its head with another pair's rest. Models
are loaded beforehand; rounds alternate in one process, ours first in every other one. Printed:
seconds of each round, wall and processor, and the median of the rounds' ratios with their range.
"""

import argparse
import random
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from bert_score import BERTScorer

from promptlift.pairs.load import load_pairs
from promptlift.records import Pair
from promptlift.scoring.text.baselines import reference, shuffled_targets
from promptlift.scoring.text.bertscore import NAMES, BertScorer
from promptlift.scoring.text.encoders import bundled_encoder, default_layer


def timed(score: Callable[[], object]) -> tuple[float, float]:
    """Wall and processor seconds."""
    wall, processor = time.perf_counter(), time.process_time()
    score()
    return time.perf_counter() - wall, time.process_time() - processor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--heldout", type=Path, required=True)
    parser.add_argument("--encoder")
    parser.add_argument("--layer", type=int)
    parser.add_argument("--pairs", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    found = [item for item in load_pairs(args.heldout, mode="extend") if isinstance(item, Pair)]
    pairs = random.Random(0).sample(found, args.pairs)
    references = [reference(pair) for pair in pairs]
    predictions = [reference(pair) for pair in shuffled_targets(pairs)]
    layer = default_layer(args.encoder) if args.layer is None else args.layer
    ours = BertScorer(args.encoder, layer=layer, batch_size=args.batch_size)
    theirs = BERTScorer(
        model_type=args.encoder or str(bundled_encoder()),
        num_layers=layer,
        batch_size=args.batch_size,
        device=str(ours.device),
    )

    def one() -> dict[str, np.ndarray]:
        return ours.scores(predictions=predictions, references=references)

    def other() -> tuple[torch.Tensor, ...]:
        return tuple(theirs.score(predictions, references, batch_size=args.batch_size))

    mine, his = one(), other()  # warm, and equal
    worst = max(
        float(np.abs(mine[name] - value.numpy()).max())
        for name, value in zip(NAMES, his, strict=True)
    )
    print(f"{ours.name}, layer {layer}, {args.pairs} pairs, batch {args.batch_size}, "
          f"{args.threads} threads; largest difference {worst:.1e}\n")  # fmt: skip
    print("| round | ours, wall | bert_score, wall | ratio | ours, CPU | bert_score, CPU | ratio |")
    print("| ---: |" + " ---: |" * 6)
    ratios = []
    for number in range(args.rounds):
        first, second = (one, other) if number % 2 == 0 else (other, one)
        times = [timed(first), timed(second)]
        (wall, cpu), (their_wall, their_cpu) = times if number % 2 == 0 else times[::-1]
        ratios.append((their_wall / wall, their_cpu / cpu))
        print(f"| {number + 1} | {wall:.2f} | {their_wall:.2f} | {ratios[-1][0]:.2f} "
              f"| {cpu:.2f} | {their_cpu:.2f} | {ratios[-1][1]:.2f} |", flush=True)  # fmt: skip
    for name, values in zip(("wall", "CPU"), zip(*ratios, strict=True), strict=True):
        print(f"{name}: median ratio {np.median(values):.2f} ({min(values):.2f} to "
              f"{max(values):.2f})")  # fmt: skip


if __name__ == "__main__":
    main()
