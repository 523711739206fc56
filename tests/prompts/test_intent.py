"""What a prompt asks for, what a result lost, and what contradicts it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlift.prompts.contradictions import contradiction
from promptlift.prompts.intent import Intent, Text

PROMPT = 'Three red cats under a blue car, no people, next to Big Ben, a sign that says "Stop here"'


@pytest.mark.parametrize(
    ("result", "kinds"),
    [
        (PROMPT + ", soft light", set()),
        (PROMPT.replace("Three", "3"), set()),
        (PROMPT.replace("Three", "Four"), {"count"}),
        (PROMPT.replace("red cats", "blue cats"), {"colour"}),
        (PROMPT.replace("red", "X").replace("blue", "red").replace("X", "blue"), {"colour"}),
        (PROMPT.replace("no people", "people"), {"negation"}),
        (PROMPT.replace("no people", "without people"), set()),
        (PROMPT.replace("under", "behind"), {"relation"}),
        (PROMPT.replace("Big Ben", "a tower"), {"content", "name"}),
        (PROMPT.replace("Stop here", "Go there"), {"quoted", "content", "name"}),
        (PROMPT.replace("cats", "dogs"), {"content", "count", "colour"}),
    ],
)
def test_what_is_lost_is_found_by_its_kind(result: str, kinds: set[str]) -> None:
    lost = {want.kind for want in Intent(PROMPT).lost(result)}
    # A thing that is gone takes its relation along.
    assert lost - {"relation"} == kinds - {"relation"}
    assert kinds <= lost


@given(st.text(max_size=60), st.text(max_size=30))
def test_a_result_that_begins_with_the_prompt_lost_nothing(prompt: str, more: str) -> None:
    assert Intent(prompt).lost(f"{prompt}, {more}") == ()


@pytest.mark.parametrize(
    ("prompt", "phrase", "reason"),
    [
        ("two cats", "three cats", "another number of cat"),
        ("two cats", "two cats", None),
        ("a red car", "blue car", "another colour of car"),
        ("a red car", "blue sky", None),
        ("a beach, no people", "crowded with people", "the prompt says no person"),
        ("a beach, no people", "no people", None),
        ("a lighthouse", "a black cat", "a second subject: cat"),
        ("a cat", "black cat", None),
        ("a princess", "dragon scales", None),
        ("a princess", "no people", None),
        ("a princess", "third person view", None),
        ("a street at night", "sunset lighting", "another time of day"),
        ("a street at night", "bright daylight", "another time of day"),
        ("a street at night", "starry sky", None),
        ("a winter forest", "summer meadow", "another season"),
        ("a bicycle in the rain", "under the soft morning sunlight", "another weather"),
        ("a cyclist in a storm", "under the bright midday sun", "another weather"),
        ("a car, raining", "clear sky", "another weather"),
        ("a plane in a clear blue sky", "thin clouds", "another weather"),
        ("a clear blue sky with clouds", "fluffy clouds", None),
        ("a cafe in the morning", "warm afternoon rays", "another time of day"),
        ("a meadow in warm sunlight", "heavy rain", "another weather"),
        ("a street after the rain", "soft sunlight", None),
        ("a sunny street", "puddles after the rain", None),
        ("a sun shower over a field", "light rain", None),
        ("boots in the sun and rain", "sunlight", None),
        ("a girl in rain boots", "sunlight through the trees", None),
        ("a hill under storm clouds", "pale sunlight", None),
        ("an oil painting of a cat", "dslr photo", "another medium than oil"),
        ("an oil painting of a cat", "painting", None),
        ("a photo of an oil lamp", "photography", None),
        ("a black and white photo", "vibrant", "another colours"),
        ("a monochrome photo", "vibrant colors", "another colours"),
    ],
)
def test_phrases_that_contradict_are_named(prompt: str, phrase: str, reason: str | None) -> None:
    assert contradiction(Text(prompt), phrase) == reason


def test_additions_are_checked_against_each_other() -> None:
    assert contradiction(Text("a cat"), "photograph", "oil painting") == "another medium than oil"
    assert contradiction(Text("a cat"), "midday", "night") == "another time of day"


@pytest.mark.parametrize("prompt", ["a hut by greg rutkowski", "Greg Rutkowski painting a hut"])
def test_a_painter_is_a_name_in_any_letters_and_only_once(prompt: str) -> None:
    lost = Intent(prompt).lost("a hut")
    assert [want.text.lower() for want in lost if want.kind == "name"] == ["greg rutkowski"]
