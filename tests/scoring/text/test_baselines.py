"""Baselines: what anyone can predict, by hand and against brute force."""

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlift.errors import InputError
from promptlift.records import Pair
from promptlift.scoring.text.baselines import (
    SUFFIX,
    baselines,
    nearest_predictions,
    reference,
    shuffle,
    shuffled_targets,
)
from promptlift.scoring.text.words import words_of

SOURCES = st.lists(
    st.lists(st.sampled_from(["cat", "dog", "red", "a", "in", "rain"]), min_size=1, max_size=5).map(
        " ".join
    ),
    min_size=1,
    max_size=8,
)


@given(st.integers(2, 40), st.integers(0, 9))
def test_shuffling_moves_every_one(count: int, seed: int) -> None:
    others = shuffle(count, seed)
    assert sorted(others) == list(range(count))
    assert all(place != other for place, other in enumerate(others))
    assert shuffle(count, seed) == others


def test_one_pair_cannot_be_shuffled() -> None:
    with pytest.raises(InputError, match="1 pairs cannot be shuffled"):
        shuffle(1)


def test_the_source_stays_where_a_target_is_behind_it(pairs: list[Pair]) -> None:
    found = baselines(pairs, None, targets=True)
    assert found["targets themselves"][0] == "a cat in armor, soft light, oil on canvas"
    assert found["targets themselves"][2] == "an old castle by night, painting"
    assert found["source itself"] == [pair.source for pair in pairs]
    assert found["fixed suffix"][1] == f"two dogs, {SUFFIX}"
    for pair, mixed in zip(pairs, found["shuffled targets"], strict=True):
        # The one pair to rewrite has none to change with.
        if pair.mode == "extend":
            assert mixed.startswith(f"{pair.source}, ")
            assert mixed != reference(pair)
    assert "shuffled targets" not in baselines(pairs, None, targets=False)


def test_shuffled_targets_are_the_same_targets(pairs: list[Pair]) -> None:
    mixed = shuffled_targets(pairs, seed=3)
    assert Counter(pair.target for pair in mixed) == Counter(pair.target for pair in pairs)
    assert [pair.source for pair in mixed] == [pair.source for pair in pairs]


def test_the_nearest_training_pair_lends_its_target() -> None:
    training = [
        Pair(source="a dog", target="wet", mode="extend"),
        Pair(source="a red cat", target="fire", mode="extend"),
        Pair(source="a cat", target="a rewritten cat"),
    ]
    asked = [
        Pair(source="red cat", target="-", mode="extend"),
        Pair(source="cat", target="-"),
        Pair(source="unheard of", target="-", mode="extend"),
        Pair(source="a dog", target="wet", mode="extend"),  # its own pair is passed over
    ]
    assert nearest_predictions(asked, training) == [
        "red cat, fire",
        "a rewritten cat",
        "unheard of",
        "a dog, fire",
    ]


@given(SOURCES, SOURCES)
def test_the_nearest_is_the_one_brute_force_finds(training: list[str], asked: list[str]) -> None:
    pairs = [Pair(source=text, target=str(n)) for n, text in enumerate(training)]
    sets = [set(words_of(text)) for text in training]
    counts = Counter(word for words in sets for word in words)
    weights = {word: math.log((len(training) + 1) / count) for word, count in counts.items()}
    found = nearest_predictions([Pair(source=text, target="-") for text in asked], pairs)
    for text, prediction in zip(asked, found, strict=True):
        own = set(words_of(text))
        cosines = [
            sum(weights[w] ** 2 for w in own & words)
            / math.sqrt(sum(weights[w] ** 2 for w in words))
            for words in sets
        ]
        if max(cosines) == 0:
            assert prediction == text
        else:
            assert cosines[int(prediction)] == pytest.approx(max(cosines))
