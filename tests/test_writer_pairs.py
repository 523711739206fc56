"""The writer's pairs: what is taken from descriptions, and what is not."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.writer.fitting import MOST_CLIP_TOKENS, fitting, may_be_added
from benchmarks.writer.pairs import Maker, capped, describing_adjectives
from benchmarks.writer.prose import heads, phrases
from promptlift.prompts.clip_tokens import count_clip_tokens
from promptlift.prompts.intent import Intent
from promptlift.prompts.units import split_sentences
from promptlift.records import Pair

# TextBlob leaves the file of its lexicon open.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
CABIN = (
    "A cozy wooden cabin nestled in a snowy forest, with smoke rising from the chimney. The walls "
    "are decorated with old lanterns. The lighting is soft, and tall pine trees surround the "
    "cabin. The overall mood of the image evokes nostalgia. A narrow path leads to a carved door, "
    "dusted with fresh powder, and warm light glows in the small windows of the porch."
)


def test_things_are_found_in_sentences() -> None:
    found = list(phrases(CABIN))
    assert "cozy wooden cabin nestled in a snowy forest" in found
    assert "smoke rising from the chimney" in found
    assert "walls decorated with old lanterns" in found
    assert "soft lighting" in found
    assert not any("nostalgia" in phrase or "mood" in phrase for phrase in found)


def test_a_subject_may_be_cut_short_but_not_before_of() -> None:
    [first, *_] = split_sentences(CABIN)
    assert [first[:end] for end in heads(first)] == [
        "A cozy wooden cabin",
        "A cozy wooden cabin nestled in a snowy forest",
    ]
    cluster = "A cluster of jellyfish drifts."
    assert [cluster[:end] for end in heads(cluster)] == ["A cluster of jellyfish"]


@pytest.mark.parametrize(
    "phrase",
    [
        "oil painting", "highly detailed", "art by greg rutkowski", "black cat", "old cabin",
        "rhythmic sound", "sense of wonder", "zxqv on the roof", "wooden walls",
    ],
)  # fmt: skip
def test_what_may_not_be_learned(phrase: str) -> None:
    asked = Intent("a cabin, photo")
    assert may_be_added("snow on the roof", asked, [])
    assert not may_be_added(phrase, asked, ["walls of old wooden planks"])


def test_a_description_gives_both_forms_and_both_modes() -> None:
    maker = Maker(random.Random(3), frozenset({"cozy", "snowy"}))
    made = [pair for _ in range(20) for pair in maker.of_description(CABIN)]
    assert {(pair.mode, pair.form) for pair in made} == {
        (mode, form) for mode in ("extend", "rewrite") for form in ("tags", "paragraph")
    }
    for pair in made:
        if (pair.mode, pair.form) == ("extend", "paragraph"):
            assert (
                CABIN.lower().removeprefix("a ").startswith(pair.source.lower().removeprefix("a "))
            )
            assert "nostalgia" not in pair.target and pair.target[0] in " ,."
        if pair.mode == "rewrite":
            assert not Intent(pair.source).lost(pair.target)
            assert "cozy" not in pair.source


def test_stock_openings_give_nothing() -> None:
    maker = Maker(random.Random(0), frozenset())
    stock = "The image shows a cabin. " + CABIN
    assert list(maker.of_description(stock)) == []


def test_adjectives_of_describers_are_learned_without_colours() -> None:
    texts = ["A cozy red cabin stands here.", "A serene lake lies here."] * 8
    assert describing_adjectives(texts) == {"cozy", "serene"}


@given(st.integers(0, 50))
def test_no_phrase_is_too_common_after_capping(seed: int) -> None:
    common = [
        Pair(source=f"thing {n}", target=f"a b{n}, a c{n}, a d{n}, soft light", mode="extend")
        for n in range(2000)
    ]
    kept = capped(common, random.Random(seed))
    share = sum("soft light" in pair.target for pair in kept) / len(kept)
    assert share < 0.01 and len(kept) == 2000


def test_targets_stay_within_what_clip_reads() -> None:
    many = [
        f"{what} {where}"
        for what, where in zip(
            ("snow", "moss", "rain", "ivy", "dust", "leaves", "frost", "sand", "flowers", "grass",
             "lanterns", "candles", "books", "bottles", "apples", "pumpkins", "curtains", "rugs"),
            ("roof", "porch", "door", "wall", "window", "path", "fence", "gate", "table", "chair",
             "stairs", "shelf", "bed", "floor", "bench", "steps", "stones", "beams"),
            strict=True,
        )
    ]  # fmt: skip
    source = "a cabin" + " far away" * 18
    kept = fitting(many, source, most=99)
    assert 3 < len(kept) < len(fitting(many, "a cabin", most=99))
    assert count_clip_tokens(", ".join([source, *kept])) <= MOST_CLIP_TOKENS
    assert fitting(many, source, most=3) == kept[:3]
