"""Precision and recall of the lexicon on prompts that were labelled by reading them.

    python -m benchmarks.lexicon --data FOLDER

FOLDER holds the prompt files that `lexicon_labels.jsonl` names; the labels stand there by the hash
of their prompt, without its text. A found term counts as right where a label of its kind shares at
least half of the characters of both. Intervals: 95%, bootstrap over prompts.
"""

import argparse
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from promptlift.lexicon.terms import KINDS, find_terms
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    for name, result in measure(parser.parse_args().data).items():
        print(name, result)


if __name__ == "__main__":
    main()
