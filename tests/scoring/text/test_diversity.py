"""Distinct-n and self-BLEU, by hand and against NLTK."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.translate.bleu_score import SmoothingFunction, sentence_bleu

from promptlift.scoring.text.diversity import added_words, distinct, first_words, self_bleu

TEXTS = st.lists(st.lists(st.sampled_from("abcd"), min_size=1, max_size=9), min_size=2, max_size=7)


def nltk_self_bleu(texts: list[list[str]]) -> float:
    smooth = SmoothingFunction().method1
    scores = [
        sentence_bleu(texts[:place] + texts[place + 1 :], text, smoothing_function=smooth)
        for place, text in enumerate(texts)
    ]
    return float(sum(scores) / len(scores))


@settings(max_examples=60)
@given(TEXTS)
def test_self_bleu_is_nltks(texts: list[list[str]]) -> None:
    assert self_bleu(texts) == pytest.approx(nltk_self_bleu(texts), abs=1e-9)


def test_monotony_and_variety() -> None:
    assert self_bleu([["soft", "light", "on", "canvas"]] * 5) == pytest.approx(1.0)
    assert self_bleu([["soft", "light"], ["oil", "canvas"]]) == 0.0
    assert self_bleu([["soft"], []]) == 0.0  # there is nothing to compare with


def test_distinct_of_equally_many_words() -> None:
    texts = [["soft", "light"], ["soft", "soft", "light"]]
    assert first_words(texts, 3) == [["soft", "light"], ["soft"]]
    assert distinct(first_words(texts, 3), 1) == 2 / 3
    assert first_words(texts, 99) == texts


def test_added_words_are_those_the_source_lacks() -> None:
    assert added_words("a cat", "A cat, soft light on a cat") == ["soft", "light", "on"]


@given(TEXTS, st.integers(1, 3))
def test_distinct_lies_between_0_and_1(texts: list[list[str]], order: int) -> None:
    assert 0 <= distinct(texts, order) <= 1
