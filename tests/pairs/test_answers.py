"""Answers that are taken for plain forms of a prompt, and those that are not."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from promptlift.llm.answers import tidy_answer
from promptlift.pairs.answers import check_answer


@pytest.mark.parametrize(
    ("raw", "tidy"),
    [
        ("  a cat \n", "a cat"),
        ('"A cat."', "A cat"),
        ('Prompt: "a cat".', "a cat"),
        ("**Short prompt:** `a cat`", "a cat"),
        ("Here is the short prompt:\na cat", "a cat"),
        ("“a cat’s hat”", "a cat’s hat"),
        ("'a cat's hat'", "a cat's hat"),
        ("*a cat*", "a cat"),
        ('"a cat" and "a dog"', '"a cat" and "a dog"'),
        ('a sign that says "cat"', 'a sign that says "cat"'),
        ("<think>\nWell: a cat?\n</think>\n\na cat", "a cat"),
        ("prompt", "prompt"),
        ('"', '"'),
        ("", ""),
    ],
)
def test_harmless_wrapping_is_taken_off(raw: str, tidy: str) -> None:
    assert tidy_answer(raw) == tidy


DETAILED = (
    "a beautiful painting of two wolves' cubs running across the starry city, dancers, runes, "
    "by a famous painter, artstation, 8k, trending"
)


@pytest.mark.parametrize(
    "text",
    [
        "two cubs run across the city",
        "wolves with cubs in a city of stars",
        "a dancing cub",
        "a dancer in the cities",
        "Running wolves",
        "the wolves’ cub",
        "a star",
    ],
)
def test_plain_forms_are_accepted(text: str) -> None:
    assert check_answer(DETAILED, text, 12) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "it is empty"),
        ("  ", "it is empty"),
        ("two\nwolves", "it has several lines or control characters"),
        ("two wolves\x1b[0m", "it has several lines or control characters"),
        ("I’m sorry, no wolves", "the model declines"),
        ("As an AI, I paint wolves", "the model declines"),
        ("I can't", "the model declines"),
        ('"wolves" and "cubs"', "it has quotes or a label"),
        ("Wolves in brief: two cubs", "it has quotes or a label"),
        ("Prompt: wolves", "it has quotes or a label"),
        ("two cubs of two wolves of the city", "it has 8 words, more than 7"),
        ("123, 45", "it is not English"),
        ("два волка", "it is not English"),
        ("two lions in a castle", "not in the prompt: lions, castle"),
        ("two painless trends", "not in the prompt: painless"),
        ("wolves without cubs", "not in the prompt: without"),
    ],
)
def test_other_answers_are_refused(text: str, reason: str) -> None:
    assert check_answer(DETAILED, text, 7) == reason


@pytest.mark.parametrize(
    ("prompt", "text", "reason"),
    [
        ("a man riding a horse at dawn, 4k", "a dog riding a horse", "not in the prompt: dog"),
        ("a red fox in the snow, 4k", "a pig", "not in the prompt: pig"),
        ("an elk in the snow, 4k", "an ox", "not in the prompt: ox"),
        ("a card on a table", "a car", "not in the prompt: car"),
        ("foxes under grey skies, 4k", "a fox under the sky", None),
        ("a cat, by greg rutkowski, 4k", "a cat by greg rutkowski",
         "it names a painter: greg rutkowski"),
        ("a painting of a cat by greg rutkowski", "a painting by greg rutkowski",
         "it names a painter: greg rutkowski"),
        ("a wooden house, highly detailed, 4k", "highly detailed", "it names nothing to be seen"),
        ("hills in soft light, 4k", "the soft light", "it names nothing to be seen"),
        ("castle lights, art, 4k", "castle lights", None),
        ("a red dress, 4k", "red", None),
    ],
)  # fmt: skip
def test_short_words_painters_and_manner_are_checked(
    prompt: str, text: str, reason: str | None
) -> None:
    assert check_answer(prompt, text, 7) == reason


def test_an_answer_is_shorter_than_its_prompt() -> None:
    assert check_answer("a cat ", "a cat", 7) == "it is not shorter than the prompt"
    assert check_answer("a cat, 4k", "a cat", 7) is None


PARTS = ["Prompt:", "a", "cat", '"', "'", "**", "*", ".", "<think>", "</think>", " ", "\n", "’s"]
texts = st.text(max_size=40) | st.lists(st.sampled_from(PARTS), max_size=12).map("".join)
words = st.lists(
    st.sampled_from(["a", "red", "cats", "castle", "stone", "towers", "lights", "of", "with"]),
    min_size=1,
)


@given(texts)
def test_tidying_twice_changes_nothing_and_invents_nothing(text: str) -> None:
    tidy = tidy_answer(text)
    assert tidy_answer(tidy) == tidy
    remaining = iter(text)
    assert all(char in remaining for char in tidy)  # in their order


@given(texts | words.map(", ".join), texts | words.map(" ".join), st.integers(1, 20))
@example("a castle, stone towers, soft light", "a castle", 2)
@example("a castle, stone towers, soft light", "a castle ", 2)
@example("a castle, stone towers, soft light", "a castle of stone", 2)
def test_an_accepted_answer_keeps_all_promises(prompt: str, text: str, max_words: int) -> None:
    if check_answer(prompt, text, max_words) is None:
        assert text == tidy_answer(text) != ""
        assert len(text.splitlines()) == 1
        assert len(text.split()) <= max_words
        assert len(text) < len(prompt)
        text.encode()


@given(words, words)
def test_parts_of_a_prompt_are_accepted_and_other_words_are_not(
    chosen: list[str], others: list[str]
) -> None:
    prompt = f"{', '.join([*others, *chosen])}, artstation"
    text = " ".join(chosen)
    assert check_answer(prompt, text, len(chosen)) is None
    assert check_answer(prompt, f"{text} zebra", len(chosen) + 1) in (
        "not in the prompt: zebra",
        "it is not shorter than the prompt",
    )
    if len(chosen) > 1:
        assert "more than" in str(check_answer(prompt, text, len(chosen) - 1))
