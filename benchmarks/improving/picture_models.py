"""Whether prompts for each picture model have its form, its limit and what was asked for.

    python -m benchmarks.improving.picture_models FILE.txt ... [-n 200] [--seed 0] [--model MODEL]

Prompts are drawn at random over all files, one a line. For each picture model one result each, in
the form that its row names, or in tags where the improving model writes no paragraphs:

- `form`: tags: no addition is a sentence; paragraph: the additions are sentences, none of more than
  three commas, and quoted words stay; json: valid against the schema, with every
  quoted word as it was written.
- `limit`: within the tokens of its encoder; those whose own words are over it apart (`own over`).
- `kept`: nothing is lost of what the prompt asks for.
- `left alone`: prompts to which nothing was added.
"""

import argparse
import json
import random
from collections import Counter
from pathlib import Path

import jsonschema_rs

from promptlift import Improvement, Improver
from promptlift.prompts.intent import Intent
from promptlift.prompts.picture_models.table import PictureModel, picture_models, schema
from promptlift.prompts.units import is_finished


def form_is_valid(result: Improvement, model: PictureModel) -> bool:
    """Whether a result has the form that was asked for; see above."""
    if result.settings["form"] == "json":
        found = json.loads(result.prompt)
        if not jsonschema_rs.is_valid(schema(model.object), found):
            return False
        base = str(next(iter(found.values())))
        return all(w.key[0] in base for w in Intent(result.source).wants if w.kind == "quoted")
    if result.settings["form"] == "tags":
        return not any(is_finished(phrase) for phrase in result.additions)
    sentences = all(is_finished(item) and item.count(",") <= 3 for item in result.additions)
    quoted = [want.text for want in Intent(result.source).wants if want.kind == "quoted"]
    return sentences and all(text in result.prompt for text in quoted)


def row(results: list[Improvement], model: PictureModel) -> Counter[str]:
    """How many results are what they should be."""
    found = Counter[str]()
    for result in results:
        limit = result.checks.get("encoder_limit", result.settings["max_prompt_tokens"])
        tokens = result.checks.get("encoder_tokens", result.clip_tokens)
        found["form"] += form_is_valid(result, model)
        found["limit"] += tokens <= limit
        found["own over"] += tokens > limit and not result.additions
        found["kept"] += not result.checks["lost"]
        found["left alone"] += not result.additions
        found["estimated"] += bool(result.checks.get("estimated"))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("-n", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model")
    asked = parser.parse_args()
    lines = [line.strip() for file in sorted(asked.files) for line in file.open(encoding="utf-8")]
    prompts = random.Random(asked.seed).sample([line for line in lines if line], asked.n)
    improver = Improver.load(asked.model)
    names = ("form", "limit", "own over", "kept", "left alone", "estimated")
    print(f"| for | form | {' | '.join(names)} |\n| --- | --- |{' ---: |' * len(names)}")
    for name, model in picture_models().items():
        variants = improver.improve(prompts, seed=asked.seed, picture_model=name)
        results = [result for [result] in variants]
        found = row(results, model)
        cells = " | ".join(str(found[key]) for key in names)
        print(f"| {name} | {results[0].settings['form']} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
