"""Putting phrases behind a prompt: the user's words stay, the rest is sound."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlift.improving.clip_tokens import count_clip_tokens
from promptlift.improving.config import DecodingConfig
from promptlift.improving.phrases import extend, rewrite

GUARDED = DecodingConfig()
PLAIN = DecodingConfig(guards=False, clip_budget=None)
TEXTS = st.text(st.sampled_from("ab cd,.;é🐱\n()"), max_size=80)


@pytest.mark.parametrize(
    ("source", "prompt"),
    [
        ("a cat", "a cat, soft light"),
        ("a cat,", "a cat, soft light"),
        ("a cat, ", "a cat, soft light"),
        ("A cat.", "A cat. soft light"),
        ("a cat\n", "a cat\n, soft light"),
    ],
)
def test_additions_are_joined_as_one_would_write(source: str, prompt: str) -> None:
    assert extend(source, "soft light", True, GUARDED) == (prompt, ["soft light"])


def test_guards_drop_repeated_broken_and_unfinished_phrases() -> None:
    text = "soft light, Soft Light, a cat, bad \ufffd byte, 4k, unfini"
    assert extend("a cat in snow", text, False, GUARDED)[1] == ["soft light", "4k"]
    assert extend("a cat in snow", "only one", False, GUARDED)[1] == ["only one"]


def test_without_guards_the_text_is_kept() -> None:
    assert extend("a cat", "4k, 4k", False, PLAIN)[1] == ["4k", "4k"]
    assert rewrite("a cat", "cat, 4k, 4k", True, PLAIN) == ("cat, 4k, 4k", ["4k", "4k"])


def test_rewriting_names_the_phrases_that_the_source_lacks() -> None:
    assert rewrite("a cat", "a cat, soft light", True, GUARDED) == (
        "a cat, soft light",
        ["soft light"],
    )


def test_an_empty_rewriting_gives_the_source_back() -> None:
    assert rewrite("a cat", " , ", True, GUARDED) == ("a cat", [])


@given(source=TEXTS, text=TEXTS, ended=st.booleans(), budget=st.integers(1, 12))
def test_extending_keeps_the_source_and_the_budget(
    source: str, text: str, ended: bool, budget: int
) -> None:
    config = DecodingConfig(clip_budget=budget)
    prompt, added = extend(source, text, ended, config)
    assert prompt.startswith(source)
    assert all(phrase in prompt for phrase in added)
    assert count_clip_tokens(prompt) <= max(budget, count_clip_tokens(source))
    if not added:
        assert prompt == source
    assert len({phrase.lower() for phrase in added}) == len(added)


@pytest.mark.parametrize(
    "broken", ["soft\x0c light", "mist\0", "a\x1b[31m b", "one\ntwo", "\u200e"]
)
def test_phrases_with_control_characters_are_dropped(broken: str) -> None:
    prompt, added = extend("a cat", f"{broken}, 4k", True, DecodingConfig())
    assert (prompt, added) == ("a cat, 4k", ["4k"])
