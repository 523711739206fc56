"""Phrases said in prose."""

import random
from collections import Counter
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlift.improving.prose import going_on, head, is_clause, with_articles, woven
from promptlift.prompts.intent import Text

CUP, SHEEP, LIGHT = "curved handle", "thick wool", "soft light"
PROMPT = "a blue cup and a brown sheep"


def by_words(pairs: dict[str, str]) -> Callable[[str, Sequence[str]], list[float]]:
    """High scores of phrases with words that have these in them, and low ones of all others."""
    return lambda words, phrases: [
        0.9 if pairs.get(phrase, "-") in words else -0.9 for phrase in phrases
    ]


def weave(prompt: str, pairs: dict[str, str], *others: str, prose: bool = True) -> str:
    return woven(prompt, [*pairs, *others], by_words(pairs), prose=prose)


@pytest.mark.parametrize(
    ("phrase", "told"),
    [
        ("curved handle", "a curved handle"), ("ornate frame", "an ornate frame"),
        ("thick wool", "thick wool"), ("pointed ears", "pointed ears"), ("big feet", "big feet"),
        ("smoke rising from hull", "smoke rising from the hull"), ("one raised paw",) * 2,
        ("coin meter on pole", "a coin meter on the pole"), ("T-shirt", "a T-shirt"),
        ("fresh unfurling leaves",) * 2, ("gap between them", "a gap between them"),
        ("pool of lamp light", "a pool of lamp light"), ("black and white fur",) * 2,
        ("domed bonnet on top", "a domed bonnet on top"), ("hourglass", "an hourglass"),
        ("round belly and narrow neck", "a round belly and narrow neck"),
        ("side lamp on the upright", "a side lamp on the upright"), ("wide lens", "a wide lens"),
        ("bat raised", "a bat raised"), ("view over Paris", "a view over Paris"),
    ],
)  # fmt: skip
def test_articles_are_put_where_phrases_leave_them_out(phrase: str, told: str) -> None:
    assert with_articles(phrase) == told
    assert with_articles(told) == told


@pytest.mark.parametrize(
    ("phrase", "tells"),
    [
        ("seen from below", True), ("on a plush bed", True), ("standing close together", True),
        ("upright on strong legs", True), ("softly lit", False), ("alert forward ears", False),
        ("glowing embers", False), ("chewing a stalk", True), ("swaying gently", True),
        ("placed side by side", True), ("side by side", True),
    ],
)  # fmt: skip
def test_what_tells_how_or_where_names_nothing(phrase: str, tells: bool) -> None:
    assert is_clause(phrase) == tells


def test_the_head_is_the_noun_that_a_phrase_is_about() -> None:
    assert head("smoke rising from the hull") == "smoke"
    assert head("Soft glowing light") == "light"
    assert head("bright eyes ahead") == "eyes"
    assert head("raised") == "raised"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("a fox", "a fox, with a bushy tail and soft light, seen from below."),
        ("a fox,", "a fox,, with a bushy tail and soft light, seen from below."),
        ("A fox runs.", "A fox runs. There is a bushy tail and soft light, seen from below."),
    ],
)
def test_phrases_are_said_after_a_prompt(words: str, text: str) -> None:
    said = going_on(words, ["bushy tail", "seen from below", "soft light"])
    assert words + said == text  # a comma that is there already goes when both are joined


def test_one_who_tells_how_alone_needs_no_things() -> None:
    assert going_on("A fox.", ["seen from below"]) == " Seen from below."
    assert going_on("A fox.", ["red leaves"]) == " There are red leaves."


@pytest.mark.parametrize(
    ("prompt", "pairs", "text"),
    [
        (PROMPT, {CUP: "cup", SHEEP: "sheep"},
         "A blue cup, with a curved handle, and a brown sheep with thick wool."),
        ("a cup on a table", {CUP: "cup"}, "A cup with a curved handle on a table."),
        ("a cat with black ears.", {"white whiskers": "cat"},
         "A cat with white whiskers and black ears."),
        ("a cup of tea", {CUP: "cup"}, "A cup of tea, with a curved handle."),
        ("a child ride a bike", {"bright smile": "child"},
         "A child ride a bike, with a bright smile."),
        ("a thick, old book", {"yellowed pages": "thick"},
         "A thick, old book, with yellowed pages."),
        ('a sign "a cup" here', {CUP: "cup"}, 'A sign "a cup" here, with a curved handle.'),
        ("a cup,", {CUP: "cup"}, "A cup with a curved handle."),
        ("Is it a cup?", {CUP: "cup"}, "Is it a cup with a curved handle?"),
    ],
)  # fmt: skip
def test_a_phrase_stands_behind_what_has_it(prompt: str, pairs: dict[str, str], text: str) -> None:
    assert weave(prompt, pairs) == text


def test_a_phrase_of_two_things_or_of_none_stands_at_the_end() -> None:
    both = woven(PROMPT, [CUP], lambda words, phrases: [0.9 for _ in phrases], prose=True)
    assert both == f"{PROMPT.capitalize()}, with a curved handle."
    assert weave(PROMPT, {}, CUP, prose=False) == f"{PROMPT}, {CUP}"
    assert weave("a cup", {"seen from below": "cup"}) == "A cup, seen from below."


def test_light_opens_a_rewriting() -> None:
    pairs = {CUP: "cup"}
    assert weave("A cup", pairs, LIGHT, prose=False) == "In soft light, a cup with a curved handle"
    assert weave("a cup", {}, LIGHT, CUP) == "In soft light, a cup, with a curved handle."
    assert weave("In a room", {}, LIGHT) == "In a room, with soft light."


@given(
    st.lists(st.sampled_from(["a", "two", "cup", "cups", "blue", "runs", "with", "and", "on", "of",
                              ",", ".", "no", '"', "riding", "left", "Ada"]),
             min_size=1, max_size=12),
    st.lists(st.sampled_from([CUP, SHEEP, LIGHT, "seen from below", "smoke rising", "raised"]),
             unique=True, max_size=4),
    st.randoms(use_true_random=False),
    st.booleans(),
)  # fmt: skip
def test_nothing_is_lost_in_weaving(
    words: list[str], phrases: list[str], chance: random.Random, prose: bool
) -> None:
    prompt = " ".join(words)

    def score(_: str, phrases: Sequence[str]) -> list[float]:
        return [chance.uniform(-1, 1) for _ in phrases]

    said = Counter(Text(woven(prompt, phrases, score, prose=prose)).words)
    assert said >= Counter(word for one in (prompt, *phrases) for word in Text(one).words)
