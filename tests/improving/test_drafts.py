"""The best phrases of several drafts."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlift.errors import ConfigError
from promptlift.improving.codec import Codec
from promptlift.improving.config import resolve_options
from promptlift.improving.decoding.drafts import NOTHING, best_of, streams_of
from promptlift.improving.decoding.loop import Generated, random_stream
from promptlift.improving.engines.torch import load_torch
from promptlift.improving.improver import Improver
from promptlift.improving.manifest import ModelCard
from tests.conftest import HEADS, NEEDS_BUNDLED

Score = Callable[[Sequence[str]], list[float]]


@pytest.fixture(scope="module")
def codec(llama_folder: Any) -> Codec:
    return load_torch(str(llama_folder)).codec


def draft(codec: Codec, text: str, *, ended: bool = True) -> Generated:
    [tokens] = codec.encode_targets([text])
    assert codec.decode(tokens) == text
    return Generated(tokens[:-1], ended)


def by(scores: dict[str, float]) -> Score:
    """Gives each phrase the score that stands here."""
    return lambda phrases: [scores[phrase] for phrase in phrases]


def test_the_best_phrases_of_all_drafts_are_kept(codec: Codec) -> None:
    score = by({"soft light": 0.85, "sharp focus": -0.9, "misty morning": 0.9, "4k": -0.4,
                "blue sky": 0.95, "sea": 0.82})  # fmt: skip
    both = [draft(codec, "soft light, sharp focus"), draft(codec, "misty morning, 4k")]
    assert best_of(both, codec, score).text == "misty morning, soft light"
    asked = best_of(both, codec, score, included=["Sharp Focus"])
    assert asked.text == "sharp focus, misty morning, soft light"
    several = best_of(both, codec, score, included=["4k", "sharp focus"])
    assert several.text == "4k, sharp focus, misty morning, soft light"
    assert best_of(both, codec, score, included=["harp"]).text == "misty morning, soft light"
    # As many are added as the first draft has; the others wait for one that cannot be.
    more = best_of([*both, draft(codec, "blue sky, sea")], codec, score)
    assert (more.text, more.most) == ("blue sky, misty morning, soft light, sea", 2)
    three = [draft(codec, "soft light, misty morning, sea"), *both]
    assert best_of(three, codec, score).most == 2  # the usual limit
    assert best_of(three, codec, score, most=None).most == 3
    assert best_of(three, codec, score, included=["sea"]).most == 3
    # Alone the best one may be less good than others beside it, and of nothing good none is kept.
    fair = by({"soft light": 0.6, "misty morning": 0.55, "sharp focus": 0.45, "4k": 0.4})
    assert best_of([draft(codec, "misty morning, soft light")], codec, fair).text == "soft light"
    none = best_of([draft(codec, "4k, sharp focus")], codec, fair)
    assert (none.text, none.notes) == (None, (NOTHING,))
    # Chance orders, and makes nothing good. Who asks for more gets what is less good.
    poor, two = draft(codec, "4k, sharp focus"), draft(codec, "misty morning, soft light")
    assert best_of([poor], codec, fair, chance=lambda: 9.0).text is None
    assert best_of([two, poor], codec, fair, least=0.5).text == "soft light, misty morning"


def test_what_was_looked_up_competes(codec: Codec) -> None:
    score = by({"soft light": 1.0, "sharp focus": 0.8, "bushy tail": 1.1, "red hat": 0.4})
    both = [draft(codec, "soft light, sharp focus")] * 2
    looked_up = {"bushy tail": 0.0, "red hat": 0.5, "Soft light": -1.0}  # drawn too, so no worse
    found = best_of(both, codec, score, looked_up=looked_up)
    # What the model alone wrote has to be better than what others wrote.
    assert found.text == "bushy tail, soft light, red hat"
    assert best_of(both, codec, score).text == "soft light, sharp focus"


def test_light_is_said_once(codec: Codec) -> None:
    score = by({"soft light": 1.0, "warm glow": 0.9, "misty morning": 0.8})
    both = [draft(codec, "soft light, warm glow"), draft(codec, "misty morning")]
    assert best_of(both, codec, score).text == "soft light, misty morning"


def test_what_was_forced_comes_first_and_what_is_unfinished_not_at_all(codec: Codec) -> None:
    first = draft(codec, "4k, soft light")
    second = draft(codec, "4k, misty morning", ended=False)
    forced = len(codec.encode_targets(["4k"])[0]) - 1
    score = by({"soft light": 0.5})  # what was forced is not asked about
    assert best_of([first, second], codec, score, forced=forced).text == "4k, soft light"


def test_a_quotation_mark_in_the_comma_stays(codec: Codec) -> None:
    text = 'a sign "open", soft light'
    found = best_of([draft(codec, text)] * 2, codec, lambda phrases: [0.9] * len(phrases))
    assert found.text is not None and sorted(found.text.split(", ")) == sorted(text.split(", "))


@given(seed=st.integers(0, 2**64 - 1), count=st.integers(2, 8))
def test_drafts_have_random_numbers_of_their_own(seed: int, count: int) -> None:
    first, *others = streams_of(random_stream(seed, 0, "a cat"), count)
    assert first.random() == random_stream(seed, 0, "a cat").random()
    assert len({stream.random() for stream in others} | {first.random()}) == count


def test_a_model_without_a_reranker_is_told(exported: Any, llama_folder: Any) -> None:
    for folder in (exported, llama_folder):
        with pytest.raises(ConfigError, match="has no reranker"):
            Improver.load(folder).improve("a cat", best_of=2)


@NEEDS_BUNDLED
def test_as_many_are_added_as_the_first_draft_has() -> None:
    improver = Improver.load("writer", threads=1)
    options: dict[str, Any] = {"temperature": 0.8, "seed": 0, "max_new_tokens": 16}
    unchecked: dict[str, Any] = {"guards": False, "coherent": False, "keep_intent": False}
    for [one], [several] in zip(
        improver.improve(HEADS, **options, **unchecked, best_of=1),
        improver.improve(HEADS, **options, best_of=8),
        strict=True,
    ):
        assert 1 <= len(several.additions) <= max(1, len(one.additions))


def test_a_temperature_that_is_given_is_that_of_the_drafts_too() -> None:
    card = ModelCard(
        name="judging",
        modes={"extend": ""},
        decoding={"temperature": 0.4, "best_of": 4, "draft_temperature": 0.8},
    )
    for options, expected in (
        ({}, (0.4, 0.8)),
        ({"temperature": 1.5}, (1.5, 1.5)),
        ({"temperature": 1.5, "draft_temperature": 0.9}, (1.5, 0.9)),
    ):
        decoding, _ = resolve_options(card, None, dict(options))
        assert (decoding.temperature, decoding.draft_temperature) == expected
