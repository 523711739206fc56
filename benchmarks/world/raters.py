"""Simulated raters of the pocket world, who see through the reader, with noise.

    python -m benchmarks.world.raters RUN [--votes 3000]

Assigns the pairs of a run to five raters and votes for them. A rater sees in each picture what the
reader sees, a second oracle that learned from other scenes and another seed than the oracle that
judges, and scores it as the oracle does, by what the original prompt asks for. The better one is
chosen with probability logistic(8 x difference); one answer in ten is a toss of a coin, and of
pictures that score alike half are a tie. Their votes are marked as simulated, here and wherever
they are used. `promptlift votes learn RUN --kind simulated --clip pocket` learns from them.
"""

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from promptlift.judging.collecting.study import Study
from promptlift.judging.config import JudgingConfig
from promptlift.judging.records import SIMULATED, JudgedPair
from promptlift.world import bundle
from promptlift.world.oracle import Oracle, judge, load_oracle, score
from promptlift.world.wanted import wanted_of

RATERS = ("ann", "bob", "cleo", "dan", "eve")
SHARPNESS, LAPSES, ALIKE = 8.0, 0.1, 0.02


def scores_of(study: Study, pair: JudgedPair, reader: Oracle) -> list[float]:
    """What the reader makes of both pictures of a pair, from 0 to 1."""
    images = [Image.open(study.folder / file).convert("RGB") for file in pair.files]
    wanted = wanted_of(pair.prompt)
    readings = reader.read(np.stack([np.asarray(image) for image in images]))
    return [score(judge(wanted, reading), reading.clean) for reading in readings]


def answer(first: float, second: float, rng: np.random.Generator) -> str:
    """What a rater says of pictures of these scores, "first", "second" or "tie"."""
    if rng.random() < LAPSES:
        return "first" if rng.random() < 0.5 else "second"
    if abs(first - second) < ALIKE and rng.random() < 0.5:
        return "tie"
    chance = 1 / (1 + np.exp(-SHARPNESS * (first - second)))
    return "first" if rng.random() < chance else "second"


def vote_all(study: Study, reader: Oracle, seed: int = 0) -> int:
    """Votes of all raters on all of their pairs; how many."""
    rng, count = np.random.default_rng(seed), 0
    for rater in study.store.raters():
        while (place := study.store.place(rater, study.questions)).question is not None:
            found = study.store.task(rater, place.position)
            assert found is not None
            task, pair = found
            first, second = scores_of(study, pair, reader)
            said = answer(first, second, rng)
            left = "second" if task.swapped else "first"
            study.store.vote(
                rater,
                study.questions,
                position=place.position,
                question=place.question,
                answer="tie" if said == "tie" else "left" if said == left else "right",
                seconds=0.0,
                page_version="simulated",
                key=f"{rater.name}-{place.position}-{place.question}",
            )
            count += 1
    return count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path, help="run folder of illustrate, with pictures")
    parser.add_argument("--votes", type=int, default=3000)
    parser.add_argument("--reader", type=Path, default=bundle.READER)
    args = parser.parse_args()
    config = JudgingConfig(raters=RATERS, questions=("picture",), sample=args.votes, repeats=0.0)
    study = Study.open([args.run], config, print, kind=SIMULATED)
    print(f"{vote_all(study, load_oracle(args.reader))} simulated votes in {args.run}")


if __name__ == "__main__":
    main()
