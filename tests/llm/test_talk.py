"""Phrases and sentences about the task, as small models write them."""

import pytest

from promptlift.llm.talk import without_talk
from promptlift.prompts.units import CLAUSE, SENTENCE

INSTRUCTION = (
    "Describe the picture of this prompt: its place, light, weather, time of day. Change nothing "
    "in it, and add no second subject, no artist, and no style that it does not name."
)
LIGHT = "warm lamplight, crashing waves"


@pytest.mark.parametrize(
    "talk",
    [
        "this prompt can be described as an art piece",
        "The picture of the prompt is a lighthouse",
        "Here are the phrases that can be seen",
        "as an AI",
        "I am an artist with a sword",
        "change nothing in it",
        "Its place",
        "weather",
        "no style",
        "removes no style that it does not name",
        "a second subject",
        "Addition 1: fog",
        "This is an example of a descriptive paragraph",
        "You can use words like fog",
        "Add no style",
        "Here's a revised version with the added context:",
        "keep the colours as they are",
        "a text of 300 words",
        "describes the place",
        "the instructions are followed",
        "your sentence",
    ],
)
def test_talk_is_left_out(talk: str) -> None:
    for text in (f"{talk}, {LIGHT}", f"{LIGHT}, {talk}"):
        assert without_talk(text, "a lighthouse", CLAUSE, INSTRUCTION) == LIGHT
    prose = f"Waves crash. {talk[0].upper()}{talk[1:]}."
    assert without_talk(prose, "a lighthouse", SENTENCE, INSTRUCTION) == "Waves crash."
    assert without_talk(talk, "a lighthouse", CLAUSE, INSTRUCTION) == ""


@pytest.mark.parametrize(
    ("text", "source"),
    [
        (LIGHT, "a lighthouse"),
        ("soft light, stormy weather, a place by the sea", "a lighthouse"),
        ('a sign that says "I am here"', "a lighthouse"),
        ("King Henry I on a horse", "a king"),
        ("a glowing command prompt, fog", "a screen with a command prompt"),
        ("what I see, I am alone", "what I see"),
        ("the weather, rain", "the weather"),
        ("added flowers, a used book, a keep on a hill", "a lighthouse"),
        ("use the force", "use the force, a poster"),
        ("use the light, keeps the ball in the air, writes a letter", "a lighthouse"),
        ("child writing a sentence on a blackboard, instructions pinned to wall", "a school"),
    ],
)
def test_what_belongs_to_the_picture_stays(text: str, source: str) -> None:
    assert without_talk(text, source, CLAUSE, INSTRUCTION) == text


def test_without_an_instruction_its_words_may_come() -> None:
    text = "time of day, no second artist, fog"
    assert without_talk(text, "a lighthouse", CLAUSE, "") == text
    assert without_talk(text, "a lighthouse", CLAUSE, INSTRUCTION) == "no second artist, fog"
