"""Phrases said in prose."""

import random
import re
from collections import Counter
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlift.improving.prose import sentence_after, weave
from promptlift.prompts.intent import Text

CUP, SHEEP, LIGHT = "curved handle", "thick wool", "soft light"
PROMPT = "a blue cup and a brown sheep"


def by_words(pairs: dict[str, str]) -> Callable[[str, Sequence[str]], list[float]]:
    """High scores of phrases with words that have these in them, and low ones of all others."""
    return lambda words, phrases: [
        0.9 if pairs.get(phrase, "-") in words else -0.9 for phrase in phrases
    ]


def woven(prompt: str, pairs: dict[str, str], *others: str, prose: bool = True) -> str:
    return weave(prompt, [*pairs, *others], by_words(pairs), prose=prose)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("a fox", "a fox, with a bushy tail and soft light, seen from below."),
        ("a fox,", "a fox,, with a bushy tail and soft light, seen from below."),
        ("A fox runs.", "A fox runs. There is a bushy tail and soft light, seen from below."),
    ],
)
def test_phrases_are_said_after_a_prompt(words: str, text: str) -> None:
    said = sentence_after(words, ["bushy tail", "seen from below", "soft light"])
    assert words + said == text  # a comma that is there already goes when both are joined


def test_the_first_thing_decides_between_is_and_are() -> None:
    for phrases, said in (
        (["seen from below"], " Seen from below."),
        (["red leaves"], " There are red leaves."),
        (["whiskers and wet nose"], " There are whiskers and wet nose."),
        (["black and white stripes"], " There are black and white stripes."),
        (["wet nose", "red leaves"], " There is a wet nose and red leaves."),
    ):
        assert sentence_after("A fox.", phrases) == said


def test_anything_can_be_asked_for() -> None:
    asked = ["red scarf", "8k", "It has a tail"]
    said = sentence_after("a fox", ["tall grass"], asked)
    assert said == ", with a red scarf, 8k, It has a tail and tall grass."
    assert (
        sentence_after("A fox.", ["tall grass"], ["at night"]) == " There is tall grass, at night."
    )
    assert sentence_after("a fox", []) == ""
    assert weave("a fox", [], by_words({}), ["8k"], prose=False) == "a fox, 8k"


@pytest.mark.parametrize(
    ("prompt", "pairs", "text"),
    [
        (PROMPT, {CUP: "cup", SHEEP: "sheep"},
         "A blue cup, with a curved handle, and a brown sheep with thick wool."),
        ("a cup on a table", {CUP: "cup"}, "A cup with a curved handle on a table."),
        ("a kitten on a table", {"pink nose": "kitten"}, "A kitten with a pink nose on a table."),
        ("a cat with ears.", {"white whiskers": "cat"}, "A cat with white whiskers and ears."),
        ("a cat with ears and a tail", {"white whiskers": "cat"},
         "A cat with white whiskers, ears and a tail."),
        ("a cat, a dog", {"white whiskers": "cat"}, "A cat with white whiskers, a dog."),
        ("a cup,", {CUP: "cup"}, "A cup with a curved handle."),
        ("a cup,.", {CUP: "cup"}, "A cup with a curved handle."),
        ("it's a cup", {CUP: "cup"}, "It's a cup with a curved handle."),
        ("a cup WITH a hat", {CUP: "cup"}, "A cup with a curved handle and a hat."),
        ("A cup!", {CUP: "cup"}, "A cup with a curved handle!"),
        ("iPad and a cup", {CUP: "cup"}, "iPad and a cup with a curved handle."),
        # These cannot be followed.
        ("a cup of tea", {CUP: "cup"}, "A cup of tea, with a curved handle."),
        ("a cup with", {CUP: "cup"}, "A cup with, with a curved handle."),
        ("a man with no hat", {"calm look": "man"}, "A man with no hat, with a calm look."),
        ("a man without a hat", {"calm look": "man"}, "A man without a hat, with a calm look."),
        ("a child ride a bike", {"wide smile": "child"}, "A child ride a bike, with a wide smile."),
        ("a wolf howls at night", {"wet nose": "wolf"}, "A wolf howls at night, with a wet nose."),
        ("she sits and waits", {"wide smile": "sits"}, "She sits and waits, with a wide smile."),
        ("a thick, old book", {"worn pages": "thick"}, "A thick, old book, with worn pages."),
        ("an apple on a cup", {"shiny apple": "apple"}, "An apple on a cup, with a shiny apple."),
        # These are left as they stand.
        ('a sign "a cup" here', {CUP: "cup"}, 'A sign "a cup" here, with a curved handle.'),
        ("a sign 'a cup' here", {CUP: "cup"}, "A sign 'a cup' here, with a curved handle."),
        ('"a cup" here', {CUP: "cup"}, '"a cup" here, with a curved handle.'),
        ("A cup. A hat.", {CUP: "cup"}, "A cup. A hat. There is a curved handle."),
        ("Is it a cup?", {CUP: "cup"}, "Is it a cup? There is a curved handle."),
        # Nothing describes a thing that describes the whole picture.
        ("a cow on a hill", {"grassy pasture": "cow"}, "A cow on a hill, with a grassy pasture."),
    ],
)  # fmt: skip
def test_a_phrase_follows_what_it_describes(prompt: str, pairs: dict[str, str], text: str) -> None:
    assert woven(prompt, pairs) == text


def test_a_phrase_of_two_things_or_of_none_stands_at_the_end() -> None:
    both = weave(PROMPT, [CUP], lambda words, phrases: [0.9 for _ in phrases], prose=True)
    assert both == f"{PROMPT.capitalize()}, with a curved handle."
    assert woven(PROMPT, {}, CUP, prose=False) == f"{PROMPT}, {CUP}"
    assert woven("a cup", {"seen from below": "cup"}) == "A cup, seen from below."


def test_light_opens_a_rewriting() -> None:
    pairs = {CUP: "cup"}
    assert woven("A cup", pairs, LIGHT, prose=False) == "In soft light, a cup with a curved handle"
    assert woven("a cup", {}, LIGHT, CUP) == "In soft light, a cup, with a curved handle."
    for prompt in ("In a room", "Women in a room", "It is a cup", "A CUP", "Half Dome at noon"):
        assert woven(prompt, {}, LIGHT) == f"{prompt}, with soft light."
    where = "light on the trunks"
    assert woven("a tree", {}, where) == f"A tree, with {where}."


@given(
    st.lists(st.sampled_from(["a", "The", "two", "cup", "cups", "Blue", "runs", "with", "and", "on",
                              "of", ",", ".", "!", "no", '"', "riding", "left", "Ada", "it's"]),
             min_size=1, max_size=12),
    st.lists(st.sampled_from([CUP, SHEEP, LIGHT, "seen from below", "smoke rising", "raised"]),
             unique=True, max_size=4),
    st.randoms(use_true_random=False),
    st.booleans(),
)  # fmt: skip
def test_nothing_is_lost_in_weaving(
    words: list[str], phrases: list[str], chance: random.Random, prose: bool
) -> None:
    prompt = re.sub(r" ([,.!])", r"\1", " ".join(words))

    def score(_: str, phrases: Sequence[str]) -> list[float]:
        return [chance.uniform(-1, 1) for _ in phrases]

    text = weave(prompt, phrases, score, prose=prose)
    said = Counter(Text(text).words)
    assert said >= Counter(word for one in (prompt, *phrases) for word in Text(one).words)
    # All but the first word of the prompt keep their capitals.
    assert Counter(Text(text).written) >= Counter(Text(prompt).written[1:])
