"""Pairs whose targets were written for this project, row by row, with their prompts found again.

    python -m benchmarks.writer.targets --data FOLDER --output pairs.jsonl [--heldout held.jsonl]

`targets.tsv.gz` holds targets for several thousand short prompts: phrases to add, a paragraph that
continues the prompt, or a rewritten prompt. A language model wrote them, following the instructions
in `written.md`. The file identifies public prompts by a hash. To find them again, this script cuts
the prompts in FOLDER (`prompts.parquet`, `modern/prompts.parquet`, `modern/pairs.parquet`) into
short ones that people might type. Prompts that this project made up are stored as they are.

What the checks of a result would drop is left out of the targets. Rewritings that lose what their
prompt asks for, and paragraphs and rewritings with a style that it does not name, are left out
whole. A twentieth of the prompts is set apart, in all forms; a prompt that begins like one of them
may be learned. Each of several `--passes` has the phrases in another order.
"""

import argparse
import csv
import gzip
import hashlib
import io
import random
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

from benchmarks.writer.pairs import rows_of
from benchmarks.writer.prose import heads
from promptlift.improving.config import ControlConfig
from promptlift.improving.selection import select
from promptlift.pairs.load import write_pairs
from promptlift.prompts.clauses import cut_prompt, split_clauses
from promptlift.prompts.reading import read
from promptlift.prompts.units import split_sentences
from promptlift.records import Pair

TARGETS = Path(__file__).parent / "targets.tsv.gz"
COLUMNS = ("prompt", "mode", "form", "target")
HASH = re.compile("[0-9a-f]{16}")  # a public prompt; any other text is a prompt of ours
FEWEST = 2  # phrases of a target
HELD = 0.05  # share of the prompts set apart


def key_of(prompt: str) -> str:
    """The key of a public prompt in `targets.tsv.gz`."""
    return hashlib.sha256(prompt.encode()).hexdigest()[:16]


def cuts(text: str) -> Iterator[str]:
    """Short prompts that a long one may have begun as."""
    first, *others = split_sentences(text)
    yield from (text, first, " ".join([first, *others[:1]]), *(first[:end] for end in heads(first)))
    if pair := cut_prompt(text):
        yield pair.source
    clauses = split_clauses(text)
    yield from (", ".join(clauses[:count]) for count in (2, 3, 4))


def typed(text: str) -> Iterator[str]:
    """As it stands and as people type: in lower case, without the article or the full stop."""
    for one in (text, text.strip(" ."), text.strip(" ,.")):
        one = " ".join(one.split())
        for cased in (one, one[:1].lower() + one[1:]):
            yield cased
            yield re.sub(r"^(?:an?|the) ", "", cased, flags=re.IGNORECASE).strip(" ,.")


def public_prompts(data: Path) -> list[str]:
    """Those that short ones are cut from, as they stand."""
    long = [str(row["prompt"]) for row in rows_of(data / "prompts.parquet")]
    return long + [str(row["text"]) for row in rows_of(data / "modern" / "prompts.parquet")]


def prompts_by_key(data: Path) -> dict[str, str]:
    """All short prompts that public ones may be cut to."""
    short = (str(row["short"]) for row in rows_of(data / "modern" / "pairs.parquet"))
    every = chain(short, (cut for text in public_prompts(data) for cut in cuts(text)))
    return {key_of(one): one for text in every for one in typed(text)}


def read_targets(known: dict[str, str], path: Path = TARGETS) -> tuple[list[Pair], int]:
    """The pairs whose prompts are known, and how many others there are."""
    pairs, missing = [], 0
    with gzip.open(path, "rb") as packed:
        for row in csv.DictReader(io.TextIOWrapper(packed, "utf-8"), delimiter="\t"):
            source = known.get(row["prompt"]) if HASH.fullmatch(row["prompt"]) else row["prompt"]
            if source is None:
                missing += 1
                continue
            pairs.append(
                Pair(source=source, target=row["target"], mode=row["mode"], form=row["form"])
            )
    return pairs, missing


def checked(pair: Pair) -> Pair | None:
    """A pair without the phrases that the checks of a result drop.

    None where little is left, where a rewriting loses something, and for a paragraph or a
    rewriting with a style that the prompt does not name.
    """
    reading = read(pair.source)
    if pair.mode == "rewrite" and reading.intent.lost(pair.target, prose=pair.form != "tags"):
        return None
    if pair.mode == "extend" and pair.form == "tags":
        kept = select(split_clauses(pair.target), reading, ControlConfig()).kept
        return replace(pair, target=", ".join(kept)) if len(kept) >= FEWEST else None
    return None if reading.new_terms([pair.target], ("painter", "style", "medium")) else pair


def apart(pairs: list[Pair], share: float = HELD) -> tuple[list[Pair], list[Pair]]:
    """Those to learn and those to measure on, by prompt."""
    prompts = sorted({pair.source for pair in pairs})
    held = set(random.Random(0).sample(prompts, round(share * len(prompts))))
    learned = [pair for pair in pairs if pair.source not in held]
    return learned, [pair for pair in pairs if pair.source in held]


def turned(pair: Pair, generator: random.Random) -> Pair:
    """A pair with the phrases of its tags in another order, for a second pass."""
    if pair.mode != "extend" or pair.form != "tags":
        return pair
    phrases = split_clauses(pair.target)
    return replace(pair, target=", ".join(generator.sample(phrases, len(phrases))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--heldout", type=Path)
    parser.add_argument(
        "--passes",
        type=int,
        choices=range(1, 10),
        default=1,
        help="each with phrases in another order",
    )
    args = parser.parse_args()
    written, missing = read_targets(prompts_by_key(args.data))
    pairs = [pair for pair in map(checked, written) if pair]
    learned, held = apart(pairs)
    generator = random.Random(0)
    more = [turned(pair, generator) for _ in range(1, args.passes) for pair in learned]
    write_pairs(args.output, learned + more)
    if args.heldout:
        write_pairs(args.heldout, held)
    counts = Counter(f"{pair.mode}, {pair.form}" for pair in learned)
    print(f"{len(written)} targets found, {missing} not; {len(written) - len(pairs)} dropped")
    print(f"to learn: {dict(counts)}; apart: {len(held)}")


if __name__ == "__main__":
    main()
