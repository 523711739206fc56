"""Cutting detailed prompts into head and rest."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlift.pairs.cut import MAX_HEAD_WORDS, cut_prompt, split_clauses
from promptlift.tables import Row, read_rows
from tests.shared import shared_file

prompts = st.text(st.sampled_from("abc D,;|.  \n\té1"), max_size=80)


@pytest.mark.parametrize(
    ("prompt", "head", "rest"),
    [
        ("a cat in armor, oil on canvas, 4k", "a cat in armor", "oil on canvas, 4k"),
        ("a cat; soft light| mist", "a cat", "soft light, mist"),
        ("A cat sleeps. Soft light.", "A cat sleeps", "Soft light."),
        ("a lens at f1.8, v2.0", "a lens at f1.8", "v2.0"),
        (" a cat ,, , mist,", "a cat", "mist"),
        # One word and at least three more clauses: the first two are the head.
        ("wolf, cave, mine, dark", "wolf, cave", "mine, dark"),
        ("wolf, cave, mine", "wolf", "cave, mine"),
        ("grey wolf, cave, mine, dark", "grey wolf", "cave, mine, dark"),
    ],
)
def test_cuts(prompt: str, head: str, rest: str) -> None:
    pair = cut_prompt(prompt)
    assert pair is not None
    assert (pair.source, pair.target, pair.mode) == (head, rest, "extend")


@pytest.mark.parametrize(
    "prompt", ["", " , ;", "a cat", "a cat in the rain.", "word " * (MAX_HEAD_WORDS + 1) + ", 4k"]
)
def test_leaves_out_what_has_no_rest_or_a_long_head(prompt: str) -> None:
    assert cut_prompt(prompt) is None


def test_a_head_of_the_greatest_length_is_kept() -> None:
    pair = cut_prompt("word " * MAX_HEAD_WORDS + ", 4k")
    assert pair is not None
    assert len(pair.source.split()) == MAX_HEAD_WORDS


def test_agrees_with_the_published_cut() -> None:
    rows = list(read_rows(shared_file("data/heldout_pairs.parquet")))
    assert len(rows) == 1471
    for row in rows:
        assert isinstance(row, Row)
        assert isinstance(row.value, dict)
        pair = cut_prompt(row.value["prompt"])
        assert pair is not None
        assert (pair.source, pair.target) == (row.value["source"], row.value["target"])


def test_what_the_published_cut_leaves_out_is_left_out() -> None:
    pairs = read_rows(shared_file("data/heldout_pairs.parquet"))
    kept = {
        row.value["prompt"] for row in pairs if isinstance(row, Row) and isinstance(row.value, dict)
    }
    rows = read_rows(shared_file("data/heldout_prompts.parquet"))
    every = [row.value["prompt"] for row in rows if isinstance(row.value, dict)]
    left_out = [prompt for prompt in every if prompt not in kept]
    assert len(left_out) == 12
    assert [cut_prompt(prompt) for prompt in left_out] == [None] * 12


@given(prompts)
def test_the_sides_hold_the_clauses_in_order(prompt: str) -> None:
    clauses, pair = split_clauses(prompt), cut_prompt(prompt)
    assert all(clause == clause.strip() != "" for clause in clauses)
    if pair is not None:
        assert f"{pair.source}, {pair.target}" == ", ".join(clauses)
        assert 1 <= len(pair.source.split()) <= MAX_HEAD_WORDS
    elif len(clauses) > 1:
        assert len(clauses[0].split()) > MAX_HEAD_WORDS


@given(prompts)
def test_a_cut_prompt_put_together_is_cut_alike(prompt: str) -> None:
    pair = cut_prompt(prompt)
    if pair is not None:
        assert cut_prompt(f"{pair.source}, {pair.target}") == pair
