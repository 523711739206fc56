"""One system's prompts against others', read blind, and the count of what readers answered.

    python -m benchmarks.improving.reading draw --prompts prompts.txt \
        --system writer=writer.jsonl --system raw --system "suffix=, 8k, sharp focus" \
        --system pocket=pocket.jsonl --sheets FOLDER --key key.json
    python -m benchmarks.improving.reading count --key key.json reader1.tsv reader2.tsv ...

The first system is compared with each other one, on every prompt for which their texts differ. A
system is a file of improvements (`promptlift improve --input ... -o`, or rows `source` and
`prompt`), `raw` for the prompts alone,
or NAME=, WORDS for the same words after each. Sheets have columns number, wanted, A and B: which
system stands at which side is drawn for each row, and only the key knows. A reader adds the
column `better`: A, B or = for neither. The question: which of the two would draw the picture that
this person wanted, better? `reader.md` holds their
instructions; different instructions give different shares.

Counted are wins of the first system among the decided, by the majority of readers and by reader,
with Wilson 95% intervals, and the readers' agreement (Krippendorff's alpha over A, B and =).
"""

import argparse
import csv
import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from promptlift.judging.statistics.agreement import krippendorff_alpha
from promptlift.statistics import wilson
from promptlift.tables import Fault, read_rows

COLUMNS = ("number", "wanted", "A", "B", "better")
ANSWERS = ("A", "B", "=")


def texts_of(given: str, prompts: Sequence[str]) -> tuple[str, list[str]]:
    """Name of a system and its text for each prompt."""
    name, _, rest = given.partition("=")
    if not rest:
        return name, list(prompts)
    if rest.startswith(","):
        return name, [prompt + rest for prompt in prompts]
    found: dict[str, str] = {}
    for row in read_rows(Path(rest)):
        assert not isinstance(row, Fault) and isinstance(row.value, Mapping)
        found.setdefault(str(row.value["source"]).strip(), str(row.value["prompt"]))
    return name, [found[prompt] for prompt in prompts]


def draw(
    systems: Sequence[tuple[str, list[str]]], prompts: Sequence[str], sheets: Path, seed: int
) -> dict[str, Any]:
    """Write a sheet for each opponent; the key says on which side of a row the first system is."""
    generator = random.Random(seed)
    (first, own), *others = systems
    sheets.mkdir(parents=True, exist_ok=True)
    key: dict[str, Any] = {"system": first, "seed": seed, "sheets": {}}
    for place, (name, theirs) in enumerate(others, 1):
        order = generator.sample(range(len(prompts)), len(prompts))
        sides = {number: generator.choice("AB") for number in order}
        with (sheets / f"sheet{place}.tsv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter="\t", lineterminator="\n")
            writer.writerow(COLUMNS)
            for number in order:
                both = [own[number], theirs[number]]
                if sides[number] == "B":
                    both.reverse()
                if both[0] != both[1]:
                    writer.writerow([f"{place}.{number}", prompts[number], *both, ""])
        key["sheets"][str(place)] = {"opponent": name, "sides": sides}
    return key


def count(sheets: Sequence[Path], key: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """By opponent: wins, losses and ties by the majority of readers, and each reader's share.

    Each file is one reader's answers, to one or more sheets.
    """
    answers: dict[str, dict[str, list[str]]] = {}  # by opponent, row: what each reader answered
    shares: dict[str, list[float]] = {}
    for path in sheets:
        own: dict[str, Counter[str]] = {}
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file, delimiter="\t"):
                place, number = row["number"].split(".")
                better = row["better"].strip().upper()
                if better not in ANSWERS:
                    raise SystemExit(f"{path} row {row['number']}: better is {better!r}")
                sheet = key["sheets"][place]
                side = sheet["sides"][number]
                outcome = "same" if better == "=" else "won" if better == side else "lost"
                answers.setdefault(sheet["opponent"], {}).setdefault(number, []).append(outcome)
                own.setdefault(sheet["opponent"], Counter())[outcome] += 1
        for opponent, counts in own.items():
            decided = counts["won"] + counts["lost"]
            shares.setdefault(opponent, []).append(round(counts["won"] / max(1, decided), 3))
    found = {}
    for opponent, rows in answers.items():
        votes = [Counter(row) for row in rows.values()]
        majority = Counter(
            "won"
            if vote["won"] > vote["lost"]
            else "lost"
            if vote["lost"] > vote["won"]
            else "same"
            for vote in votes
        )
        decided = majority["won"] + majority["lost"]
        tallies = np.array([[vote[name] for name in ("won", "lost", "same")] for vote in votes])
        found[opponent] = {
            **{name: majority[name] for name in ("won", "lost", "same")},
            "share": [majority["won"] / max(1, decided), *wilson(majority["won"], decided)],
            "readers": shares[opponent],
            "alpha": krippendorff_alpha(tallies),
        }
    return found


def percent(share: Sequence[float]) -> str:
    """A share with its interval."""
    return "{:.0f}% ({:.0f} to {:.0f})".format(*(100 * value for value in share))


def table(found: Mapping[str, Mapping[str, Any]]) -> str:
    """The count as Markdown."""
    lines = [
        "| against | better | worse | same | better of the decided (Wilson 95%) | each reader "
        "| alpha |",
        "| --- | ---: | ---: | ---: | --- | --- | ---: |",
    ]
    for opponent, row in found.items():
        readers = ", ".join(f"{100 * share:.0f}%" for share in row["readers"])
        alpha = "" if row["alpha"] is None else f"{row['alpha']:.2f}"
        lines.append(
            f"| {opponent} | {row['won']} | {row['lost']} | {row['same']} "
            f"| {percent(row['share'])} | {readers} | {alpha} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=("draw", "count"))
    parser.add_argument("answers", type=Path, nargs="*")
    parser.add_argument("--prompts", type=Path)
    parser.add_argument("--system", action="append", default=[])
    parser.add_argument("--sheets", type=Path)
    parser.add_argument("--key", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_intermixed_args()
    if args.what == "count":
        print(table(count(args.answers, json.loads(args.key.read_text(encoding="utf-8")))))
        return
    if len(args.system) < 2 or args.prompts is None or args.sheets is None:
        parser.error("draw needs --prompts, --sheets and --system twice or more")
    lines = (line.strip() for line in args.prompts.read_text(encoding="utf-8").splitlines())
    prompts = list(dict.fromkeys(line for line in lines if line))
    key = draw([texts_of(given, prompts) for given in args.system], prompts, args.sheets, args.seed)
    args.key.write_text(json.dumps(key) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
