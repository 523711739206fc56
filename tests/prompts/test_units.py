"""Sentences, and how a paragraph goes on from a prompt in any tool's language."""

import re

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from promptlift.improving.config import ControlConfig
from promptlift.improving.selection import select
from promptlift.prompts.reading import read
from promptlift.prompts.syntax import parse, render
from promptlift.prompts.units import CLAUSE, SENTENCE, continuation, split_sentences
from tests.prompts.test_dialects import CASES, MIXED

FREE = ControlConfig(form="paragraph", keep_intent=False)
TEXTS = (
    " hangs from a mossy branch. Its fur is damp.",
    ". The sloth hangs from a branch! Rain falls.",
    ", its fur damp and green. Rain falls",
    "'s claws are long. Rain falls.",
)


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("", []),
        ("A cat sits. It sleeps!  Rain?\nFog", ["A cat sits.", "It sleeps!", "Rain?", "Fog"]),
        ("At f1.2 in St. Paul by J. Doe. End.", ["At f1.2 in St. Paul by J. Doe.", "End."]),
        ('It says "Stop." A car waits.', ['It says "Stop."', "A car waits."]),
        ("Fog... and rain. “Go”, it says.", ["Fog... and rain.", "“Go”, it says."]),
    ],
)
def test_sentences(text: str, sentences: list[str]) -> None:
    assert split_sentences(text) == sentences


@pytest.mark.parametrize(
    ("words", "text", "result"),
    [
        ("a sloth", " hangs there. Its fur", "a sloth hangs there. Its fur"),
        ("a sloth", "hangs there.", "a sloth hangs there."),  # decoding lost the blank
        ("a sloth", "Hangs there.", "a sloth. Hangs there."),
        ("a sloth", ". The sloth hangs.", "a sloth. The sloth hangs."),
        ("a sloth", ". the sloth hangs.", "a sloth. The sloth hangs."),
        ("a sloth", ", its fur damp. Rain falls.", "a sloth, its fur damp. Rain falls."),
        ("a sloth", "'s fur is damp.", "a sloth's fur is damp."),
        ("a sloth", ". 3 birds sit.", "a sloth. 3 birds sit."),
        ("a sloth.", " hangs there.", "a sloth. Hangs there."),
        ("a sloth!", ", its fur damp.", "a sloth! Its fur damp."),
        ("a sloth,", ", its fur damp.", "a sloth, its fur damp."),
        ("a sloth,", " hangs there.", "a sloth, hangs there."),
        ("1.2::sloth::", ". It hangs.", "1.2::sloth::. It hangs."),
        ("a sloth", " . ", "a sloth"),
    ],
)
def test_a_paragraph_goes_on_from_the_words(words: str, text: str, result: str) -> None:
    assert SENTENCE.append(words, continuation(text, words)) == result


def test_without_its_first_sentence_it_goes_on_with_the_next() -> None:
    for text in TEXTS:
        second = continuation(text, "a sloth")[1]
        assert SENTENCE.append("a sloth", [second]) == f"a sloth. {second}"


@given(st.text("aB .,!?;:\n'\"", max_size=40), st.text("aB.,;!", min_size=1, max_size=8))
def test_units_are_what_the_result_holds(text: str, words: str) -> None:
    units = continuation(text, words)
    joined = SENTENCE.append(words, units)
    place = len(words)
    assert joined.startswith(words)
    for unit in units:
        place = joined.index(unit, place) + len(unit)
    assert place == len(joined)
    assert all(unit == unit.strip() and unit for unit in units)


@pytest.mark.parametrize("prompt", sorted({case[1] for case in CASES}))
def test_every_dialect_keeps_its_prompt(prompt: str) -> None:
    reading = read(prompt)
    for text in TEXTS:
        units = select(reading.continued(text), reading, FREE).kept
        longer = reading.extended(units, SENTENCE)
        if reading.part is None:
            assert longer == prompt
            continue
        assert reading.frame == "call" or (
            longer.startswith(prompt[: reading.part.end])
            and longer.endswith(prompt[reading.part.end :])
        )
        left = longer
        for unit in units:
            left = left.replace(unit, "", 1 if reading.frame != "call" else -1)
        assert re.sub(r"[\s.,]", "", left) == re.sub(r"[\s.,]", "", prompt)
        assert marks(longer) == marks(prompt)


@given(MIXED, st.sampled_from(TEXTS))
@example("tag#tag, hat", TEXTS[0])
def test_sentences_change_no_syntax(prompt: str, text: str) -> None:
    reading = read(prompt)
    longer = reading.extended(reading.continued(text), SENTENCE)
    assume(longer != prompt)
    assert render(parse(longer)) == longer
    assert marks(longer) == marks(prompt)


def marks(prompt: str) -> list[tuple[str, str]]:
    return [(span.kind, span.text) for span in parse(prompt) if span.role not in ("words", "aside")]


def test_before_a_doubtful_mark_sentences_stand_by_themselves() -> None:
    reading = read("tag#tag, hat")
    units = reading.continued(" hangs there. Rain falls.")
    assert reading.extended(units, SENTENCE) == "Hangs there. Rain falls. tag#tag, hat"


def test_clauses_are_joined_as_before() -> None:
    assert CLAUSE.append("a cat", ["fog", "rain"]) == "a cat, fog, rain"
    assert CLAUSE.append("a cat.", ["fog"]) == "a cat. fog"
    assert CLAUSE.append("", ["fog"]) == "fog"
