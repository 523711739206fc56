"""The script of A1111, Forge and SD.Next, against the contract of their sources."""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from promptlift.improving.improver import Improver
from promptlift.improving.receipts import parse_a1111_parameters
from promptlift.improving.tools import ToolOptions
from tests.integrations.webui import Picture, Processing, loaded, process_images

DEFAULTS: list[Any] = [field.default for field in fields(ToolOptions)]


@pytest.fixture
def script() -> Iterator[Any]:
    with loaded() as found:
        yield found


def drawn(p: Processing, script: Any, *values: Any) -> list[Picture]:
    return process_images(p, script, [True, *(values or DEFAULTS)])


def test_each_picture_gets_a_prompt_by_its_own_seed(script: Any, bundled: Improver) -> None:
    pictures = drawn(Processing("a cat in armor", n_iter=2, batch_size=2), script)
    assert [picture.seed for picture in pictures] == [100, 101, 102, 103]
    for picture in pictures:
        [expected] = bundled.improve("a cat in armor", seed=picture.seed)
        assert picture.prompt == expected.prompt
    assert len({picture.prompt for picture in pictures}) > 1
    again = drawn(Processing("a cat in armor", seed=102), script)
    assert again[0].prompt == pictures[2].prompt


def test_parameters_hold_both_prompts_and_negative_ones_stay(script: Any) -> None:
    prompts = ["a cat, (in armor:1.2)", " ", 'a "red" lighthouse: storm', "old castle"]
    p = Processing(prompts, n_iter=2, batch_size=2)
    pictures = drawn(p, script)
    for source, picture in zip(prompts, pictures, strict=True):
        prompt, negative, settings = parse_a1111_parameters(picture.parameters)
        assert (negative, picture.negative_prompt) == ("blurry", "blurry")
        assert prompt == picture.prompt.strip()
        if not source.strip():
            assert not [key for key in settings if key.startswith("promptlift")]
            continue
        assert settings["promptlift source"] == source
        assert picture.prompt.startswith(source) and picture.prompt != source
        assert settings["promptlift result"] == f"extend seed {picture.seed} variant 0"
        assert settings["promptlift model"].startswith("pocket@")
    assert p.main_prompt == pictures[0].prompt


def test_it_is_off_until_it_is_switched_on(script: Any) -> None:
    p = Processing("a cat in armor")
    [picture] = process_images(p, script, [False, *DEFAULTS])
    assert picture.prompt == "a cat in armor" and "promptlift" not in picture.parameters
    assert process_images(p, script, []) == [picture]  # a call of the API without arguments


def test_the_second_pass_follows_unless_it_has_a_prompt_of_its_own(script: Any) -> None:
    [same] = drawn(Processing("a cat in armor", hr_prompt=""), script)
    assert same.second_prompt == same.prompt != "a cat in armor"
    [own] = drawn(Processing("a cat in armor", hr_prompt="fur"), script)
    assert own.second_prompt == "fur"


def test_options_come_in_their_order_and_as_a_slider_gives_them(
    script: Any, bundled: Improver
) -> None:
    [picture] = drawn(Processing("a cat"), script, "extend", 1, 0.5, "short", 40.0, 1.0)
    *_, expected = bundled.improve(
        "a cat", seed=100, n=2, styles=0.5, length="short", max_prompt_tokens=40
    )
    assert picture.prompt == expected.prompt


def test_a_call_may_end_before_form_and_picture_model(
    script: Any, writer_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Improver.load(writer_folder, threads=1)
    monkeypatch.setattr("promptlift.improving.tools.bundled_improver", lambda: writer)
    assert DEFAULTS[-2:] == ["any", "sdxl"]
    [picture] = drawn(Processing("a cat"), script, *DEFAULTS[:-2], "paragraph")
    [expected] = writer.improve("a cat", seed=100, form="paragraph")
    assert picture.prompt == expected.prompt
    [older] = drawn(Processing("a cat"), script, *DEFAULTS[:-2])  # a call without a form
    assert older.prompt == writer.improve("a cat", seed=100)[0].prompt


def test_the_page_gives_the_defaults_that_the_options_have() -> None:
    page = (Path(__file__).parents[2] / "docs" / "tools.md").read_text("utf-8")
    table = dict(re.findall(r"^\| (\w+) \| .+ \| (\S+) \|$", page, re.MULTILINE))
    assert list(table) == ["option", *(field.name for field in fields(ToolOptions))]
    for field, default in zip(fields(ToolOptions), DEFAULTS, strict=True):
        assert type(default)(table[field.name].strip("`")) == default, field.name
    examples = re.findall(r'"args": (\[.+?\])', page)
    assert len(examples) == 2
    for example in examples:
        enabled, *values = json.loads(example.replace("True", "true"))
        assert enabled is True and values == DEFAULTS[: len(values)]


def test_variations_of_a_picture_share_its_prompt(script: Any) -> None:
    first, second = drawn(Processing("a cat", batch_size=2, subseed_strength=0.3), script)
    assert first.prompt == second.prompt


def test_a_job_that_is_done_again_is_not_improved_twice(script: Any) -> None:
    """SD.Next keeps `all_prompts` of a job that is processed again."""
    p = Processing("a cat in armor")
    drawn(p, script)
    once = list(p.all_prompts)
    script.process(p, True, *DEFAULTS)
    assert p.all_prompts == once != ["a cat in armor"]


@pytest.mark.parametrize(
    ("prompt", "arguments"),
    [
        ("a dog", [False, *DEFAULTS]),
        (" ", [True, *DEFAULTS]),
        ("a dog", [True, "sing"]),
        ("a dog", []),
    ],
)
def test_a_job_that_is_used_again_has_nothing_of_the_one_before(
    script: Any, prompt: str, arguments: list[Any]
) -> None:
    """Loops draw several jobs with one `p`."""
    p = Processing("a cat in armor", extra_generation_params={"Mask blur": 4})
    drawn(p, script)
    p.prompt = prompt
    [picture] = process_images(p, script, arguments)
    assert picture.prompt == prompt
    assert p.extra_generation_params == {"Mask blur": 4}
    [again] = drawn(p, script) if prompt.strip() else [picture]
    assert ("promptlift source: a dog" in again.parameters) == bool(prompt.strip())


@pytest.mark.parametrize("second", [[], ["a cat"], ["fur", "a cat", "a cat"]])
def test_second_passes_of_another_number_stop_nothing(script: Any, second: list[str]) -> None:
    p = Processing("", all_prompts=["a cat", "a cat"], all_seeds=[1, 2], all_hr_prompts=second)
    script.process(p, True, *DEFAULTS)
    first, other = p.all_prompts
    assert "a cat" not in (first, other)
    assert p.all_hr_prompts == {0: [], 1: [first], 3: ["fur", other, "a cat"]}[len(second)]


def test_a_failure_half_way_leaves_the_job_as_it_was(
    script: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("promptlift.improving.tools.infotext", None)
    p = Processing("a cat in armor", hr_prompt="")
    [picture] = drawn(p, script)
    assert (picture.prompt, picture.second_prompt) == ("a cat in armor", "a cat in armor")
    assert p.main_prompt == "a cat in armor" and "promptlift" not in picture.parameters


@pytest.mark.parametrize(
    "values",
    [
        ("extend", 1, 0, "any", 0, 0),
        ("sing", 1, 0, "any", 75, 0),
        ("extend", 1, 0, "any", 75, 0, "prose"),
    ],
)
def test_what_goes_wrong_is_one_line_and_the_prompt_stays(
    script: Any, capsys: pytest.CaptureFixture[str], values: tuple[Any, ...]
) -> None:
    [picture] = drawn(Processing("a cat in armor"), script, *values)
    assert picture.prompt == "a cat in armor" and "promptlift" not in picture.parameters
    [line] = capsys.readouterr().out.splitlines()
    assert line.startswith("promptlift: the prompt stays as it is: ")


def test_without_promptlift_pictures_are_drawn_all_the_same(
    script: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "promptlift.improving.tools", None)
    [picture] = drawn(Processing("a cat in armor"), script)
    assert picture.prompt == "a cat in armor"
    [line] = capsys.readouterr().out.splitlines()
    assert "promptlift" in line


def test_the_controls_are_those_of_gradio(script: Any) -> None:
    gr: Any = pytest.importorskip("gradio")
    with gr.Blocks():
        enabled, *controls = script.ui(False)
    assert enabled.value is False
    assert [control.value for control in controls] == DEFAULTS
    [(component, read)] = script.infotext_fields
    assert component is enabled
    assert read({"promptlift source": "a cat"}) is False and read({}) is None
