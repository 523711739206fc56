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


ENDINGS = (
    "",
    *",:;.!?…",
    "...",
    " -",
    " —",
    ", ",
    ".\n",
    "，",
    "。",
    "'s",
    " (wet)",
    ' "Go"',
    ' "Go."',
)
PLACES = (
    "{}", "({}:1.2)", "[{}]", "1.2::{}::", "(({})), <lora:x:1>", "{} <lora:x:1>", "{} --ar 16:9",
    "{}\nBREAK a red ball", "{} AND a ball:0.5", "masterpiece, {}", "{}, tag#tag, a hat",
    '("{}", "a dog").and()', '("a dog.", "{}").blend(1, 1)', '("a dog,", "{}").and()',
    '{{"scene": "{}", "style": "photo"}}', '--prompt "{}" --steps 20', "--prompt {} --steps 20",
    "{}\nNegative prompt: fog\nSteps: 20, Sampler: Euler, Seed: 1",
)  # fmt: skip
JOINERS = ("", " ", ". ", ", ", "; ", ": ", ".", ",", " . ", ", . ", "... ", "'s ", ". 's ")
BODIES = ("the sloth hangs there.", "The sloth hangs there. Rain falls.", "Rain", "3 birds sit!")
_DOUBLED = re.compile(r"[,;:.!?…][\s)\]}'“’]*[,;.!?…]|'s\W*'s")


def doubled(text: str) -> list[str]:
    """Marks that follow another."""
    return _DOUBLED.findall(text.replace("::", ""))  # which is a weight


@given(
    *map(st.sampled_from, (ENDINGS, PLACES, JOINERS, BODIES)),
    st.sets(st.integers(0, 1), max_size=1),
)
def test_the_joint_doubles_no_mark_and_keeps_the_words(
    ending: str, place: str, joiner: str, body: str, dropped: set[int]
) -> None:
    prompt = place.format(f"a cat{ending}".replace('"', "“" if '"' in place else '"'))
    reading = read(prompt)
    assume(reading.part is not None)
    units = [unit for i, unit in enumerate(reading.continued(joiner + body)) if i not in dropped]
    longer = reading.extended(units, SENTENCE)
    fitted = reading.fitted(units, SENTENCE)
    assert reading.extended(fitted, SENTENCE) == longer
    assert reading.fitted(fitted, SENTENCE) == fitted
    assert all(unit.rstrip(".!") in longer for unit in fitted)
    assert len(doubled(longer)) <= len(doubled(prompt))
    if reading.frame != "call":
        assert reading.part is not None and reading.part.end is not None
        assert longer.startswith(prompt[: reading.part.end])
        assert longer.endswith(prompt[reading.part.end :])


@pytest.mark.parametrize(
    ("prompt", "text", "result"),
    [
        ("a cat,", ". The cat sits.", "a cat, the cat sits."),
        ("a cat,", ". Paris glows.", "a cat, Paris glows."),
        ("a cat:", ". The cat sits.", "a cat: The cat sits."),
        ("a cat —", ", its fur damp.", "a cat — its fur damp."),
        ("a cat.", "'s fur is damp.", "a cat. Fur is damp."),
        ("(a cat.:1.2)", " sits. Rain falls.", "(a cat.:1.2) Sits. Rain falls."),
        ('a sign "Go."', ", its paint worn.", 'a sign "Go." Its paint worn.'),
        ("1.2::a cat.::", ". It sits.", "1.2::a cat.:: It sits."),
        ("a cat, tag#tag", " sits. Rain falls.", "a cat sits. Rain falls, tag#tag"),
        ('("a cat", "a dog.").and()', " sits.", '("a cat sits.", "a dog. Sits.").and()'),
        ('("a cat.", "a dog").and()', ", wet.", '("a cat. Wet.", "a dog, wet.").and()'),
        (
            '("a cat.", "a dog,").and()',
            ". It sits.",
            '("a cat. It sits.", "a dog, it sits.").and()',
        ),
        ('--prompt "a cat," --steps 20', ", wet.", '--prompt "a cat, wet." --steps 20'),
    ],
)
def test_marks_of_the_users_words_stand(prompt: str, text: str, result: str) -> None:
    reading = read(prompt)
    assert reading.extended(reading.continued(text), SENTENCE) == result


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
            unit = unit.rstrip(".!")  # before a separator of the prompt's own it goes
            left = left.replace(unit, "", 1 if reading.frame != "call" else -1)
        assert re.sub(r"[\s.,!]", "", left) == re.sub(r"[\s.,!]", "", prompt)
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
