"""Pairs that are learned from improvements."""

from pathlib import Path
from typing import Any

import pytest

from promptlift.improving.batch import PromptSource
from promptlift.improving.improver import Improver
from promptlift.improving.journal import improve_to_file
from promptlift.improving.learned import pair_of, write_learned
from promptlift.pairs.load import load_pairs
from promptlift.records import Pair


def row(source: str, prompt: str, *additions: str, form: str = "tags") -> dict[str, Any]:
    return {
        "source": source, "prompt": prompt, "additions": list(additions), "settings": {"form": form}
    }  # fmt: skip


@pytest.mark.parametrize(
    ("improved", "pair"),
    [
        (row("a cat", "a cat, on a sofa, at noon", "on a sofa", "at noon"),
         Pair(source="a cat", target="on a sofa, at noon", mode="extend")),
        (row("a cat", "a grey cat, on a sofa", "on a sofa"),
         Pair(source="a cat", target="a grey cat, on a sofa", mode="rewrite")),
        (row("a cat", "a cat. It sleeps on a sofa.", "It sleeps on a sofa.", form="paragraph"),
         Pair(source="a cat", target=". It sleeps on a sofa.", mode="extend", form="paragraph")),
        (row("a cat", "a cat"), None),
        (row("a (cat:1.2)", "a (cat:1.2), on a sofa", "on a sofa"), None),
    ],
)  # fmt: skip
def test_what_an_improvement_teaches(improved: dict[str, Any], pair: Pair | None) -> None:
    assert pair_of(improved) == pair


def test_a_file_of_improvements_gives_pairs_that_are_read(
    tmp_path: Path, bundled: Improver
) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("a lighthouse\na cat in armor\n一只猫\n", encoding="utf-8")
    source = PromptSource(files=[prompts], mode="extend")
    improved, output = tmp_path / "improved.jsonl", tmp_path / "pairs.jsonl"
    improve_to_file(
        bundled.session(), source.items(), improved, source=source.identity(), n=2, seed=3
    )
    count, without = write_learned(improved, output)
    pairs = [pair for pair in load_pairs(output) if isinstance(pair, Pair)]
    assert count == len(pairs) and count + without == 6 and without >= 2
    assert {pair.source for pair in pairs} == {"a lighthouse", "a cat in armor"}
