"""Counts of words and phrases, by hand and as properties."""

import json
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from promptlift.scoring.text.words import (
    STOP_WORDS,
    content_words,
    ngrams,
    word_frequencies,
    words_of,
)

PAIRS = [
    ("a cat", "a cat, soft light, soft colours"),
    ("two dogs in the rain", "dogs in the rain, soft light, 4k"),
]
TEXTS = st.text(alphabet="ab ,'-4", max_size=30)


def test_counts_by_hand() -> None:
    found = word_frequencies(PAIRS, top=2)
    # Before: a cat | two dogs in the rain. After: a cat soft light soft colours | dogs … 4k.
    assert found["totals"]["all_words"] == {"before": 7, "after": 13, "ratio": 1.8571}
    assert found["totals"]["content_words"] == {"before": 4, "after": 10, "ratio": 2.5}
    assert found["words"]["after"] == [
        {"text": "soft", "count": 3, "prompts": 2},
        {"text": "light", "count": 2, "prompts": 2},
    ]
    assert found["top_words_ratio"] == 2.5  # soft 3 and light 2 over any two that came once
    assert found["clauses"]["after"][0] == {"text": "soft light", "count": 2, "prompts": 2}
    assert found["added"][0] == {"text": "soft", "count": 3, "prompts": 2}
    assert found["lost"] == [{"text": "two", "count": 1, "prompts": 1}]
    assert found["added_phrases"][0] == {"text": "soft light", "count": 2, "prompts": 2}


def test_numbers_and_negations_are_content_and_grammar_is_not() -> None:
    assert content_words("A street without people, 8k, in the rain") == [
        "street", "without", "people", "8k", "rain",
    ]  # fmt: skip
    assert words_of("Art-Deco façade, don’t") == ["art-deco", "façade", "don't"]
    assert not {"no", "not", "without", "two"} & STOP_WORDS


def test_runs_of_words_do_not_cross_commas_nor_end_in_grammar() -> None:
    assert ngrams("a cat in the rain, soft light", 2) == ["soft light"]
    assert ngrams("cat in rain, soft light", 3) == ["cat in rain"]


def test_nothing_before_has_no_ratio() -> None:
    found = word_frequencies([("the", "the cat")])
    assert found["totals"]["content_words"]["ratio"] is None
    assert word_frequencies([])["words"] == {"before": [], "after": []}


@given(st.lists(st.tuples(TEXTS, TEXTS), max_size=6))
def test_added_and_lost_account_for_all_that_changed(pairs: list[tuple[str, str]]) -> None:
    found = word_frequencies(pairs, top=1000)
    assert json.loads(json.dumps(found)) == found
    sums = {key: sum(item["count"] for item in found[key]) for key in ("added", "lost")}
    totals = found["totals"]["content_words"]
    assert totals["after"] - totals["before"] == sums["added"] - sums["lost"]
    words = Counter(word for _, text in pairs for word in content_words(text))
    assert {item["text"]: item["count"] for item in found["words"]["after"]} == dict(words)


@given(st.lists(TEXTS, max_size=6))
def test_a_prompt_left_alone_neither_adds_nor_loses(texts: list[str]) -> None:
    found = word_frequencies([(text, text) for text in texts])
    assert found["added"] == found["lost"] == found["added_phrases"] == []
