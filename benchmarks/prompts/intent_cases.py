"""How good the checker of intent is, on cases that were labelled by reading them.

    PROMPTLIFT_MODEL=tests/data/pocket python -m benchmarks.prompts.intent_cases draw \
        --heldout heldout_pairs.parquet --prompts parti_prompts.txt \
        --expanded expanded.jsonl --model TWIN -o cases.jsonl
    python -m benchmarks.prompts.intent_cases measure

A case is a prompt and a result or a phrase. 180 cases ask which kinds of wants the result lost: 90
rewritings that keep no intent, 60 answers of an instruction model, 30 prompts
with one word of number, colour, relation or negation changed. 180 ask whether an added phrase
contradicts the prompt: 60 additions of a model that keeps none, 60 clauses of other people's
prompts, and 60 pairs of prompt and clause that speak of one topic (time, medium, colour, number, a
creature), of which more contradict. Half of the prompts of each part name a number, colour,
relation, negation, name, quote, medium or time.
Labels: benchmarks/prompts/intent_labels.jsonl; docs/intent.md says how they were made.
"""

import argparse
import json
import random
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.improving.expand import prompts_of, read_expanded
from promptlift import Improver
from promptlift.prompts.clauses import split_clauses
from promptlift.prompts.contradictions import contradiction
from promptlift.prompts.intent import KINDS, Intent
from promptlift.tables import Fault, read_rows

LABELS = Path(__file__).parent / "intent_labels.jsonl"
_TOO_FEW = 2  # for a share with an interval
_CHANGES = {
    "two": "three", "three": "two", "four": "five", "five": "several", "red": "blue",
    "blue": "green", "green": "red", "black": "white", "white": "black", "yellow": "purple",
    "no": "some", "without": "with", "on": "under", "under": "on", "behind": "beside",
    "above": "below", "left": "right", "right": "left", "holding": "watching", "riding": "near",
    "next to": "far from", "in front of": "behind",
}  # fmt: skip
_TOPICS = (
    "night|day|sunset|sunrise|dawn|noon|moonlight|sunlight|sunny|winter|summer|rain|storm",
    "photo|photograph|painting|drawing|sketch|illustration|render|watercolor|oil|pixel art",
    "red|blue|green|black|white|yellow|pink|purple|golden",
    "one|two|three|four|five|several|single|no|without",
    "man|woman|girl|boy|cat|dog|horse|bird|dragon|robot|people|wolf",
)
_RICH = re.compile(
    r"\b(two|three|four|five|six|red|blue|green|black|white|yellow|pink|no|without|not|night|"
    r"sunset|winter|photo|painting|drawing|left|right|on top|behind|under)\b|\"|[a-z] [A-Z][a-z]",
)


def draw(args: argparse.Namespace) -> list[dict[str, Any]]:
    """The cases, shuffled, without labels."""
    random_ = random.Random(0)
    prompts = prompts_of(args.prompts) + prompts_of(f"{args.heldout}:source:1200")
    prompts = [prompt for prompt in prompts if 3 <= len(prompt.split()) <= 20]
    random_.shuffle(prompts)
    rich = [prompt for prompt in prompts if _RICH.search(prompt)]
    plain = [prompt for prompt in prompts if not _RICH.search(prompt)]

    def take(count: int) -> list[str]:
        return [pool.pop() for pool in (rich, plain) for _ in range(count // 2)]

    cases: list[dict[str, Any]] = []
    sources = take(90)
    for [result] in Improver.load().improve(sources, seed=0, mode="rewrite", keep_intent=False):
        cases.append({"ask": "lost", "source": result.source, "result": result.prompt})
    expanded = read_expanded(args.expanded)
    known = [prompt for prompt in rich + plain if prompt in expanded]
    for prompt in random_.sample(known, 60):
        text = str(expanded[prompt]["prompt"])
        cases.append({"ask": "lost", "source": prompt, "result": text})
    changed: list[dict[str, Any]] = []
    while len(changed) < 30:
        prompt = rich.pop()
        found = [word for word in _CHANGES if re.search(rf"\b{word}\b", prompt)]
        if found:
            word = random_.choice(found)
            result_text = re.sub(rf"\b{word}\b", _CHANGES[word], prompt, count=1)
            changed.append(
                {"ask": "lost", "source": prompt, "result": result_text + ", soft light"}
            )
    cases += changed
    sources = take(60)
    for [result] in Improver.load(args.model).improve(
        sources, seed=0, keep_intent=False, force=True
    ):
        if result.additions:
            phrase = random_.choice(result.additions)
            cases.append({"ask": "contradiction", "source": result.source, "phrase": phrase})
    targets = []
    for row in read_rows(Path(args.heldout)):
        assert not isinstance(row, Fault) and not isinstance(row.value, str)
        targets.append(row.value["target"])
    while len(cases) < 300:
        clauses = split_clauses(random_.choice(targets))
        phrase = random_.choice(clauses) if clauses else ""
        if 1 <= len(phrase.split()) <= 8:
            cases.append({"ask": "contradiction", "source": take(2).pop(), "phrase": phrase})
    random_.shuffle(cases)
    clauses = sorted({clause for target in targets for clause in split_clauses(target)})
    of_topic = []
    for topic in _TOPICS:
        here = [prompt for prompt in rich + plain if re.search(rf"\b({topic})\b", prompt)]
        there = [c for c in clauses if len(c.split()) < 9 and re.search(rf"\b({topic})\b", c)]
        of_topic += [
            {"ask": "contradiction", "source": source, "phrase": phrase}
            for source, phrase in zip(
                random_.sample(here, 12), random_.sample(there, 12), strict=True
            )
        ]
    random_.shuffle(of_topic)
    return [{"number": number, **case} for number, case in enumerate(cases + of_topic)]


def rate(
    cases: list[tuple[bool, bool]], pick: Callable[[tuple[bool, bool]], bool]
) -> tuple[int, int, list[float]]:
    """Of the picked cases in how many checker and label agree, how many they are, and the share
    with its 95% interval; no share of none."""
    chosen = [said == true for said, true in cases if pick((said, true))]
    if not chosen:
        return 0, 0, []
    array = np.array(chosen)
    draws = np.random.default_rng(0).integers(0, len(array), size=(2000, len(array)))
    low, high = np.quantile(array[draws].mean(axis=1), [0.025, 0.975])
    share = [round(float(value), 3) for value in (array.mean(), low, high)]
    return sum(chosen), len(chosen), share


def measure() -> dict[str, list[tuple[bool, bool]]]:
    """What the checker and the label say of each case, by kind."""
    pairs: dict[str, list[tuple[bool, bool]]] = {kind: [] for kind in (*KINDS, "any of them")}
    pairs["contradiction"] = []
    for line in LABELS.read_text(encoding="utf-8").splitlines():
        case = json.loads(line)
        intent = Intent(case["source"])
        if case["ask"] == "contradiction":
            said = contradiction(intent.text, case["phrase"]) is not None
            pairs["contradiction"].append((said, case["contradiction"]))
            continue
        lost = {want.kind for want in intent.lost(case["result"])}
        for kind in KINDS:
            pairs[kind].append((kind in lost, kind in case["lost"]))
        pairs["any of them"].append((bool(lost), bool(case["lost"])))
    return pairs


def row(kind: str, cases: list[tuple[bool, bool]]) -> list[str]:
    """Cells of a kind: its name, how many are labelled so, precision and recall."""
    cells = [kind, str(sum(true for _, true in cases))]
    for side in (0, 1):
        agreed, total, share = rate(cases, lambda pair, side=side: pair[side])  # type: ignore[misc]
        if total <= _TOO_FEW:
            cells.append(f"{agreed} of {total}" if total else "")
        elif share[1] == share[2]:
            cells.append(f"{share[0]:.2f}")
        else:
            cells.append("{:.2f} ({:.2f} to {:.2f})".format(*share))
    return cells


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=("draw", "measure"))
    parser.add_argument("--heldout")
    parser.add_argument("--prompts")
    parser.add_argument("--expanded", type=Path)
    parser.add_argument("--model")
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    if args.what == "measure":
        print("| kind | labelled | precision | recall |\n| --- | ---: | --- | --- |")
        for kind, cases in measure().items():
            print(f"| {' | '.join(row(kind, cases))} |")
    else:
        text = "".join(json.dumps(case, ensure_ascii=False) + "\n" for case in draw(args))
        args.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
