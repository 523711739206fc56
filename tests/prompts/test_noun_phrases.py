"""The little grammar of short phrases."""

from importlib.resources import files

import pytest

from promptlift.prompts.noun_phrases import head, is_many, is_modifier, with_articles


@pytest.mark.parametrize(
    ("phrase", "told"),
    [
        ("curved handle", "a curved handle"), ("ornate frame", "an ornate frame"),
        ("hourglass", "an hourglass"), ("unicorn horn", "a unicorn horn"),
        ("utility belt", "a utility belt"), ("unimpressed stare", "an unimpressed stare"),
        ("LED strip", "an LED strip"), ("x-shaped sign", "an x-shaped sign"),
        ("U-shaped bar", "a U-shaped bar"), ("American flag", "an American flag"),
        ("European flag", "a European flag"), ("UFO", "a UFO"),
        ("18th century coat", "an 18th century coat"), ("T-shirt", "a T-shirt"),
        ("8-bit sprite", "an 8-bit sprite"), ("view over Paris", "a view over Paris"),
        ("thick wool",) * 2, ("pointed ears",) * 2, ("big feet",) * 2,
        ("yellow taxis",) * 2, ("body in side view", "a body in side view"),
        ("one raised paw",) * 2,
        ("fresh unfurling leaves",) * 2, ("paws clutching belly",) * 2, ("same fluffy coat",) * 2,
        ("pollen on the wings",) * 2, ("crown of thorns", "a crown of thorns"),
        ("smoke rising from hull", "smoke rising from the hull"), ("wide lens", "a wide lens"),
        ("coin meter on pole", "a coin meter on the pole"), ("bat raised", "a bat raised"),
        ("pool of lamp light", "a pool of lamp light"), ("gap between them", "a gap between them"),
        ("domed bonnet on top", "a domed bonnet on top"), ("eyes in crisp focus",) * 2,
        ("side lamp on the upright", "a side lamp on the upright"),
        ("black and white fur",) * 2, ("side and front views",) * 2,
        ("round belly and narrow neck", "a round belly and narrow neck"),
    ],
)  # fmt: skip
def test_articles_are_put_where_phrases_leave_them_out(phrase: str, told: str) -> None:
    assert with_articles(phrase) == told
    assert with_articles(told) == told


@pytest.mark.parametrize(
    ("phrase", "expected"),
    [
        ("seen from below", True), ("on a plush bed", True), ("standing close together", True),
        ("upright on strong legs", True), ("softly lit", False), ("alert forward ears", False),
        ("glowing embers", False), ("chewing a stalk", True), ("swaying gently", True),
        ("placed side by side", True), ("side by side", True), ("facing each other", True),
        ("crown of thorns", False), ("string of beads", False), ("raised", True),
    ],
)  # fmt: skip
def test_modifiers_say_how_or_where(phrase: str, expected: bool) -> None:
    assert is_modifier(phrase) == expected


@pytest.mark.parametrize(
    ("phrase", "noun", "many"),
    [
        ("smoke rising from the hull", "smoke", False), ("Soft glowing light", "light", False),
        ("bright eyes ahead", "eyes", True), ("hands holding a book", "hands", True),
        ("a wide lens", "lens", False), ("three kittens", "kittens", True),
        ("raised", "raised", False),
    ],
)  # fmt: skip
def test_the_head_is_the_noun_that_a_phrase_is_about(phrase: str, noun: str, many: bool) -> None:
    assert head(phrase) == noun
    assert is_many(noun) == many


def test_the_ends_of_phrases_are_sorted_words_of_three_kinds() -> None:
    place = files("promptlift.prompts.lexicon") / "data" / "phrase_ends.tsv"
    rows = [line.split("\t") for line in place.read_text("utf-8").splitlines()]
    words = [word for word, _ in rows]
    assert words == sorted(set(words)) and all(word == word.lower() for word in words)
    assert {kind for _, kind in rows} == {"mass", "other", "count"}
