"""How many results say a thing twice, with `coherent` and without.

    python -m benchmarks.improving.said_twice FILE.txt ... [--output found.json] [--sheet FOLDER]

Of 1,000 prompts drawn from the files (a prompt a line), one result each with default options. The
count knows nothing of the tables in `prompts/coherence.py`; two additions of a result say a thing
twice by

- words: they share a word by its first five letters, but for those of `SHARED`, which go with
  several others ("studio lighting, volumetric lighting");
- resolution: both have a figure with a K, "HD", "resolution" or "definition";
- encoder: the cosine of their means over the last layer of all-MiniLM-L6-v2 is 0.65 or more.

It sees no "highly detailed" in "intricate", and it takes "digital art, digital painting" for one
thing; so the sheets, a result a line, are for reading. `drops.tsv` has what `coherent` drops.
"""

import argparse
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from promptlift import Improvement, Improver
from promptlift.files import write_json
from promptlift.scoring.text.encoders import bundled_encoder
from promptlift.statistics import wilson

PROMPTS, SEED, ALIKE = 1000, 0, 0.65
SHARED = frozenset((
    "light", "style", "paint", "image", "color", "colou", "illus", "compo", "digit", "photo",
    "quali", "backg",
))  # fmt: skip
_RESOLUTION = re.compile(r"\b\d+ ?k\b|\bu?hd\b|\bresolution\b|\bdefinition\b")
_WORD = re.compile(r"[a-z]{5,}")


def beginnings(phrase: str) -> set[str]:
    """First five letters of the words that have so many."""
    return {word[:5] for word in _WORD.findall(phrase.lower())} - SHARED


def signs(additions: Sequence[str], cosine: Callable[[str, str], float]) -> set[str]:
    """By which signs two of the additions say a thing twice."""
    found = set()
    for one, other in combinations([phrase.lower() for phrase in additions], 2):
        if beginnings(one) & beginnings(other):
            found.add("words")
        if _RESOLUTION.search(one) and _RESOLUTION.search(other):
            found.add("resolution")
        if cosine(one, other) >= ALIKE:
            found.add("encoder")
    return found


def cosines(phrases: Sequence[str]) -> Callable[[str, str], float]:
    """The cosine of any two of some phrases, by the encoder that is installed."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    folder = str(bundled_encoder())
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    rows = {}
    for phrase in dict.fromkeys(phrases):
        with torch.no_grad():
            states = model(**tokenizer([phrase], return_tensors="pt")).last_hidden_state[0]
        mean = states.mean(dim=0).numpy()
        rows[phrase] = mean / np.linalg.norm(mean)
    return lambda one, other: float(rows[one] @ rows[other])


def share(count: int, n: int) -> list[float]:
    """A share with its 95% interval (Wilson)."""
    return [round(value, 4) for value in (count / n, *wilson(count, n))]


def examine(results: Sequence[Improvement], cosine: Callable[[str, str], float]) -> dict[str, Any]:
    """The counts of one system."""
    found = [signs(result.additions, cosine) for result in results]
    each = Counter(sign for one in found for sign in one)
    return {
        "results": len(results),
        "said_twice": share(sum(map(bool, found)), len(results)),
        **{sign: share(each[sign], len(results)) for sign in ("words", "resolution", "encoder")},
        "with_additions": sum(bool(result.additions) for result in results),
        "additions": sum(len(result.additions) for result in results),
    }


def write_sheets(
    folder: Path, free: Sequence[Improvement], coherent: Sequence[Improvement]
) -> None:
    """A result a line of both, and what was dropped of the second alone."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, results in (("without", free), ("with", coherent)):
        rows = [f"{one.source!r}\t{' | '.join(one.additions)}" for one in results]
        (folder / f"{name}.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    drops = [
        f"{item.phrase}\t{item.reason}\t{' | '.join(now.additions)}\t{now.source!r}"
        for before, now in zip(free, coherent, strict=True)
        for item in now.dropped
        if item not in before.dropped
    ]
    (folder / "drops.tsv").write_text("\n".join(drops) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--model")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--sheet", type=Path)
    args = parser.parse_args()
    lines = [line for path in sorted(args.files) for line in path.read_text("utf-8").split("\n")]
    prompts = [line for line in lines if line.strip()]
    chosen = random.Random(SEED).sample(prompts, min(PROMPTS, len(prompts)))
    improver = Improver.load(args.model)
    systems = {
        name: [one for [one] in improver.improve(chosen, seed=SEED, coherent=name == "coherent")]
        for name in ("free", "coherent")
    }
    cosine = cosines(
        [
            phrase.lower()
            for results in systems.values()
            for one in results
            for phrase in one.additions
        ]
    )
    report: dict[str, Any] = {"model": improver.model_id, "seed": SEED, "alike": ALIKE}
    for name, results in systems.items():
        report[name] = examine(results, cosine)
        print(name, json.dumps(report[name]))
    if args.output:
        write_json(args.output, report)
    if args.sheet:
        write_sheets(args.sheet, systems["free"], systems["coherent"])


if __name__ == "__main__":
    main()
