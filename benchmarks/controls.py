"""Whether length, style, likeness, preference and variety do what they say, on 500 prompts.

    python -m benchmarks.controls --heldout heldout_pairs.parquet

500 random held-out heads, seed 0. Intervals: 95%, bootstrap over prompts.

length   additions grow from short to medium to long, by prompt
style    additions begin with each of ten styles, and hold no medium that excludes it
like     each of five reference prompts: additions hold its style or one of its phrases
prefer   each of ten phrases: it is among the additions
avoid    each of the ten commonest additions: it is not
variety  of 4 variants: share of phrases that another variant has too
"""

import argparse
import json
from collections import Counter
from typing import Any

import numpy as np

from benchmarks.expand import prompts_of
from benchmarks.strengths import share
from promptlift import Improvement, Improver
from promptlift.prompts.contradictions import contradiction
from promptlift.prompts.intent import Text

PROMPTS = 500
STYLES = (
    "oil painting", "watercolor", "pixel art", "art nouveau", "studio photograph", "pencil sketch",
    "low poly", "anime style", "3d render", "ukiyo-e",
)  # fmt: skip
PHRASES = (
    "volumetric fog", "golden hour", "soft light", "purple smoke", "glowing runes", "wide angle",
    "misty forest", "rim lighting", "minimalist", "film grain",
)  # fmt: skip
REFERENCES = (
    "a castle, oil painting, dramatic lighting, golden hour, intricate details",
    "portrait of a woman, analog photograph, film grain, soft focus, natural lighting",
    "a robot, 3d render, studio lighting, minimalist, pastel colors",
    "a fox, watercolor, soft colors, storybook illustration, whimsical",
    "a city street, cyberpunk, neon lights, rainy, cinematic, wide angle",
)


def words(results: list[Improvement]) -> Any:
    """Words added to each prompt."""
    return np.array([len(" ".join(result.additions).split()) for result in results])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--heldout", required=True)
    args = parser.parse_args()
    prompts = prompts_of(f"{args.heldout}:source:{PROMPTS}")
    improver = Improver.load()

    def drawn(**options: Any) -> list[Improvement]:
        return [result for [result] in improver.improve(prompts, seed=0, **options)]

    free = drawn()
    lengths = {name: words(drawn(length=name)) for name in ("short", "medium", "long")}
    for name, counts in lengths.items():
        print("length", name, "words added", round(float(counts.mean()), 2))
    print("length: short < medium", share((lengths["short"] < lengths["medium"]).tolist()))
    print("length: medium < long", share((lengths["medium"] < lengths["long"]).tolist()))
    left = share([bool(result.notes) for result in free])
    print("left alone, which no option changes", left)

    first, fitting = [], []
    for style in STYLES:
        for result in drawn(style=style):
            first.append(result.additions[:1] == (style,))
            fitting.append(not any(contradiction(Text(style), p) for p in result.additions))
    print("style first", share(first), "nothing excludes it", share(fitting))

    def holds(result: Improvement, clauses: set[str]) -> bool:
        return any(clause in ", ".join(result.additions) for clause in clauses)

    for name, with_it in (("like", True), ("without", False)):
        found, several = [], []
        for reference in REFERENCES:
            clauses = set(reference.split(", ")[1:])
            for result in drawn(like=reference) if with_it else free:
                found.append(holds(result, clauses))
                several.append(sum(holds(result, {clause}) for clause in clauses) > 1)
        print(name, "one clause of the reference", share(found), "two", share(several))
    for name, with_it in (("prefer", True), ("without", False)):
        found = []
        for phrase in PHRASES:
            results = drawn(prefer=[phrase]) if with_it else free
            found += [phrase in result.additions for result in results]
        print(name, share(found))
    counts = Counter(phrase for result in free for phrase in result.additions)
    commonest = [phrase for phrase, _ in counts.most_common(10)]
    avoided = drawn(avoid=commonest)
    for name, results in (("avoid", avoided), ("without", free)):
        print(name, share([any(p in ", ".join(r.additions) for p in commonest) for r in results]))
    for variety in (0, 0.25, 0.5, 0.75, 1):
        again, amount = [], []
        for variants in improver.improve(prompts, n=4, seed=0, variety=variety):
            said = [phrase.lower() for variant in variants for phrase in variant.additions]
            amount.append(len(said) / 4)
            again.append(1 - len(set(said)) / len(said) if said else 0.0)
        mean = round(float(np.mean(again)), 4)
        print(
            "variety",
            json.dumps(variety),
            "said again",
            mean,
            "additions",
            round(float(np.mean(amount)), 2),
        )


if __name__ == "__main__":
    main()
