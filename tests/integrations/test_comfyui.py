"""The node, loaded as ComfyUI loads a folder of `custom_nodes`; the host itself is a slow test."""

import importlib.util
import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from promptlift.errors import ConfigError, InputError
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
    nodes = {NODE, "PromptliftEmbedding"}
    assert set(module.NODE_CLASS_MAPPINGS) == set(module.NODE_DISPLAY_NAME_MAPPINGS) == nodes
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


class Clip:
    """ComfyUI's CLIP as far as the node asks it, with the text encoders of a pipeline."""

    def __init__(self, pipeline: Any) -> None:
        self._pipeline = pipeline

    def tokenize(self, text: str) -> str:
        return text

    def encode_from_tokens(self, tokens: str, return_pooled: bool) -> tuple[Any, Any]:
        wanted, _, pooled, _ = self._pipeline.encode_prompt(tokens, device="cpu")
        return wanted, pooled


def test_an_embedding_becomes_conditioning(module: Any, tmp_path: Path) -> None:
    from promptlift.illustrating.illustrator import Illustrator
    from promptlift.steering.vectors import embedding_of

    illustrator = Illustrator.load("pocket", num_inference_steps=1)
    clip = Clip(illustrator.diffusers.pipelines.base)
    path = tmp_path / "star.safetensors"
    embedding_of(illustrator, "red star").save(path)
    node = module.NODE_CLASS_MAPPINGS["PromptliftEmbedding"]
    [[rows, more]], [[away, _]], prompt = node().load(clip, f" {path} ")
    wanted, pooled = clip.encode_from_tokens("red star", return_pooled=True)
    assert prompt == "red star"
    assert rows.equal(wanted) and more["pooled_output"].equal(pooled)
    assert away.equal(clip.encode_from_tokens("", return_pooled=True)[0])
    assert node.IS_CHANGED(clip, str(path)) != node.IS_CHANGED(clip, "elsewhere") == ""


def test_an_embedding_of_other_encoders_is_refused(module: Any, tmp_path: Path) -> None:
    from promptlift.illustrating.illustrator import Illustrator
    from promptlift.steering.vectors import embedding_of
    from tests.illustrating.models import save_sdxl

    path = tmp_path / "star.safetensors"
    embedding_of(Illustrator.load("pocket", num_inference_steps=1), "red star").save(path)
    other = Illustrator.load(save_sdxl(tmp_path / "sdxl"), num_inference_steps=1)
    node = module.NODE_CLASS_MAPPINGS["PromptliftEmbedding"]
    with pytest.raises(InputError, match="other text encoders"):
        node().load(Clip(other.diffusers.pipelines.base), str(path))
