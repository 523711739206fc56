"""The node, loaded as ComfyUI loads a folder of `custom_nodes`; the host itself is a slow test."""

import importlib.util
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from promptlift.errors import ConfigError
from promptlift.improving.improver import Improver
from promptlift.improving.tools import ToolOptions

NODE = "PromptliftImprove"  # workflows of users name it
FOLDER = Path(__file__).parents[2] / "integrations" / "comfyui"


@pytest.fixture(scope="module")
def module() -> Any:
    spec = importlib.util.spec_from_file_location("custom_nodes.promptlift", FOLDER / "__init__.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(module: Any, prompt: str, seed: int, **options: Any) -> tuple[str, str]:
    """Call the node as ComfyUI does, with a value for each input that it declares."""
    node = module.NODE_CLASS_MAPPINGS[NODE]
    inputs = node.INPUT_TYPES()["required"]
    values = {name: about["default"] for name, (_, about) in inputs.items() if "default" in about}
    values |= {"prompt": prompt, "seed": seed, **options}
    assert list(values) and set(values) == set(inputs)
    found: tuple[str, str] = getattr(node(), node.FUNCTION)(**values)
    assert len(found) == len(node.RETURN_TYPES) == len(node.RETURN_NAMES)
    return found


def test_it_gives_what_the_improver_gives(module: Any, bundled: Improver) -> None:
    prompt, receipt = run(module, "a cat in armor", 7)
    [expected] = bundled.improve("a cat in armor", seed=7)
    assert prompt == expected.prompt
    assert json.loads(receipt) | {"schema_version": 4} == json.loads(receipt)
    *_, third = bundled.improve("a cat in armor", seed=7, n=3, length="short", max_prompt_tokens=30)
    assert (
        run(module, "a cat in armor", 7, variant=2, length="short", max_prompt_tokens=30)[0]
        == third.prompt
    )


def test_every_input_has_a_tooltip_and_every_class_a_name(module: Any) -> None:
    assert set(module.NODE_CLASS_MAPPINGS) == set(module.NODE_DISPLAY_NAME_MAPPINGS) == {NODE}
    inputs = module.NODE_CLASS_MAPPINGS[NODE].INPUT_TYPES()["required"]
    assert [*inputs][2:] == [field.name for field in fields(ToolOptions)]
    assert all(about["tooltip"] for _, about in inputs.values())
    # The page would expand wildcards and cut comments out of the prompt, as from `//` on.
    assert "dynamicPrompts" not in inputs["prompt"][1]
    assert inputs["seed"][1]["control_after_generate"] is True
    assert not hasattr(module.NODE_CLASS_MAPPINGS[NODE], "IS_CHANGED")


def test_a_blank_prompt_stays_and_a_wrong_option_is_said(module: Any) -> None:
    assert run(module, " \n", 7) == (" \n", "")
    with pytest.raises(
        ConfigError, match="max_prompt_tokens is 0 and must be a whole number from 1 to 750"
    ):
        run(module, "a cat", 7, max_prompt_tokens=0)
    with pytest.raises(ConfigError, match="artists is"):
        run(module, "a cat", 7, artists=2.0)


def test_it_writes_the_form_that_was_asked_for(
    module: Any, improver: Improver, writer_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("promptlift.improving.tools.bundled_improver", lambda: improver)
    with pytest.raises(ConfigError, match="has not learned form 'paragraph'; it has: tags"):
        run(module, "a cat", 7, form="paragraph")
    writer = Improver.load(writer_folder, threads=1)
    monkeypatch.setattr("promptlift.improving.tools.bundled_improver", lambda: writer)
    prompt, receipt = run(module, "a cat", 7, form="paragraph")
    assert json.loads(receipt)["settings"]["form"] == "paragraph"
    assert prompt == writer.improve("a cat", seed=7, form="paragraph")[0].prompt
