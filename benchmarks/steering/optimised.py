"""Whether an optimised embedding draws better pictures from other noise, in the pocket world.

    python -m benchmarks.steering.optimised --rewriter MODEL [-o docs/world/steered.json]

Prompts of scenes that nothing learned. Each one's embedding is optimised for a metric on one seed;
then pictures of four other seeds are drawn of the prompt, of what a rewriter makes of it, and of
the embedding. Beside them stands what the time of optimising buys without it: that many drawings of
the prompt, of which the metric picks one. The metric says what it was asked for, and the oracle
whether the picture is better.
"""

import argparse
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from benchmarks.world.answers import less
from benchmarks.world.answers import prompts as measured_prompts
from benchmarks.world.drawn import interval, judged
from promptlift import Improver
from promptlift.files import write_json
from promptlift.illustrating.embedding import Embedding
from promptlift.illustrating.illustrator import Illustrator
from promptlift.illustrating.records import Request
from promptlift.picture_files import PictureReader
from promptlift.scoring.pictures.config import PictureScoringConfig
from promptlift.scoring.pictures.feature_cache import FeatureCache
from promptlift.scoring.pictures.preference_models import GradedScorer, ScorerContext
from promptlift.steering.config import OptimiseConfig
from promptlift.steering.optimise import graded_scorer, optimise
from promptlift.world import bundle
from promptlift.world.oracle import load_oracle

COUNT, UNSEEN, OWN_SEED, FIRST_SEED = 48, 4, 0, 5_000_000
Pictures = npt.NDArray[np.uint8]


def drawn(
    illustrator: Illustrator,
    prompts: Sequence[str],
    seeds: Sequence[int],
    embeddings: Sequence[Embedding | None] | None = None,
) -> Pictures:
    """A picture for each prompt and seed, uint8 [pictures, height, width, 3]."""
    given = embeddings or [None] * len(prompts)
    requests = [
        Request(prompt=prompt, seed=seed, embedding=embedding)
        for prompt, seed, embedding in zip(prompts, seeds, given, strict=True)
    ]
    found = [np.asarray(one.image.convert("RGB")) for one in illustrator.draw_all(requests)]
    return np.stack(found)


def measured(
    scorer: GradedScorer, prompts: Sequence[str], pictures: Pictures
) -> dict[str, npt.NDArray[np.float64]]:
    """The metric, and what the oracle says by the prompts."""
    levels = torch.from_numpy(pictures.copy()).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        metric = scorer.graded(prompts, levels).double().numpy()
    return {"metric": metric, **judged(load_oracle(bundle.ORACLE), prompts, pictures)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rewriter", required=True, help="of the pocket world")
    parser.add_argument("--metric", default="sharpness")
    parser.add_argument("--count", type=int, default=COUNT)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--iterations", type=int, default=20)
    parser.add_argument("--through", type=int, default=3)
    parser.add_argument("--noises", type=int, default=1)
    parser.add_argument("--optimizer", default="adamw")
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    config = OptimiseConfig(
        metric=args.metric, iterations=args.iterations, patience=args.iterations + 1,
        through=args.through, noises=args.noises, optimizer=args.optimizer,
    )  # fmt: skip
    illustrator = Illustrator.load(
        "pocket", num_inference_steps=args.steps, seed=OWN_SEED, batch_size=50, device="cpu"
    )
    scoring = PictureScoringConfig().resolved(bundle.NAME)
    context = ScorerContext(config=scoring, cache=FeatureCache(), reader=PictureReader(8))
    scorer = graded_scorer(args.metric, context)
    sources = measured_prompts(args.count)
    improved = [
        one.prompt
        for [one] in Improver.load(args.rewriter).improve(
            sources, seed=0, mode="extend", styles="never"
        )
    ]
    begun, embeddings, own = time.monotonic(), list[Embedding](), list[float]()
    for place, source in enumerate(sources):
        best = optimise(illustrator, source, scorer, config)
        embeddings.append(best.embedding)
        own.append(best.score)
        print(f"{place + 1} of {len(sources)}: {source}, {best.score:.4g}", flush=True)
    seconds = (time.monotonic() - begun) / len(sources)
    every = sources * UNSEEN
    noise = list(range(FIRST_SEED, FIRST_SEED + len(every)))
    begun = time.monotonic()
    arms = {"original": measured(scorer, every, drawn(illustrator, every, noise))}
    redraws = max(1, round(seconds * len(every) / (time.monotonic() - begun)))
    arms["improved"] = measured(scorer, every, drawn(illustrator, improved * UNSEEN, noise))
    arms["optimised"] = measured(
        scorer, every, drawn(illustrator, every, noise, embeddings * UNSEEN)
    )
    groups = [place % len(sources) for place in range(len(every))]
    found: dict[str, Any] = {
        "prompts": len(sources), "unseen": UNSEEN, "config": vars(config), "steps": args.steps,
        "seconds": round(seconds, 2), "redraws": redraws, "arms": {}, "one picture": {},
    }  # fmt: skip
    for name, values in arms.items():
        found["arms"][name] = {
            **{key: interval(values[key], groups) for key in ("metric", "score", "shown", "clean")},
            "less": {
                other: less(theirs, values, groups)
                for other, theirs in arms.items() if other != name
            },
        }  # fmt: skip
    # One picture of each prompt, after an equal time.
    seeds = [FIRST_SEED * 2 + place for place in range(redraws * len(sources))]
    again = measured(scorer, sources * redraws, drawn(illustrator, sources * redraws, seeds))
    picked = again["metric"].reshape(redraws, -1).argmax(axis=0)
    places = picked * len(sources) + np.arange(len(sources))
    first = [OWN_SEED] * len(sources)
    ones = {
        "first drawn": measured(scorer, sources, drawn(illustrator, sources, first)),
        "best of redraws": {key: values[places] for key, values in again.items()},
        "optimised": measured(
            scorer, sources, drawn(illustrator, sources, first, embeddings)
        ),
    }  # fmt: skip
    single = list(range(len(sources)))
    for name, values in ones.items():
        found["one picture"][name] = {
            **{key: interval(values[key], single) for key in ("metric", "score", "shown", "clean")},
            "less": {other: less(theirs, values, single) for other, theirs in ones.items()
                     if other != name},
        }  # fmt: skip
    for part in ("arms", "one picture"):
        for name, row in found[part].items():
            shown = "; ".join(
                "less {} {difference:+.3f} ({low:+.3f} to {high:+.3f})".format(
                    other, **one["score"]
                )
                for other, one in row["less"].items()
            )
            print(f"{name}: metric {row['metric'][0]:.4g}, oracle {row['score'][0]:.3f}; {shown}")
    if args.output:
        write_json(args.output, found)


if __name__ == "__main__":
    main()
