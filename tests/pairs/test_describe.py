"""Descriptions of pairs, worked out by hand."""

from promptlift.pairs.describe import content_words, describe, survival
from promptlift.records import Pair

PAIRS = [
    Pair(source="a red fox", target="soft light, by greg rutkowski", mode="extend"),
    Pair(source="a red fox", target="soft light, by greg rutkowski", mode="extend"),
    Pair(source="an oil painting of owls", target="oil painting, soft light", mode="extend"),
    Pair(source="tall ships", target="tall ships at sea, sharp focus", mode="rewrite"),
    Pair(source="green parrot", target="a parrot, watercolor", mode="rewrite"),
]


def test_counts_shares_and_survival() -> None:
    found = describe(PAIRS, top=3)
    assert (found["pairs"], found["modes"]) == (5, {"extend": 3, "rewrite": 2})
    assert (found["distinct_sources"], found["repeated_pairs"], found["prompts"]) == (4, 1, 4)
    assert found["near_duplicate_prompts"] == 0
    # The oil painting stands in its source already.
    assert found["share_adding"] == {
        "painter": 0.4, "style": 0.0, "medium": 0.2, "filler": 0.2, "light": 0.6, "camera": 0.0,
        "colour": 0.0,
    }  # fmt: skip
    assert found["survival"] == {"pairs": 2, "mean": 0.75, "all_words": 0.5}
    assert found["top_target_phrases"][0] == ["soft light", 3]
    assert found["source_words"]["histogram"] == {"2": 2, "3": 2, "5": 1}
    assert found["source_words"]["mean"] == 3.0
    assert found["source_words"]["median"] == 3


def test_the_median_of_two_lies_between_them() -> None:
    pairs = [Pair(source=" ".join("a" * n), target="soft light") for n in (6, 9)]
    assert describe(pairs)["source_words"]["median"] == 7.5


def test_survival_is_of_content_words() -> None:
    assert content_words("The cat and a dog, 4k") == {"cat", "dog"}
    assert survival(Pair(source="the", target="x")) == 1.0
    assert survival(Pair(source="cat dog", target="a CAT")) == 0.5


def test_near_duplicates_are_counted() -> None:
    prompts = ["an old mill by the river at dawn in spring", "an old mill by the river at dawn"]
    found = describe([Pair(source="mill", target=prompt) for prompt in prompts])
    assert found["near_duplicate_prompts"] == 1
