"""Constraints with byte-level pieces, of which the blank before a word is a part."""

import math

import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from promptlift.improving.config import ControlConfig
from promptlift.improving.constraints import Constraints

TEXTS = ["a red fox, soft light, thick fog", "muted reds, drapes by the sea, lit by the moon"]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return trained_on(TEXTS)


def trained_on(texts: list[str]) -> Tokenizer:
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
    backend.train_from_iterator(texts * 9, trainer)
    return backend


def likeliest_change(
    tokenizer: Tokenizer, control: ControlConfig, text: str, *, first: str = "e"
) -> dict[str, float]:
    """What the rule adds to each piece after a text; `first` is the likeliest piece."""
    size = tokenizer.get_vocab_size()
    rule = Constraints(tokenizer, size, control).rule([(frozenset(), ())])
    assert rule is not None
    for token in tokenizer.encode(text).ids:
        rule.advance(0, token)
    scores = np.zeros((1, size), dtype=np.float32)
    ids = np.arange(size)[None, :]
    scores[0, tokenizer.token_to_id(first)] = 1
    before = scores.copy()
    rule.adjust(scores, ids, np.array([0]))
    change = (scores - before)[0]
    changed = np.flatnonzero(change).tolist()
    return {str(tokenizer.id_to_token(i)): float(change[i]) for i in changed}


def test_a_word_to_be_avoided_is_banned_as_a_word_alone(tokenizer: Tokenizer) -> None:
    control = ControlConfig(avoid=("red",), artists="free", safe=False)
    assert likeliest_change(tokenizer, control, "a") == {"Ġred": -math.inf}
    # "mute" and "d" are none of its pieces, and where a text begins it has no blank.
    assert likeliest_change(tokenizer, control, "a mute") == {"Ġred": -math.inf}
    assert "Ġred" not in likeliest_change(tokenizer, control, "")


def test_by_is_banned_after_words_that_introduce_a_painter_alone(tokenizer: Tokenizer) -> None:
    control = ControlConfig(safe=False)
    assert likeliest_change(tokenizer, control, "drapes").get("Ġby") == -math.inf
    assert "Ġby" not in likeliest_change(tokenizer, control, "drapes lit")


def test_wanted_phrases_begin_at_the_start_and_after_commas(tokenizer: Tokenizer) -> None:
    control = ControlConfig(include=("soft light", "thick fog"), artists="free", safe=False)
    starts = [tokenizer.encode(text).tokens[0] for text in control.include]
    assert {*likeliest_change(tokenizer, control, "")} == {*starts}
    after = [tokenizer.encode(f" {text}").tokens[0] for text in control.include]
    assert {*likeliest_change(tokenizer, control, "a red fox,")} == {*after}
    assert not likeliest_change(tokenizer, control, "a red")


def test_common_words_that_unwanted_names_begin_with_can_be_said() -> None:
    # The lexicon has "and greg rutkowski", "street art", "a digital rendering" and "digital".
    tokenizer = trained_on(
        ["a fox and a street, digital, Greg and digital Street. A street. A fox"]
    )
    found = likeliest_change(tokenizer, ControlConfig(safe=False, styles="never"), "a")
    assert found.get("Ġdigital") == -math.inf
    assert found.keys().isdisjoint(("Ġand", "Ġstreet", "ĠA"))
    assert {"Ġand", "Ġstreet", "ĠA"} <= tokenizer.get_vocab().keys()
    free = likeliest_change(tokenizer, ControlConfig(safe=False, styles="free"), "a")
    assert "Ġdigital" not in free
