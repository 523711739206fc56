"""Two models on the same prompts, side by side and blind, and the count of what a reader said.

    python -m benchmarks.improving.side_by_side draw --model FOLDER --model FOLDER \
        --prompts prompts.txt --sheet sheet.tsv --key key.json
    python -m benchmarks.improving.side_by_side count --sheet judged.tsv --key key.json

`draw` takes 200 random prompts and writes a sheet with columns number, prompt, A and B; which model
stands at which side is drawn for each row and kept in the key alone. A reader adds the columns of
`QUESTIONS`: A, B or = (no difference). `count` gives wins with Wilson 95% intervals, ties left out.
"""

import argparse
import csv
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.improving.reading import percent
from promptlift import Improver
from promptlift.statistics import wilson

ROWS = 200
QUESTIONS = ("fit", "useful", "contradiction", "english")


def draw(models: list[str], prompts: list[str], sheet: Path, key: Path, seed: int) -> None:
    generator = random.Random(seed)
    chosen = generator.sample(prompts, min(ROWS, len(prompts)))
    improvers = [Improver.load(model) for model in models]
    results = [improver.improve(chosen, seed=seed) for improver in improvers]
    sides = [generator.randrange(2) for _ in chosen]
    with sheet.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, delimiter="\t", lineterminator="\n")
        writer.writerow(["number", "prompt", "A", "B", *QUESTIONS])
        for number, (prompt, side) in enumerate(zip(chosen, sides, strict=True)):
            both = [", ".join(every[number][0].additions) for every in results]
            writer.writerow([number, prompt, both[side], both[1 - side], *[""] * len(QUESTIONS)])
    names = [improver.model_id for improver in improvers]
    key.write_text(json.dumps({"models": names, "seed": seed, "first_is_B": sides}, indent=1))


def count(sheet: Path, key: Path) -> dict[str, Any]:
    """Wins of the second model over the first, by question."""
    sides = json.loads(key.read_text())["first_is_B"]
    found: dict[str, Any] = {}
    with sheet.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    for question in QUESTIONS:
        answers: Counter[str] = Counter()
        for row in rows:
            said = row[question].strip().upper()
            if said not in ("A", "B", "="):
                raise SystemExit(f"{sheet} row {row['number']}: {question} is {said!r}")
            second = "A" if sides[int(row["number"])] else "B"
            answers["same" if said == "=" else "second" if said == second else "first"] += 1
        decided = answers["first"] + answers["second"]
        low, high = wilson(answers["second"], decided)
        found[question] = {**answers, "share_second": [
            round(value, 3) for value in (answers["second"] / max(1, decided), low, high)
        ]}  # fmt: skip
    return found


def table(found: dict[str, Any]) -> str:
    """The count as Markdown."""
    lines = [
        "| question | second model better | first better | same | share of the second, ties left "
        "out (Wilson 95%) |",
        "|---|---|---|---|---|",
    ]
    for question, row in found.items():
        counts = " | ".join(str(row.get(name, 0)) for name in ("second", "first", "same"))
        lines.append(f"| {question} | {counts} | {percent(row['share_second'])} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=("draw", "count"))
    parser.add_argument("--model", action="append", default=[])
    parser.add_argument("--prompts", type=Path)
    parser.add_argument("--sheet", type=Path, required=True)
    parser.add_argument("--key", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    if args.what == "count":
        print(table(count(args.sheet, args.key)))
        return
    if len(args.model) != 2 or args.prompts is None:
        parser.error("draw needs --prompts and --model twice")
    prompts = [line for line in args.prompts.read_text(encoding="utf-8").splitlines() if line]
    draw(args.model, prompts, args.sheet, args.key, args.seed)


if __name__ == "__main__":
    main()
