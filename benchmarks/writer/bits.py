"""Bits a character of held-out long prompts: models against a character 8-gram.

    python -m benchmarks.writer.bits --data FOLDER --model MODEL [--model MODEL ...] [--limit N]

FOLDER holds `modern/heldout_pairs.parquet` (the long prompt, given the short one: to rewrite as a
paragraph), `modern/heldout_prompts.parquet` (the rest, given the subject of its first sentence: to
extend in a paragraph) and the same files without `heldout_`, whose texts the 8-gram counts. A
model whose card knows no paragraphs is asked with the writer's prefixes. Intervals: 95%,
bootstrap over pairs. Needs the package textblob.
"""

import argparse
import json
import random
from dataclasses import replace
from pathlib import Path

from benchmarks.improving.bits_per_character import ORDER, interval, ngram_bits
from benchmarks.writer.pairs import rows_of
from benchmarks.writer.prose import heads
from promptlift import Improver
from promptlift.prompts.units import split_sentences
from promptlift.records import Pair
from promptlift.scoring.text.bits import characters_of, target_bits
from promptlift.training.config import DEFAULT_FORMS, POCKET_MODES


def heldout(folder: Path) -> dict[str, list[Pair]]:
    """Held-out pairs by the name of their set."""
    long = [
        Pair(source=row["short"], target=row["long"], mode="rewrite", form="paragraph")
        for row in rows_of(folder / "heldout_pairs.parquet")
    ]
    rest = []
    for row in rows_of(folder / "heldout_prompts.parquet"):
        if ends := heads(split_sentences(row["text"])[0]):
            source, target = row["text"][: ends[0]], row["text"][ends[0] :]
            rest.append(Pair(source=source, target=target, mode="extend", form="paragraph"))
    return {"long given short": long, "rest given subject": rest}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", action="append", default=[])
    parser.add_argument("--limit", type=int, default=500)
    args = parser.parse_args()
    folder = args.data / "modern"
    learned = [row["text"] for row in rows_of(folder / "prompts.parquet")]
    learned += [row["long"] for row in rows_of(folder / "pairs.parquet")]
    sets = {
        name: random.Random(0).sample(pairs, min(args.limit, len(pairs)))
        for name, pairs in heldout(folder).items()
    }
    for name, pairs in sets.items():
        lengths = characters_of([pair.target for pair in pairs])
        bits = ngram_bits(learned, [pair.target for pair in pairs])
        print(json.dumps({"set": name, "n": len(pairs), f"{ORDER}-gram": interval(bits, lengths)}))
    for model in args.model:
        improver = Improver.load(model)
        if "paragraph" not in improver.card.forms:
            forms = {**DEFAULT_FORMS}
            improver.model = replace(
                improver.here, card=replace(improver.card, modes=POCKET_MODES, forms=forms)
            )
        for name, pairs in sets.items():
            found = interval(
                target_bits(improver, pairs), characters_of([pair.target for pair in pairs])
            )
            print(json.dumps({"set": name, "n": len(pairs), improver.model_id: found}), flush=True)


if __name__ == "__main__":
    main()
