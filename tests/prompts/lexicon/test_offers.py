"""What may be offered to a stranger's prompt."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlift.prompts.lexicon.offers import is_filler, may_be_offered
from promptlift.prompts.lexicon.terms import phrases
from promptlift.prompts.lexicon.words import may_be_taught


@pytest.mark.parametrize(
    "clause",
    ["soft light", "Cinematic Lighting", "oil on canvas", "depth of field", "misty forest",
     "muted warm colors", "dramatic studio lighting", "in a surrealist style"],
)  # fmt: skip
def test_manner_is_offered(clause: str) -> None:
    assert may_be_offered(clause)


@pytest.mark.parametrize(
    "clause",
    ["wearing white skin", "by greg rutkowski", "greg rutkowski", "detailed face", "blue eyes",
     "a red and yellow robe", "trending on artstation", "octane render", "1608 cinematography",
     "with a sword", "two dogs", "beautiful woman", "of", "and", "", "...", "low quality render"],
)  # fmt: skip
def test_things_people_names_and_fragments_are_not(clause: str) -> None:
    assert not may_be_offered(clause)


def test_no_reviewed_offer_names_a_painter_or_a_thing() -> None:
    kinds = {phrase.kind for phrase in phrases().values() if phrase.offer}
    assert kinds.isdisjoint({"painter", "name", "other"})
    offered = {word for name, phrase in phrases().items() if phrase.offer for word in name.split()}
    assert offered.isdisjoint({"eyes", "face", "hair", "skin", "hands", "woman", "man", "girl"})


# Of all words one list in ninety may be offered, of those of offered phrases most.
OFFERED = {w for name, phrase in phrases().items() if phrase.offer for w in name.split()}


@given(st.lists(st.sampled_from(sorted(OFFERED)), min_size=1, max_size=6))
def test_new_arrangements_hold_only_words_that_may_be_taught(words: list[str]) -> None:
    clause = " ".join(words)
    assert clause in phrases() or not may_be_offered(clause) or may_be_taught(clause)


def test_fillers_are_told_from_what_shows() -> None:
    assert is_filler("Highly detailed") and is_filler("8k")
    assert not is_filler("soft light") and not is_filler("a cat")
