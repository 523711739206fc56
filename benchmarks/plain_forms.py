"""Plain forms made by rule against plain prompts made by hand.

    python -m benchmarks.plain_forms --pairs pairs.parquet

On the 59 prompts of BestPrompts (Pavlichenko and Ustalov, 2023), whose style words were taken out
by hand: precision, recall and F1 of the words of each form, as multisets, in lower case; mean over
prompts, 95% intervals by bootstrap over them.
"""

import argparse
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from promptlift.pairs.cut import cut_prompt
from promptlift.pairs.plain import plain_head, without_manner
from promptlift.tables import Fault, read_rows

SOURCE = "BestPrompts"


def scores(made: str, by_hand: str) -> tuple[float, float, float]:
    """Precision, recall and F1 of words."""
    one, other = (Counter(re.findall(r"\w+", text.lower())) for text in (made, by_hand))
    shared = (one & other).total()
    if not shared:
        return 0.0, 0.0, 0.0
    precision, recall = shared / one.total(), shared / other.total()
    return precision, recall, 2 * precision * recall / (precision + recall)


def head(prompt: str) -> str:
    """The first clause without its medium."""
    pair = cut_prompt(prompt)
    return plain_head(pair.source if pair else prompt)


FORMS: dict[str, Callable[[str], str]] = {"whole prompt": str, "head": head, "bare": without_manner}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pairs", type=Path, required=True)
    rows = [
        row.value
        for row in read_rows(parser.parse_args().pairs)
        if not isinstance(row, Fault) and not isinstance(row.value, str)
    ]
    chosen = [row for row in rows if row["source"] == SOURCE]
    draws = np.random.default_rng(0).integers(0, len(chosen), size=(10_000, len(chosen)))
    print(f"{len(chosen)} prompts")
    for name, form in FORMS.items():
        table = np.array([scores(form(row["detailed"]), row["basic"]) for row in chosen])
        lows, highs = np.quantile(table[draws].mean(axis=1), [0.025, 0.975], axis=0)
        values = zip(("precision", "recall", "F1"), table.mean(axis=0), lows, highs, strict=True)
        print(name, ", ".join(f"{n} {v:.3f} ({lo:.3f} to {hi:.3f})" for n, v, lo, hi in values))


if __name__ == "__main__":
    main()
