"""What is left alone and why, variants that differ, and the same result everywhere."""

import random
from pathlib import Path
from typing import Any

import pytest

from promptlift.improving.config import WISHED_TOKENS, resolve_options
from promptlift.improving.decoding.loop import GivenUp
from promptlift.improving.improver import Improver
from promptlift.improving.keywords import Settings
from promptlift.improving.manifest import ModelCard
from promptlift.improving.session import Ask, Session
from tests.conftest import HEADS, POCKET

WORDS = ("red", "old", "quiet", "glass", "cat", "tower", "river", "owl", "boat", "robot")


def prompts(count: int) -> list[str]:
    """Prompts of 1 to 9 words, some with syntax."""
    chosen = random.Random(0)
    texts = [" ".join(chosen.choices(WORDS, k=chosen.randint(1, 9))) for _ in range(count)]
    return [text if place % 5 else f"({text}:1.2) BREAK dusk" for place, text in enumerate(texts)]


def same_everywhere(improver: Improver, other: Improver, texts: list[str], **options: Any) -> None:
    results = improver.improve(texts, seed=3, **options)
    order = list(range(len(texts)))
    random.Random(1).shuffle(order)
    for batch_size in (1, 7, 64):
        shuffled = [texts[place] for place in order]
        again = improver.improve(shuffled, seed=3, batch_size=batch_size, **options)
        assert again == [results[place] for place in order]
    assert other.improve(texts, seed=3, **options) == results


@pytest.mark.slow
def test_500_prompts_give_the_same_in_any_order_batch_and_thread(exported: Path) -> None:
    one, two = (Improver.load(exported, threads=count) for count in (1, 2))
    same_everywhere(one, two, prompts(500), max_new_tokens=6)


@pytest.mark.slow
def test_500_prompts_of_a_real_model_are_the_same_everywhere() -> None:
    one, two = (Improver.load(POCKET, threads=count) for count in (1, 2))
    same_everywhere(one, two, prompts(500))


@pytest.mark.slow
def test_no_painter_comes_uninvited_in_thousands_of_hot_samples() -> None:
    improver = Improver.load()
    for temperature in (1.0, 3.0):
        drawn = improver.improve(
            prompts(100),
            n=10,
            seed=5,
            max_new_tokens=32,
            temperature=temperature,
            top_k=0,
            guards=False,
            keep_intent=False,
        )
        assert not any(v.checks["painters"] for variants in drawn for v in variants)


def test_detailed_prompts_are_left_alone_unless_forced(improver: Improver) -> None:
    prompt = "a cat, oil painting, soft light, highly detailed, 8k, wide angle, cinematic lighting"
    [result] = improver.improve(prompt, seed=0)
    assert (result.prompt, result.additions) == (prompt, ())
    assert result.notes[0].startswith("left alone: it is detailed already, with ")
    [forced] = improver.improve(prompt, seed=0, force=True)
    assert forced.notes == ()


def test_a_prompt_over_the_budget_is_left_whole_and_said_so(improver: Improver) -> None:
    prompt = "owl " * 80
    [result] = improver.improve(prompt, seed=0)
    assert result.prompt == prompt
    assert result.notes == ("left alone: it has 80 CLIP tokens by itself, of 75",)
    assert result.checks["over_budget"]
    [more] = improver.improve(prompt, seed=0, chunks=2)
    assert not more.notes
    assert not more.checks["over_budget"]


def test_variety_lets_no_variant_say_what_another_said(bundled: Improver) -> None:
    [alike] = bundled.improve(["a cat"], n=6, seed=0)
    [various] = bundled.improve(["a cat"], n=6, seed=0, diversity=1)
    said = [phrase for variant in various for phrase in variant.additions]
    assert len(said) == len(set(said))
    repeated = [phrase for variant in alike for phrase in variant.additions]
    assert len(repeated) > len(set(repeated))


def test_a_negative_prompt_is_given_back_as_it_is(improver: Improver) -> None:
    results = improver.improve(HEADS, seed=0, negative="blurry, (bad:1.3)")
    assert {variant.negative for [variant] in results} == {"blurry, (bad:1.3)"}


@pytest.mark.parametrize("diversity", [0.0, 1.0])
def test_what_is_given_up_ends_at_the_next_token(improver: Improver, diversity: float) -> None:
    decoding, control = resolve_options(improver.card, None, {"diversity": diversity})
    asked = iter([False, False, True])
    session = Session(
        improver.model,
        decoding=decoding,
        control=control,
        batch_size=4,
        given_up=lambda: next(asked),
    )
    with pytest.raises(GivenUp):
        list(session.improve([Ask(prompt="a cat", seed=1, n=2)]))


@pytest.mark.parametrize(
    ("mode", "options"), [("extend", {}), ("rewrite", {}), ("extend", {"diversity": 0.5})]
)
def test_asks_of_other_seeds_and_counts_share_a_batch_and_nothing_else(
    improver: Improver, mode: str, options: dict[str, Any]
) -> None:
    options = {"max_new_tokens": 8, **options}
    decoding, control = resolve_options(improver.card, None, options)
    asks = [
        Ask(prompt=prompt, seed=5 + place % 2, mode=mode, n=1 + place % 3, negative=f"not {place}")
        for place, prompt in enumerate(prompts(12) + HEADS)
    ]
    session = Session(improver.model, decoding=decoding, control=control, batch_size=16)
    alone = [
        improver.improve(
            ask.prompt, seed=ask.seed, n=ask.n, negative=ask.negative, mode=mode, **options
        )
        for ask in asks
    ]
    assert list(session.improve(asks)) == alone


@pytest.mark.parametrize(
    "options",
    [
        {"style": "oil painting"},
        {"reference": "a dog, oil painting, soft light"},
        {"include": ["oil painting"]},
    ],
)
def test_a_style_that_is_asked_for_is_no_uninvited_one(
    bundled: Improver, options: Settings
) -> None:
    results = bundled.improve("a castle on a hill", seed=0, n=8, **options)
    having = [one for one in results if "oil painting" in one.additions]
    assert len(having) > 4
    assert not any(one.checks["styles"] for one in results)


def test_styles_come_where_they_are_named_or_let_in_alone(bundled: Improver) -> None:
    results = [one for [one] in bundled.improve(["a cat", "a castle", "a fox"] * 5, seed=0)]
    assert not any(one.checks["styles"] for one in results)
    free = [one for [one] in bundled.improve(["a cat", "a castle", "a fox"], seed=0, styles="free")]
    assert any(one.checks["styles"] for one in free)
    paper = bundled.session(preset="paper").control
    assert (paper.styles, paper.artists) == ("free", "free")
    [painted] = bundled.improve("an oil painting of a cat", seed=0)
    assert painted.prompt.startswith("an oil painting of a cat") and not painted.checks["lost"]


@pytest.mark.parametrize(
    ("options", "bounds"),
    [
        ({}, (8, 64)),
        ({"style": "ink"}, (WISHED_TOKENS, 64)),
        ({"include": ["fog"], "max_new_tokens": 10}, (10, 10)),
        ({"reference": "a cat, ink", "length": "short"}, (3, 12)),
        ({"style": "ink", "min_new_tokens": 0}, (0, 64)),
    ],
)
def test_what_is_asked_for_comes_beside_the_models_own(
    options: dict[str, Any], bounds: tuple[int, int]
) -> None:
    card = ModelCard(
        name="m", modes={"extend": ""}, decoding={"min_new_tokens": 8, "max_new_tokens": 64}
    )
    decoding, _ = resolve_options(card, None, options)
    assert (decoding.min_new_tokens, decoding.max_new_tokens) == bounds


@pytest.mark.parametrize("form", ["tags", "paragraph"])
def test_a_style_with_brackets_is_added(form: str) -> None:
    [[result]] = Improver.load("writer").improve(["a cat"], seed=3, style="photo (35mm)", form=form)
    assert result.prompt.startswith("a cat, photo (35mm)")
    assert not any(note.startswith("not added") for note in result.notes)


def test_a_wish_that_a_result_lacks_is_noted(bundled: Improver) -> None:
    wishes = ("red ball", "cat")
    for [result] in bundled.improve(["a cat", "two cats"], seed=3, include=wishes):
        missing = [wish for wish in wishes if wish not in result.prompt.replace("cats", "")]
        found = [note for note in result.notes if note.startswith("not added")]
        assert found == [f"not added: {wish}" for wish in missing]
    prompt = "a cat, soft light, highly detailed, 8k, wide angle, cinematic lighting, oil painting"
    [left] = bundled.improve(prompt, seed=3, include=wishes, style="ink")
    assert left.prompt == prompt and [note.split(":")[0] for note in left.notes] == ["left alone"]
