"""Plain forms against plain prompts made by hand.

    python -m benchmarks.plain_forms --pairs pairs.parquet [--llm-url URL --llm-model MODEL]

On the 59 prompts of BestPrompts (Pavlichenko and Ustalov, 2023), whose style words were taken out
by hand: precision, recall and F1 of the words of each form, as multisets, in lower case; mean over
prompts, 95% intervals by bootstrap over them. With an endpoint the forms are also measured on the
prompts whose paraphrase was accepted, beside those paraphrases.
"""

import argparse
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from promptlift.pairs.paraphrase import ParaphraseConfig, paraphrase
from promptlift.pairs.plain import plain_head, without_manner
from promptlift.prompts.clauses import cut_prompt
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


def table(rows: list[Mapping[str, str]], forms: dict[str, Callable[[str], str]]) -> None:
    """Print the scores of forms on rows with `detailed` and `basic`."""
    print(f"{len(rows)} prompts")
    draws = np.random.default_rng(0).integers(0, len(rows), size=(10_000, len(rows)))
    for name, form in forms.items():
        found = np.array([scores(form(row["detailed"]), row["basic"]) for row in rows])
        lows, highs = np.quantile(found[draws].mean(axis=1), [0.025, 0.975], axis=0)
        values = zip(("precision", "recall", "F1"), found.mean(axis=0), lows, highs, strict=True)
        print(name, ", ".join(f"{n} {v:.3f} ({lo:.3f} to {hi:.3f})" for n, v, lo, hi in values))


def paraphrases(prompts: list[str], config: ParaphraseConfig) -> dict[str, str]:
    """The accepted paraphrases by prompt."""
    with tempfile.TemporaryDirectory() as folder:
        found = list(paraphrase(prompts, config, journal=Path(folder) / "journal.jsonl"))
    print(dict(Counter(result.reason or result.state for result in found)))
    return {
        result.prompt: result.answer
        for result in found
        if result.state == "accepted" and result.answer
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--llm-url")
    parser.add_argument("--llm-model")
    args = parser.parse_args()
    rows = [
        row.value
        for row in read_rows(args.pairs)
        if not isinstance(row, Fault) and not isinstance(row.value, str)
    ]
    chosen = [row for row in rows if row["source"] == SOURCE]
    table(chosen, FORMS)
    if args.llm_url:
        config = ParaphraseConfig(url=args.llm_url, model=args.llm_model or "default")
        made = paraphrases([row["detailed"] for row in chosen], config)
        accepted = [row for row in chosen if row["detailed"] in made]
        if accepted:
            table(accepted, {**FORMS, "paraphrase": made.__getitem__})


if __name__ == "__main__":
    main()
