"""Training pairs from improvements: what a model would learn from each."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from promptlift.pairs.load import write_pairs
from promptlift.prompts.syntax import parse
from promptlift.records import Pair
from promptlift.tables import Fault, read_rows


def pair_of(improvement: Mapping[str, Any]) -> Pair | None:
    """The pair of an improvement as JSON has it; None where nothing can be learned from it.

    That is one that added nothing, was left alone, or whose prompt has markup, which has no place
    in plain words. A rewriting that kept the prompt and went on from it is a pair to extend.
    """
    source, prompt = str(improvement["source"]), str(improvement["prompt"])
    additions, form = improvement["additions"], improvement["settings"].get("form", "tags")
    if not additions or {span.kind for span in parse(source)} - {"text", "doubt"}:
        return None
    if not prompt.startswith(source):
        return Pair(source=source, target=prompt, mode="rewrite", form=form)
    # A paragraph begins with what joins it to the prompt.
    target = ", ".join(additions) if form == "tags" else prompt[len(source) :]
    return Pair(source=source, target=target, mode="extend", form=form)


def write_learned(improved: Path, output: Path) -> tuple[int, int]:
    """Write the pairs of a file that `improve` wrote.

    Args:
        improved: JSONL of improvements; rows with an error give no pair.
        output: takes the pairs, each once.

    Returns:
        How many pairs there are, and how many rows gave none.
    """
    without = 0

    def pairs() -> Iterator[Pair]:
        nonlocal without
        for row in read_rows(improved):
            pair = None
            if not isinstance(row, Fault) and isinstance(row.value, Mapping):
                pair = None if "error" in row.value else pair_of(row.value)
            without += pair is None
            if pair is not None:
                yield pair

    found = list(dict.fromkeys(pairs()))
    write_pairs(output, found)
    return len(found), without
