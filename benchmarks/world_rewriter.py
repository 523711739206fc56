"""What a rewriter of the pocket world keeps and adds, on 300 prompts of scenes it has not learned.

    promptlift world pairs --output pairs.jsonl
    promptlift world pairs --test --count 300 --mode extend --output test.jsonl
    promptlift train --preset pocket-world --pairs pairs.jsonl --validation test.jsonl -o runs/world
    promptlift export runs/world/model --calibration test.jsonl --output world
    python -m benchmarks.world_rewriter world --pairs pairs.jsonl

Prints for each mode the shares of results that keep shape, colour and everything else that the
prompt asks for, that name a background or a style it did not name, that praise, that blame, that
say a phrase twice, and that were left alone; and how many of the prompts the model has learned.
"""

import argparse
import json
from collections import Counter
from pathlib import Path

from benchmarks.world.wanted import wanted_of
from promptlift import Improver
from promptlift.pairs.load import load_pairs
from promptlift.prompts.clauses import split_clauses
from promptlift.records import Improvement, Pair
from promptlift.world.captions import BLAME, PRAISE
from promptlift.world.pairs import world_pairs

_BLAME = {word for words in BLAME.values() for word in words}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--pairs", type=Path, help="What it learned.")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    improver = Improver.load(given.model)
    sources = [pair.source for pair in world_pairs(given.count, test=True, mode="extend")]
    if given.pairs:
        learned = {pair.source for pair in load_pairs(given.pairs) if isinstance(pair, Pair)}
        print(f"prompts that it learned: {sum(text in learned for text in sources)}")
    for mode in improver.card.modes:
        results = [one for [one] in improver.improve(sources, mode=mode, seed=given.seed)]
        print(json.dumps({"mode": mode, "n": len(results), **figures(results)}, indent=2))
        for one in results[:8]:
            print(f"  {one.prompt}")


def figures(results: list[Improvement]) -> dict[str, float]:
    """Shares of the results, by what is counted; and words and phrases of additions, on average."""
    counts: Counter[str] = Counter()
    for one in results:
        asked, found = wanted_of(one.source), wanted_of(one.prompt)
        clauses = split_clauses(one.prompt)
        counts["shape kept"] += asked.shape == found.shape
        counts["colour kept"] += asked.colour == found.colour
        counts["all kept"] += all(
            value in (None, getattr(found, name)) for name, value in vars(asked).items()
        )
        counts["background added"] += asked.background is None is not found.background
        counts["style added"] += asked.style is None is not found.style
        counts["praised"] += any(clause in PRAISE for clause in clauses)
        counts["blamed"] += any(clause in _BLAME for clause in clauses)
        counts["a phrase twice"] += len(set(clauses)) < len(clauses)
        counts["left alone"] += one.prompt == one.source
    shares = {name: round(count / len(results), 3) for name, count in counts.items()}
    added = [len(split_clauses(one.prompt)) - len(split_clauses(one.source)) for one in results]
    return {**shares, "phrases added": round(sum(added) / len(added), 2)}


if __name__ == "__main__":
    main()
