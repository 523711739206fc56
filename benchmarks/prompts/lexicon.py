"""Precision and recall of the lexicon on prompts that were labelled by reading them.

    python -m benchmarks.prompts.lexicon --data FOLDER

FOLDER holds the prompt files that `lexicon_labels.jsonl` names; the labels stand there by the hash
of their prompt, without its text. A found term counts as right where a label of its kind shares at
least half of the characters of both. Intervals: 95%, bootstrap over prompts.
"""

import argparse
import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from promptlift.prompts.lexicon.terms import KINDS, find_terms
from promptlift.tables import Fault, read_rows

LABELS = Path(__file__).with_name("lexicon_labels.jsonl")


def labelled(data: Path) -> Iterator[tuple[str, list[tuple[int, int, str]]]]:
    """Prompts with their labelled terms: start, end, kind."""
    rows = [json.loads(line) for line in LABELS.read_text(encoding="utf-8").splitlines()]
    texts: dict[str, str] = {}
    for name in sorted({row["file"] for row in rows}):
        for row in read_rows(data / name):
            if not isinstance(row, Fault):
                text = row.value if isinstance(row.value, str) else str(row.value["prompt"])
                texts[hashlib.sha256(text.encode()).hexdigest()] = text
    for row in rows:
        yield texts[row["sha256"]], [tuple(term) for term in row["terms"]]


def matches(prompt: str, labels: list[tuple[int, int, str]]) -> dict[str, list[int]]:
    """By kind: labels, found terms, labels that were found, found terms that are right."""
    counts = {kind: [0, 0, 0, 0] for kind in KINDS}
    found = [(term.start, term.end, term.kind) for term in find_terms(prompt)]

    def same(one: tuple[int, int, str], other: tuple[int, int, str]) -> bool:
        shared = min(one[1], other[1]) - max(one[0], other[0])
        return one[2] == other[2] and 2 * shared >= max(one[1] - one[0], other[1] - other[0])

    for label in labels:
        counts[label[2]][0] += 1
        counts[label[2]][2] += any(same(label, term) for term in found)
    for term in found:
        counts[term[2]][1] += 1
        counts[term[2]][3] += any(same(term, label) for label in labels)
    return counts


def measure(data: Path) -> dict[str, Any]:
    """Precision and recall by kind, each with its interval."""
    rows = [matches(prompt, labels) for prompt, labels in labelled(data)]
    draws = np.random.default_rng(0).integers(0, len(rows), size=(2000, len(rows)))
    results: dict[str, Any] = {"prompts": len(rows)}
    for kind in KINDS:
        table = np.array([row[kind] for row in rows], dtype=float)
        sums = table[draws].sum(axis=1)
        result: dict[str, Any] = {"labels": int(table[:, 0].sum())}
        for name, right, all_of in (("precision", 3, 1), ("recall", 2, 0)):
            low, high = np.nanquantile(sums[:, right] / sums[:, all_of], [0.025, 0.975])
            value = table[:, right].sum() / table[:, all_of].sum()
            result[name] = [round(float(item), 3) for item in (value, low, high)]
        results[kind] = result
    return results


def against_lists(data: Path) -> dict[str, str]:
    """How the lexicon sees the entries of clip-interrogator's lists, and how they see ours."""

    def lines(name: str) -> list[str]:
        return (data / "lexicon" / f"{name}.txt").read_text(encoding="utf-8").splitlines()

    def share(right: int, total: int) -> str:
        return f"{right} of {total} ({right / total:.1%})"

    def covers(text: str, kind: str, phrase: str) -> bool:
        start, end = text.index(phrase), text.index(phrase) + len(phrase)
        return any(
            term.kind == kind and term.start <= start and end <= term.end
            for term in find_terms(text)
        )

    artists = [name.strip() for name in lines("artists") if name.strip()]
    found = {"artists after 'by'": share(
        sum(covers(f"an old house by {name}, 4k", "painter", name) for name in artists),
        len(artists),
    )}  # fmt: skip
    found["artists as a clause"] = share(
        sum(covers(f"an old house, {name}, 4k", "painter", name) for name in artists), len(artists)
    )
    known = {name.lower() for name in artists}
    rows = read_rows(data / "heldout_prompts.parquet")
    prompts = [
        str(row.value["prompt"])
        for row in rows
        if not isinstance(row, Fault) and not isinstance(row.value, str)
    ]
    ours = [
        term.text.lower()
        for prompt in prompts
        for term in find_terms(prompt)
        if term.kind == "painter"
    ]
    found["our painters in held-out prompts that stand in the list"] = share(
        sum(name in known for name in ours), len(ours)
    )
    mentions = [
        (prompt, name)
        for prompt in prompts
        for name in known
        if " " in name and re.search(rf"\b{re.escape(name)}\b", prompt.lower())
    ]
    found["mentions of listed artists of two words or more in them that we find"] = share(
        sum(
            any(
                term.kind == "painter" and name in " ".join(term.text.lower().split())
                for term in find_terms(prompt)
            )
            for prompt, name in mentions
        ),
        len(mentions),
    )
    for name, kind in (("movements", "style"), ("mediums", "medium")):
        entries = [line.removeprefix("an ").removeprefix("a ") for line in lines(name)]
        right = sum(any(term.kind == kind for term in find_terms(entry)) for entry in entries)
        found[f"{name} in which we find a {kind}"] = share(right, len(entries))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    data = parser.parse_args().data
    for name, result in measure(data).items():
        print(name, result)
    print("word lists", against_lists(data))


if __name__ == "__main__":
    main()
