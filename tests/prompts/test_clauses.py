"""Head and rest, as the published held-out pairs are cut."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlift.prompts.clauses import cut_prompt, split_clauses
from promptlift.tables import read_rows


@pytest.mark.parametrize(
    ("prompt", "head", "rest"),
    [
        ("a cat, soft light, 4k", "a cat", "soft light, 4k"),
        ("a cat. soft light.", "a cat", "soft light."),
        ("a cat; oil | f/1.2", "a cat", "oil, f/1.2"),
        ("backrooms, liminal space, dark, 800t", "backrooms, liminal space", "dark, 800t"),
        ("vines, seamless, paper", "vines", "seamless, paper"),
    ],
)
def test_cuts_known_prompts(prompt: str, head: str, rest: str) -> None:
    pair = cut_prompt(prompt)
    assert pair is not None
    assert (pair.source, pair.target, pair.mode) == (head, rest, "extend")


@pytest.mark.parametrize("prompt", ["", "a cat", "a cat,", " ".join(["word"] * 26) + ", 4k"])
def test_leaves_out_what_has_no_rest_or_a_long_head(prompt: str) -> None:
    assert cut_prompt(prompt) is None


@given(st.text(st.sampled_from("ab ,.;|\n"), max_size=40))
def test_no_word_is_lost_or_moved(prompt: str) -> None:
    pair = cut_prompt(prompt)
    if pair is not None:
        joined = split_clauses(pair.source) + split_clauses(pair.target)
        assert joined == split_clauses(prompt)


def test_cuts_the_held_out_prompts_as_published() -> None:
    folder = os.environ.get("PROMPTLIFT_DATA") or Path(__file__).parents[3] / "shared" / "data"
    path = Path(folder) / "heldout_pairs.parquet"
    if not path.exists():
        pytest.skip("the held-out pairs are not here")
    rows = [row.value for row in read_rows(path)]  # type: ignore[union-attr]
    assert len(rows) == 1471
    for row in rows:
        pair = cut_prompt(row["prompt"])  # type: ignore[index]
        assert pair is not None
        assert (pair.source, pair.target) == (row["source"], row["target"])  # type: ignore[index]
