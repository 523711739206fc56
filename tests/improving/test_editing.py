"""Additions taken out by hand."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlift import Improver
from promptlift.errors import InputError
from promptlift.improving.editing import without
from promptlift.improving.receipts import parse_receipt, receipt_text, replay
from promptlift.records import Improvement

PROMPTS = ["a lighthouse", "a cat --ar 3:2", "old (castle:1.2) <lora:a:1> BREAK dusk", "a fox, "]


@pytest.fixture(scope="module")
def bundled() -> Improver:
    return Improver.load(threads=1)


@pytest.fixture(scope="module")
def made(bundled: Improver) -> list[Improvement]:
    return [result for prompt in PROMPTS for result in bundled.improve(prompt, n=2, seed=3)]


@given(data=st.data())
def test_what_is_left_is_the_prompt_with_the_other_additions(
    made: list[Improvement], data: st.DataObject
) -> None:
    result = data.draw(st.sampled_from(made))
    removed = data.draw(st.sets(st.integers(0, len(result.additions) - 1)))
    edited = without(result, removed)
    kept = [phrase for place, phrase in enumerate(result.additions) if place not in removed]
    assert list(edited.additions) == kept
    assert all(phrase in edited.prompt for phrase in kept)
    assert edited.clip_tokens <= result.clip_tokens
    if removed and not kept:
        assert edited.prompt == result.source
    if not removed:
        assert edited == result


@given(data=st.data())
def test_editing_twice_is_editing_once(made: list[Improvement], data: st.DataObject) -> None:
    result = data.draw(st.sampled_from(made))
    first = data.draw(st.sets(st.integers(0, len(result.additions) - 1)))
    once = without(result, first)
    second = (
        data.draw(st.sets(st.sampled_from(range(len(once.additions)))))
        if len(once.additions)
        else set()
    )
    left = [place for place in range(len(result.additions)) if place not in first]
    assert without(once, second) == without(result, first | {left[place] for place in second})


@pytest.mark.parametrize("removed", [5, "abc", [-1], ["x"], [None], {"a": 1}])
def test_odd_edits_in_a_receipt_are_refused(made: list[Improvement], removed: object) -> None:
    text = json.dumps({**json.loads(receipt_text(made[0])), "checks": {"removed": removed}})
    with pytest.raises(InputError, match="is no receipt"):
        parse_receipt(text, "here")
    with pytest.raises(InputError, match="is no receipt"):
        parse_receipt(text.replace(json.dumps({"removed": removed}), '"abc"'), "here")


def test_clauses_of_a_rewriting_are_cut_out() -> None:
    rewritten = Improvement(
        source="cat", prompt="a cat, on a roof, sharp focus",
        additions=("on a roof", "sharp focus"), clip_tokens=8, seed=0, variant=0, mode="rewrite",
        model="m",
    )  # fmt: skip
    assert without(rewritten, {0}).prompt == "a cat, sharp focus"
    assert without(rewritten, {0, 1}).prompt == "a cat"


def test_there_must_be_such_an_addition(made: list[Improvement]) -> None:
    with pytest.raises(InputError, match="there is no addition 99"):
        without(made[0], {99})


def test_an_edited_receipt_is_made_again(bundled: Improver, made: list[Improvement]) -> None:
    edited = without(made[0], {0})
    read = parse_receipt(receipt_text(edited), "here")
    assert replay(read, bundled).same
