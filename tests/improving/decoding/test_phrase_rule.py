"""The rule over phrases: never is never, a strength is a factor, what is preferred comes."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlift.improving.config import ControlConfig
from promptlift.improving.decoding.phrase_rule import PhraseRule, PhraseTree, beginnings
from promptlift.improving.engines.engine import FloatArray
from promptlift.improving.improver import Improver
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


# "k" and "l" go on with a word: "ak" is one of two pieces.
WITHIN = frozenset(encode(["kl"])[0])


@pytest.mark.parametrize(("phrase", "banned"), [("ab", "a"), ("abk", "a"), ("akb", ""), ("ak", "")])
def test_only_whole_words_at_a_beginning_are_banned(phrase: str, banned: str) -> None:
    tree = PhraseTree(encode, continues=WITHIN)
    tree.lower([phrase], 1.0)
    rule = rule_for(tree)
    found = ""
    for letter in phrase:
        [token] = encode([letter])[0]
        found += letter if scores_of(rule)[token] == -np.inf else ""
        rule.advance(0, token)
    assert found == banned


def encode_words(texts: Sequence[str]) -> list[list[int]]:
    return encode([text.replace(" ", "") for text in texts])


def test_a_first_word_is_banned_unless_another_phrase_begins_with_it() -> None:
    ordinary = beginnings(encode_words, ["a", "b"])
    tree = PhraseTree(encode_words, ordinary, continues=WITHIN)
    tree.lower(["a c", "b", "b e", "c d", "dk e", "el"], 1.0)
    banned = np.flatnonzero(scores_of(rule_for(tree)) == -np.inf)
    assert banned.tolist() == encode(["bc"])[0]


@pytest.mark.parametrize(("phrase", "banned"), [("ab", True), ("ak", False), ("a", True)])
def test_an_end_is_banned_where_it_is_a_word(phrase: str, banned: bool) -> None:
    tree = PhraseTree(encode, continues=WITHIN, ends_only=True)
    tree.lower([phrase], 1.0)
    rule = rule_for(tree)
    *before, last = encode([phrase])[0]
    for token in before:
        rule.advance(0, token)
    assert (scores_of(rule)[last] == -np.inf) == banned


@pytest.mark.parametrize(("likeliest", "grows"), [("a", False), ("c", True)])
def test_a_word_does_not_grow_where_the_next_one_is_banned(likeliest: str, grows: bool) -> None:
    tree = PhraseTree(encode, continues=WITHIN)
    tree.lower(["a"], 1.0)
    rule = PhraseRule([[tree]], SIZE, continues=np.isin(np.arange(SIZE), list(WITHIN)))
    scores: FloatArray = np.zeros((1, SIZE), dtype=np.float32)
    scores[0, encode([likeliest])[0]] = 1.0
    touched = rule.adjust(scores, np.arange(SIZE)[None], np.array([0]))
    assert np.isfinite(scores[0, sorted(WITHIN)]).all() == grows
    assert touched[0, sorted(WITHIN)].all() != grows
    assert np.isfinite(scores[0, 1:10]).all()


@pytest.mark.parametrize("phrase", ["4K", "High detail", "as if painted", "car on a hill"])
def test_a_piece_of_a_painters_name_bans_no_other_word(bundled: Improver, phrase: str) -> None:
    """Each begins with a piece with which a painter or an unsafe word begins."""
    rule = bundled.here.constraints(ControlConfig(styles="free")).rule([(frozenset(), ())])
    assert rule is not None
    [tokens] = bundled.here.codec.encode([phrase])
    ids = np.arange(bundled.here.engine.vocab_size)[None]
    for token in tokens:
        scores: FloatArray = np.zeros(ids.shape, dtype=np.float32)
        rule.adjust(scores, ids, np.array([0]))
        assert scores[0, token] == 0
        rule.advance(0, token)


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


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_preferred_phrase_comes_more_often_and_once(bundled: Improver) -> None:
    [plain] = bundled.improve(["a cat"], n=100, seed=2)
    [wished] = bundled.improve(["a cat"], n=100, seed=2, include=["volumetric fog"])

    def count(variants: list[Improvement]) -> int:
        return sum("volumetric fog" in variant.additions for variant in variants)

    assert count(wished) > 2 * count(plain) + 20
    assert max(variant.prompt.count("volumetric fog") for variant in wished) == 1


def test_a_style_comes_first_in_every_result(bundled: Improver) -> None:
    [variants] = bundled.improve(["a cat"], n=20, seed=2, style="oil on canvas")
    assert all(variant.additions[0] == "oil on canvas" for variant in variants)
