"""Near-duplicates, against a comparison of all with all."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlift.pairs.near import groups, shingles, similar_pairs

texts = st.lists(
    st.lists(st.sampled_from("abcd"), min_size=1, max_size=9).map(" ".join), max_size=12
)


@given(texts, st.sampled_from([0.2, 0.3, 0.5, 0.6, 0.75, 1.0]))
def test_finds_exactly_what_comparing_all_finds(every: list[str], threshold: float) -> None:
    expected = set()
    for other, one in itertools.combinations(range(len(every)), 2):
        first, second = shingles(every[one]), shingles(every[other])
        if len(first & second) / len(first | second) >= threshold:
            expected.add((one, other))
    found = [(one, other) for one, other, _ in similar_pairs(every, threshold)]
    assert set(found) == expected
    assert len(found) == len(expected)


@given(texts)
def test_a_label_is_the_first_of_its_group(every: list[str]) -> None:
    labels = groups(every)
    assert all(labels[label] == label <= index for index, label in enumerate(labels))
    assert all(labels[one] == labels[other] for one, other, _ in similar_pairs(every))


def test_case_and_punctuation_do_not_matter() -> None:
    [(one, other, similarity)] = similar_pairs(["A cat, in armor!", "a cat in armor"])
    assert (one, other, similarity) == (1, 0, 1.0)


def test_refuses_a_threshold_of_zero() -> None:
    with pytest.raises(ValueError, match="threshold is 0"):
        list(similar_pairs(["a"], 0))
