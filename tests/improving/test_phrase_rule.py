"""The rule over phrases: never is never, a strength is a factor, what is preferred comes."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlift.improving.engine import FloatArray
from promptlift.improving.improver import Improver
from promptlift.improving.phrase_rule import PhraseRule, PhraseTree, beginnings
from promptlift.records import Improvement

SIZE = 12


def encode(texts: Sequence[str]) -> list[list[int]]:
    """Letters as tokens, a to l."""
    return [[ord(char) - ord("a") for char in text.lower()] for text in texts]


def rule_for(*trees: PhraseTree) -> PhraseRule:
    return PhraseRule([list(trees)], SIZE)


def scores_of(rule: PhraseRule) -> FloatArray:
    scores: FloatArray = np.zeros((1, SIZE), dtype=np.float32)
    rule.adjust(scores, np.arange(SIZE)[None], np.array([0]))
    return scores.reshape(SIZE)


def test_a_strength_is_a_factor_on_begin_inside_and_end() -> None:
    tree = PhraseTree(encode)
    tree.lower(["abc"], 0.75)
    rule = rule_for(tree)
    for letter in "abc":
        scores = scores_of(rule)
        assert scores[ord(letter) - ord("a")] == pytest.approx(math.log(0.25))
        rule.advance(0, ord(letter) - ord("a"))
    assert scores_of(rule)[1] == 0


def test_ordinary_beginnings_are_not_lowered() -> None:
    tree = PhraseTree(encode, beginnings(encode, ["abd"]))
    tree.lower(["abc"], 1.0)
    rule = rule_for(tree)
    assert scores_of(rule)[0] == 0
    rule.advance(0, 0)
    assert scores_of(rule)[1] == 0
    rule.advance(0, 1)
    assert scores_of(rule)[2] == -np.inf


def test_what_the_prompt_names_is_free_and_its_neighbours_are_not() -> None:
    unwanted, named = PhraseTree(encode), PhraseTree(encode)
    unwanted.lower(["abc", "abd", "c"], 1.0)
    named.lower(["abc"], 1.0)
    rule = PhraseRule([[unwanted]], SIZE, named=[named])
    for letter, others in (("a", "c"), ("b", "c"), ("c", "d")):
        scores = scores_of(rule)
        assert scores[ord(letter) - ord("a")] == 0
        assert all(scores[ord(other) - ord("a")] == -np.inf for other in others)
        rule.advance(0, ord(letter) - ord("a"))


@given(
    phrases=st.lists(st.text("abcd", min_size=1, max_size=4), min_size=1, max_size=5),
    draws=st.lists(st.integers(0, 3), max_size=40),
)
def test_what_is_never_to_come_never_comes(phrases: list[str], draws: list[int]) -> None:
    tree = PhraseTree(encode)
    tree.lower(phrases, 1.0)
    rule = rule_for(tree)
    written = ""
    for draw in draws:
        allowed = np.flatnonzero(np.isfinite(scores_of(rule)))
        token = int(allowed[draw % len(allowed)])
        rule.advance(0, token)
        written += chr(token + ord("a"))
    assert not any(phrase in written for phrase in phrases)


def test_avoided_phrases_never_come_in_thousands_of_samples(improver: Improver) -> None:
    free = improver.improve(["a cat"] * 8, n=25, seed=1, max_new_tokens=12, guards=False)
    letters = Counter(
        c for [*variants] in free for v in variants for c in v.prompt[5:] if c.isalpha()
    )
    common = letters.most_common(1)[0][0]
    drawn = improver.improve(
        ["a cat"] * 8, n=250, seed=1, max_new_tokens=12, guards=False, avoid=[common]
    )
    texts = [variant.prompt[5:] for variants in drawn for variant in variants]
    assert len(texts) == 2000
    for text in texts:
        assert common not in "".join(c if c.isalnum() else " " for c in text.lower()).split()


def test_a_preferred_phrase_comes_more_often_and_once(bundled: Improver) -> None:
    [plain] = bundled.improve(["a cat"], n=100, seed=2)
    [wished] = bundled.improve(["a cat"], n=100, seed=2, prefer=["volumetric fog"])

    def count(variants: list[Improvement]) -> int:
        return sum("volumetric fog" in variant.additions for variant in variants)

    assert count(wished) > 2 * count(plain) + 20
    assert max(variant.prompt.count("volumetric fog") for variant in wished) == 1


def test_a_style_comes_first_in_every_result(bundled: Improver) -> None:
    [variants] = bundled.improve(["a cat"], n=20, seed=2, style="oil on canvas")
    assert all(variant.additions[0] == "oil on canvas" for variant in variants)
