"""Improvements as text to copy."""

import json
from typing import Any

import pytest

from promptlift.errors import ConfigError
from promptlift.improving.copying import NODE, comfyui_workflow, copy_text, node_options
from promptlift.improving.improver import Improver
from promptlift.improving.receipts import parse_a1111_parameters
from promptlift.improving.tools import ToolOptions, improve_in_tool
from promptlift.records import Improvement

HERS = "a cat, (in armor:1.2)"


def improved(bundled: Improver, **options: Any) -> Improvement:
    result: Improvement = bundled.improve(HERS, seed=3, **options)[-1]
    return result


def test_plain_and_a1111(bundled: Improver) -> None:
    result = improved(bundled, negative="blurry, text")
    assert copy_text(result) == result.prompt
    prompt, negative, settings = parse_a1111_parameters(copy_text(result, "a1111"))
    assert (prompt, negative) == (result.prompt, "blurry, text")
    assert (settings["Seed"], settings["promptlift source"]) == ("3", HERS)
    with pytest.raises(ConfigError, match="form is 'word' and must be one of plain, a1111"):
        copy_text(result, "word")


def widgets(result: Improvement) -> dict[str, list[list[Any]]]:
    found: dict[str, list[list[Any]]] = {}
    for node in json.loads(copy_text(result, "comfyui"))["nodes"]:
        found.setdefault(node["type"], []).append(node["widgets_values"])
    return found


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"n": 4, "painters": "free", "styles": 0.5, "length": "long", "budget": 60},
        {"mode": "rewrite", "styles": "never"},
    ],
)
def test_a_workflow_makes_the_same_again(bundled: Improver, options: dict[str, Any]) -> None:
    result = improved(bundled, negative="blurry", **options)
    [[prompt, seed, then, *values]] = widgets(result)[NODE]
    given = dict(zip(vars(ToolOptions()), values, strict=True))
    assert then == "fixed"
    [again] = improve_in_tool([prompt], [seed], ToolOptions(**given))
    assert again is not None and again.prompt == result.prompt
    assert ["blurry"] in widgets(result)["CLIPTextEncode"]


@pytest.mark.parametrize(
    "options",
    [{"temperature": 0.7}, {"avoid": ("4k",)}, {"n": 40}, {"budget": None}, {"preset": "paper"}],
)
def test_what_the_node_cannot_make_stands_as_text(
    bundled: Improver, options: dict[str, Any]
) -> None:
    result = improved(bundled, **options)
    assert node_options(result) is None
    assert widgets(result) == {"CLIPTextEncode": [[result.prompt]]}


@pytest.mark.parametrize(("seed", "offered"), [(2**53 - 1, True), (2**53, False)])
def test_seeds_that_the_page_would_round_stand_as_text(
    bundled: Improver, seed: int, offered: bool
) -> None:
    [result] = bundled.improve("a cat", seed=seed)
    assert (node_options(result) is not None) == offered


def test_another_models_improvement_stands_as_text(improver: Improver) -> None:
    [result] = improver.improve("a cat", seed=1)
    assert [node["type"] for node in comfyui_workflow(result)["nodes"]] == ["CLIPTextEncode"]
