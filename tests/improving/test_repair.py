"""Rewritings that lost something are repaired, drawn again or replaced, and say so."""

import pytest

from promptlift.improving.config import ControlConfig
from promptlift.improving.improver import Improver
from promptlift.improving.repair import repair, rewriting
from promptlift.prompts.reading import read

CONTROL = ControlConfig()
THINGS = ("owls", "castles", "robots", "apples")


def test_a_sound_rewriting_stays() -> None:
    reading = read("a red cat")
    text, chosen = rewriting("a fluffy red cat, soft light", True, reading, CONTROL)
    assert text == "a fluffy red cat, soft light"
    assert not chosen.dropped
    assert reading.intent.lost(text) == ()


def test_without_guards_only_what_is_unwanted_goes() -> None:
    reading = read("a red cat")
    control = ControlConfig(guards=False, styles="never", max_prompt_tokens=4)
    as_written = "a blue dog. 4k, 4k"
    assert rewriting(as_written, False, reading, control)[0] == as_written
    text, chosen = rewriting("a red cat. flat style, by greg rutkowski, 4k", True, reading, control)
    assert text == "a red cat, 4k"
    assert [(item.phrase, item.reason) for item in chosen.dropped] == [
        ("flat style", "style"),
        ("by greg rutkowski", "painter"),
    ]


@pytest.mark.parametrize(
    ("text", "repaired"),
    [
        ("a red cat, soft light", ("a red cat in snow, soft light", "put back: snow, in snow")),
        ("a dog, soft light", None),
        ("a red cat", None),
    ],
)
def test_what_is_lost_is_put_back_where_little_is(
    text: str, repaired: tuple[str, str] | None
) -> None:
    reading = read("a red cat in snow")
    assert repair(text, reading.intent.lost(text), reading, CONTROL) == repaired


def test_a_rewriting_is_repaired_drawn_again_or_replaced_and_says_so(bundled: Improver) -> None:
    prompts = [f"two gray {thing} beside a {other}" for thing in THINGS for other in THINGS]
    results = [result for [result] in bundled.improve(prompts, mode="rewrite", seed=0)]
    assert all(result.checks["lost"] == [] for result in results)
    ways = {result.notes[-1].split(":")[0] if result.notes else "kept" for result in results}
    assert "extended instead of rewritten" in ways
    for result in results:
        replaced = any(note.startswith("extended instead") for note in result.notes)
        assert result.mode == "rewrite"
        assert not replaced or result.prompt.startswith(result.source)
    free = bundled.improve(prompts, mode="rewrite", seed=0, keep_intent=False)
    assert any(result.checks["lost"] for [result] in free)


def test_syntax_is_never_rewritten(bundled: Improver) -> None:
    [result] = bundled.improve("<lora:a:1> (old) castle", mode="rewrite", seed=0)
    assert result.prompt.startswith("<lora:a:1> (old) castle, ")
    assert result.notes == ("extended instead of rewritten: it has prompt syntax",)
