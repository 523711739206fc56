"""Additions taken out by hand."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlift import Improver
from promptlift.errors import InputError
from promptlift.improving.editing import edited
from promptlift.improving.receipts import parse_receipt, receipt_text, replay
from promptlift.records import Improvement
from tests.conftest import POCKET, with_forms

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
    after = edited(result, removed)
    kept = [phrase for place, phrase in enumerate(result.additions) if place not in removed]
    assert list(after.additions) == kept
    assert all(phrase in after.prompt for phrase in kept)
    assert after.clip_tokens <= result.clip_tokens
    if removed and not kept:
        assert after.prompt == result.source
    if not removed:
        assert after == result


@given(data=st.data())
def test_editing_twice_is_editing_once(made: list[Improvement], data: st.DataObject) -> None:
    result = data.draw(st.sampled_from(made))
    first = data.draw(st.sets(st.integers(0, len(result.additions) - 1)))
    once = edited(result, first)
    second = (
        data.draw(st.sets(st.sampled_from(range(len(once.additions)))))
        if len(once.additions)
        else set()
    )
    left = [place for place in range(len(result.additions)) if place not in first]
    assert edited(once, second) == edited(result, first | {left[place] for place in second})


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
    assert edited(rewritten, {0}).prompt == "a cat, sharp focus"
    assert edited(rewritten, {0, 1}).prompt == "a cat"


def test_there_must_be_such_an_addition(made: list[Improvement]) -> None:
    with pytest.raises(InputError, match="there is no addition 99"):
        edited(made[0], {99})


def test_an_edited_receipt_is_made_again(bundled: Improver, made: list[Improvement]) -> None:
    after = edited(made[0], {0})
    read = parse_receipt(receipt_text(after), "here")
    assert replay(read, bundled).same


@pytest.mark.parametrize("options", [{}, {"picture_model": "pony"}, {"mode": "rewrite"},
                                     {"picture_model": "ideogram4"}])  # fmt: skip
def test_what_is_pinned_stands_in_the_prompt_and_is_made_again(
    bundled: Improver, options: dict[str, Any]
) -> None:
    [result] = bundled.improve("a fox in the snow", seed=3, **options)
    own = result.additions[0]
    after = edited(result, {0}, ["glass lantern", own.upper(), "glass lantern"])
    assert after.prompt.count("glass lantern") == 1 and after.checks["removed"] == [0]
    assert after.checks["pinned"] == ["glass lantern"] and "glass lantern" in after.additions
    assert after.prompt.count(own) == result.prompt.count(own) - 1
    read = parse_receipt(receipt_text(after), "here")
    assert read == after and replay(read, bundled).same
    with pytest.raises(InputError, match="pinned to this result"):
        edited(after, [], ["another"])


def test_a_sentence_is_pinned_to_a_paragraph(tmp_path: Path) -> None:
    writer = Improver.load(with_forms(POCKET, tmp_path / "model"), threads=1)
    [result] = writer.improve("a fox", seed=3, form="paragraph")
    after = edited(result, pinned=["A lantern glows."])
    assert after.prompt == f"{result.prompt} A lantern glows."
