"""What may be taught: looks, not names."""

import pytest

from promptlift.prompts.lexicon.words import may_be_taught, names, target_words


@pytest.mark.parametrize(
    "clause",
    [
        "highly detailed",
        "4k",
        "volumetric lighting",
        "lit by candles",
        "surrounded by mist",
        "trending on ArtStation",
        "dark green forest",
    ],
)
def test_passes_what_a_picture_shows(clause: str) -> None:
    assert may_be_taught(clause)


@pytest.mark.parametrize(
    "clause",
    [
        "by greg rutkowski",
        "art by artgerm and greg rutkowski and alphonse mucha",
        "ross tran",
        "in the style of an old master",
        "Emma Watson",
        "painting by brown",
        "bill gates",
        "zdzisław beksiński",
        "nude",
        "--ar 16:9",
        "<lora:x:1>",
        "...",
        "c",
        "",
    ],
)
def test_refuses_names_authors_and_debris(clause: str) -> None:
    assert not may_be_taught(clause)


def test_data_files_are_sorted_lower_case_and_apart() -> None:
    words = target_words()
    assert len(words) > 10_000
    assert all(word == word.lower() for word in words)
    assert names() and all(words.issuperset(name.split()) for name in names())
    assert not words & {"rutkowski", "mucha", "artgerm", "emma", "hitler", "nsfw"}
