"""How alike pictures of different seeds become with a seed-invariant embedding.

    python -m benchmarks.steering.same [--guided] [-o docs/world/same.json]

Prompts of scenes of the pocket world that nothing learned; pictures of eight seeds of each, none
of them learned from, before and after: the mean correlation of the pixels of each two.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from benchmarks.steering.optimised import FIRST_SEED, drawn
from benchmarks.world.answers import prompts as measured_prompts
from benchmarks.world.drawn import interval
from promptlift.files import write_json
from promptlift.illustrating.illustrator import Illustrator
from promptlift.steering.config import SameConfig
from promptlift.steering.same import guided, unguided

SEEDS = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--guided", action="store_true", help="towards what `unguided` finds")
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rate", type=float, default=SameConfig.rate)
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    illustrator = Illustrator.load("pocket", num_inference_steps=args.steps, batch_size=50)
    config = SameConfig(rate=args.rate)
    before, after, target = list[float](), list[float](), list[float]()
    for place, prompt in enumerate(measured_prompts(args.count)):
        found = unguided(illustrator, prompt, place, config)
        if args.guided:
            found, _ = guided(illustrator, prompt, found, place, config)
        seeds = list(range(FIRST_SEED, FIRST_SEED + SEEDS))
        wanted = drawn(illustrator, [prompt], [place])
        plain = drawn(illustrator, [prompt] * SEEDS, seeds)
        made = drawn(illustrator, [prompt] * SEEDS, seeds, [found] * SEEDS)
        for pictures, values in ((plain, before), (made, after)):
            table = np.corrcoef(pictures.reshape(SEEDS, -1).astype(float))
            values.append(float(table[np.triu_indices(SEEDS, 1)].mean()))
        both = np.concatenate([wanted, made]).reshape(SEEDS + 1, -1).astype(float)
        target.append(float(np.corrcoef(both)[0, 1:].mean()))
        print(f"{prompt}: {before[-1]:.3f} to {after[-1]:.3f}, to its picture {target[-1]:.3f}",
              flush=True)  # fmt: skip
    names = {"before": before, "after": after, "to the wanted picture": target}
    found_all = {
        **{name: interval(np.array(values)) for name, values in names.items()},
        "more": interval(np.array(after) - np.array(before)), "steps": args.steps,
        "config": vars(config), "guided": args.guided,
    }  # fmt: skip
    print(found_all)
    if args.output:
        write_json(args.output, found_all)


if __name__ == "__main__":
    main()
