"""Which phrases are added to a prompt, and why others are not."""

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from promptlift.improving.config import ControlConfig
from promptlift.improving.selection import Selection, fit, select
from promptlift.prompts.clauses import split_clauses
from promptlift.prompts.coherence import opposition, repetition
from promptlift.prompts.lexicon.terms import phrases as lexicon
from promptlift.prompts.reading import longest_part, read
from promptlift.records import Dropped

CLAUSES = ["soft light", "Soft light", "mist", "fog at dawn", "4k", "bokeh", "(sharp:1.2)", "é"]
TEXTS = st.text(st.sampled_from("ab cd,.;é🐱\n()"), max_size=80)


def reasons(prompt: str, *phrases: str, ended: bool = True, **options: Any) -> dict[str, str]:
    """What was dropped, with the reason."""
    control = ControlConfig(**options)
    chosen = select(phrases, read(prompt), control, ended=ended)
    assert sorted(chosen.kept + [item.phrase for item in chosen.dropped]) == sorted(phrases)
    return {item.phrase: item.reason for item in chosen.dropped}


def test_guards_drop_repeated_broken_and_unfinished_phrases() -> None:
    phrases = ("soft light", "Soft Light", "a cat", "bad \ufffd byte", "(sharp:1.2)", "4k", "unf")
    assert reasons("a cat in snow", *phrases, ended=False) == {
        "Soft Light": "repeated",
        "a cat": "repeated",
        "bad \ufffd byte": "broken",
        "(sharp:1.2)": "syntax",
        "unf": "unfinished",
    }
    assert reasons("a cat in snow", "only one", ended=False) == {}


def test_without_guards_the_text_is_kept() -> None:
    assert reasons("a cat", "4k", "4k", guards=False, coherent=False) == {}


def test_without_guards_too_no_phrase_of_another_variant_comes() -> None:
    chosen = select(["soft light", "4k"], read("a cat"), ControlConfig(guards=False), used=["4k"])
    assert chosen.dropped == [Dropped("4k", "in another variant")]


@pytest.mark.parametrize(
    "broken", ["soft\x0c light", "mist\0", "a\x1b[31m b", "one\ntwo", "\u200e"]
)
def test_phrases_with_control_characters_are_dropped(broken: str) -> None:
    assert reasons("a cat", broken, "4k") == {broken: "broken"}


@pytest.mark.parametrize(
    ("prompt", "phrase", "reason", "options"),
    [
        ("a cat", "greg rutkowski", "painter", {}),
        ("a cat", "greg rutkowski", None, {"artists": "free"}),
        ("a cat by Greg Rutkowski", "style of greg rutkowski", None, {}),
        ("a cat", "oil painting", "style", {}),
        ("a cat", "oil painting", None, {"styles": "free"}),
        (
            "an oil painting of a cat",
            "oil painting",
            None,
            {"guards": False, "coherent": False},
        ),
        ("a cat", "soft light", "to be avoided", {"avoid": ("Soft Light",)}),
        ("a cat", "software", None, {"avoid": ("soft",)}),
        ("a cat", "blood splatter", "unsafe", {}),
        ("a cat", "blood splatter", None, {"safe": False}),
        ("a blood orange", "blood splatter", None, {}),
        ("a cat at night", "midday", "another time of day", {}),
        ("a cat at night", "midday", None, {"keep_intent": False}),
    ],
)
def test_unwanted_phrases_are_dropped_with_the_reason(
    prompt: str, phrase: str, reason: str | None, options: dict[str, Any]
) -> None:
    assert reasons(prompt, phrase, **options) == ({phrase: reason} if reason else {})


@pytest.mark.parametrize(
    ("prompt", "phrases", "kept"),
    [
        ("a cat", "4k, hd, 8k", "4k"),
        ("a cat", "black background, white background", "black background"),
        ("a cat", "highly detailed, soft light, intricate details", "highly detailed, soft light"),
        ("a cat, 8k uhd", "4k, soft light", "soft light"),
        ("two cats", "a red ball, a blue ball", "a red ball"),
        ("a cat", "oil on canvas, golden hour, watercolor, midnight", "oil on canvas, golden hour"),
    ],
)
def test_no_addition_says_another_again_or_excludes_it(
    prompt: str, phrases: str, kept: str
) -> None:
    given = phrases.split(", ")
    chosen = select(given, read(prompt), ControlConfig(styles="free"))
    assert ", ".join(chosen.kept) == kept
    assert all(item.reason for item in chosen.dropped)
    free = select(
        given, read(prompt), ControlConfig(coherent=False, keep_intent=False, styles="free")
    )
    assert free.kept == given


def test_what_was_asked_for_stays_beside_what_says_the_same() -> None:
    chosen = select(["4k", "8k uhd"], read("a cat"), ControlConfig(include=("8k",)))
    assert chosen.kept == ["4k", "8k uhd"]


def test_a_rewriting_says_the_prompt_in_its_own_clauses() -> None:
    clauses = ["a photo of a red cube", "a photo of a blue cube", "4k", "hd"]
    reading = read("a photo of a red cube beside a blue cube, 8k")
    chosen = select(clauses, reading, ControlConfig(), said="")
    assert chosen.kept == clauses[:3]


# What models write, in any order: offers of the lexicon, whole and in pieces.
OFFERED = sorted(name for name, phrase in lexicon().items() if phrase.offer)
PIECES = sorted({word for name in OFFERED for word in name.split()})
WRITTEN = st.lists(
    st.sampled_from(OFFERED)
    | st.lists(st.sampled_from(PIECES), min_size=1, max_size=4).map(" ".join),
    max_size=12,
)


@given(
    source=st.sampled_from(["a cat", "a photo of a cat, 8k", "(a sunny day:1.2), red background"]),
    phrases=WRITTEN,
)
def test_whatever_is_written_no_addition_says_an_earlier_one_again(
    source: str, phrases: list[str]
) -> None:
    reading = read(source)
    chosen = select(phrases, reading, ControlConfig())
    for place, phrase in enumerate(chosen.kept):
        assert repetition(phrase, chosen.kept[:place], reading.words) is None
        assert opposition(phrase, chosen.kept[:place], reading.intent.text) is None
        assert all(repetition(earlier, [phrase]) is None for earlier in chosen.kept[:place])
    assert {*chosen.kept, *(item.phrase for item in chosen.dropped)} == {*phrases}
    assert reading.part is not None and reading.part.end is not None
    assert reading.extended(chosen.kept).startswith(source[: reading.part.end])
    assert select(chosen.kept, reading, ControlConfig()).kept == chosen.kept


def test_the_first_phrases_that_can_be_added_are_kept() -> None:
    phrases = ["a red car", "soft light", "sunny day", "wet streets"]
    chosen = select(phrases, read("a red car at night"), ControlConfig(), most=2)
    assert chosen.kept == ["soft light", "wet streets"]
    assert [item.phrase for item in chosen.dropped] == ["a red car", "sunny day"]
    assert not select(phrases, read("a bus"), ControlConfig(), most=1).dropped


def test_over_the_budget_fillers_go_first_then_the_last_phrase() -> None:
    reading = read("a cat")
    chosen = Selection(["soft light", "highly detailed", "mist", "8k", "wide angle"])
    tokens = reading.tokens_with(chosen.kept)
    one_less = fit(chosen, reading, tokens - 1)
    assert one_less.kept == ["soft light", "highly detailed", "mist", "wide angle"]
    assert [item.reason for item in one_less.dropped] == ["budget"]
    few = fit(chosen, reading, reading.tokens_with(["soft light", "mist"]))
    assert few.kept == ["soft light", "mist"]
    assert fit(chosen, reading, 1).kept == []
    assert fit(chosen, reading, None).kept == chosen.kept


@given(
    source=TEXTS | st.sampled_from(["a cat", "(a cat:1.2), hat", "a cat <lora:a:1>", "cat --ar 1"]),
    text=TEXTS | st.lists(st.sampled_from(CLAUSES), max_size=6).map(", ".join),
    ended=st.booleans(),
    budget=st.integers(1, 20),
)
@example(source="aa()", text="a", ended=False, budget=3)
def test_extending_keeps_the_source_and_the_budget(
    source: str, text: str, ended: bool, budget: int
) -> None:
    reading = read(source)
    if reading.part is None:
        return
    chosen = select(split_clauses(text), reading, ControlConfig(), ended=ended)
    chosen = fit(chosen, reading, budget)
    result, end = reading.extended(chosen.kept), reading.part.end
    assert result.startswith(source[:end])
    assert result.endswith(source[end:] if end is not None else "")
    assert all(phrase in result[end:] for phrase in chosen.kept)
    assert not chosen.kept or longest_part(result) <= budget
    assert len({phrase.lower() for phrase in chosen.kept}) == len(chosen.kept)
