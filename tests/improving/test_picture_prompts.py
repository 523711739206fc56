"""The prompt of a picture, as each image tool writes it, and texts that hold none."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlift.improving.picture_prompts import TOOLS, PicturePrompt, picture_prompt


def read(**texts: Any) -> PicturePrompt:
    """What is read of texts; what is no text is written as JSON."""
    found = picture_prompt(
        {key: one if isinstance(one, str) else json.dumps(one) for key, one in texts.items()}
    )
    assert found
    return found


def said(found: PicturePrompt) -> tuple[str, str, str]:
    return found.tool, found.prompt, found.negative


def test_i_a1111() -> None:
    text = "a cat\nNegative prompt: blurry\nSteps: 20, Sampler: Euler a, Seed: 5"
    found = read(parameters=text)
    assert said(found) == ("A1111", "a cat", "blurry")
    assert found.settings == {"Steps": "20", "Sampler": "Euler a", "Seed": "5"}
    assert said(read(parameters="a cat")) == ("A1111", "a cat", "")
    assert said(read(parameters="[a|b] cat")) == ("A1111", "[a|b] cat", "")
    # A prompt may be JSON; then settings follow it.
    whole = '{"subject": "cat"}\nSteps: 20, Sampler: Euler a, Seed: 5'
    assert said(read(parameters=whole)) == ("A1111", '{"subject": "cat"}', "")


@pytest.mark.parametrize(
    ("own", "prompt", "negative"),
    [
        ({"prompt": "a cat", "negativeprompt": "a dog"}, "a cat", "a dog"),
        ({"prompt": "a cat", "seed": 5, "cfgscale": 7}, "a cat", ""),
        ({"prompt": 'a "<random:b>"\n<base> 猫', "n": 1}, 'a "<random:b>"\n<base> 猫', ""),
    ],
)  # fmt: skip
def test_i_swarmui(own: dict[str, Any], prompt: str, negative: str) -> None:
    found = read(parameters={"sui_image_params": own, "sui_extra_data": {"date": "2026-01-01"}})
    assert said(found) == ("SwarmUI", prompt, negative)
    rest = {key: str(one) for key, one in own.items() if "prompt" not in key}
    assert found.settings == rest and not found.notes


def test_i_swarmui_without_a_prompt_says_so() -> None:
    found = read(parameters={"sui_image_params": {"seed": 5}})
    assert (found.tool, found.prompt) == ("SwarmUI", "")
    assert found.notes == ("SwarmUI's text holds no prompt",)


FOOOCUS = {
    "prompt": "a cat", "negative_prompt": "blurry", "seed": "5", "steps": 30,
    "full_prompt": ["cinematic still a cat . emotional"], "full_negative_prompt": ["anime, blurry"],
    "styles": "['Fooocus V2']", "loras": [["x", 0.1, "ab"]], "version": "Fooocus v2.5.5",
}  # fmt: skip


@pytest.mark.parametrize(
    "texts",
    [
        {"parameters": FOOOCUS},
        {"parameters": FOOOCUS, "fooocus_scheme": "fooocus"},
        {"parameters": {**FOOOCUS, "version": "v9"}, "fooocus_scheme": "fooocus"},
        {"parameters": {**FOOOCUS, "version": "", "metadata_scheme": "fooocus"}},
    ],
)
def test_i_fooocus(texts: Mapping[str, Any]) -> None:
    found = read(**texts)
    assert said(found) == ("Fooocus", "a cat", "blurry")
    assert found.settings["seed"] == "5" and "full_prompt" not in found.settings


def test_i_fooocus_in_the_form_of_a1111() -> None:
    text = "a cat, still\nNegative prompt: anime\nSteps: 30, Sampler: x, Seed: 5"
    assert said(read(parameters=text, fooocus_scheme="a1111")) == (
        "Fooocus", "a cat, still", "anime",
    )  # fmt: skip


INVOKEAI = {
    "positive_prompt": "a cat", "negative_prompt": "dog", "seed": 5, "app_version": "5.4.2",
    "model": {"key": "x", "name": "dream"}, "loras": [], "positive_style_prompt": "oil",
}  # fmt: skip


def sd_metadata(prompt: Any) -> dict[str, Any]:
    image = {"prompt": prompt, "steps": 50, "seed": 7, "sampler": "k_lms", "variations": []}
    return {"app_id": "invoke-ai/InvokeAI", "app_version": "v2.2.0", "image": image}


@pytest.mark.parametrize(
    ("texts", "prompt", "negative", "seed"),
    [
        ({"invokeai_metadata": INVOKEAI}, "a cat", "dog", "5"),
        ({"sd-metadata": sd_metadata([{"prompt": "a fox", "weight": 1}])}, "a fox", "", "7"),
        ({"sd-metadata": sd_metadata("a fox [blurry, text] [b]")}, "a fox", "blurry, text, b", "7"),
        ({"sd-metadata": sd_metadata([{"prompt": "x"}, {"prompt": "y"}])}, "x y", "", "7"),
    ],
)
def test_i_invokeai(texts: Mapping[str, Any], prompt: str, negative: str, seed: str) -> None:
    found = read(**texts)
    assert said(found) == ("InvokeAI", prompt, negative)
    assert found.settings["seed"] == seed
    assert found.settings.get("model", "dream") == "dream"


COMMENT = {"prompt": "1girl, {hat}", "uc": "lowres", "steps": 28, "seed": 5, "scale": 6.0}
V4 = {
    "prompt": "two cats", "uc": "blurry", "seed": 5,
    "v4_prompt": {"caption": {"base_caption": "two cats", "char_captions": [
        {"char_caption": "black cat", "centers": [{"x": 0.5, "y": 0.5}]}, {"char_caption": ""}]}},
    "v4_negative_prompt": {"caption": {"base_caption": "blurry", "char_captions": []}},
}  # fmt: skip


@pytest.mark.parametrize(
    ("texts", "prompt", "negative"),
    [
        ({"Software": "NovelAI", "Description": "1", "Comment": COMMENT}, "1girl, {hat}", "lowres"),
        ({"Description": "1girl", "Comment": {"uc": "lowres", "steps": 28}}, "1girl", "lowres"),
        ({"Software": "NovelAI", "Description": "two cats", "Comment": V4}, "two cats", "blurry"),
        ({"parameters": {"Comment": json.dumps(COMMENT)}}, "1girl, {hat}", "lowres"),
    ],
)  # fmt: skip
def test_i_novelai(texts: Mapping[str, Any], prompt: str, negative: str) -> None:
    found = read(**texts)
    assert said(found) == ("NovelAI", prompt, negative)
    characters = [key for key in found.settings if key.startswith("character")]
    assert characters == (["character 1"] if "two" in prompt else [])


def node(kind: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": kind, "inputs": inputs}


def encode(text: Any, **more: Any) -> dict[str, Any]:
    return node("CLIPTextEncode", text=text, clip=["4", 1], **more)


SAMPLER = node(
    "KSampler", seed=5, steps=20, cfg=8.0, sampler_name="euler", scheduler="normal",
    model=["4", 0], positive=["6", 0], negative=["7", 0], latent_image=["5", 0],
)  # fmt: skip
LOADER = node("CheckpointLoaderSimple", ckpt_name="dream.safetensors")
PLAIN = {"3": SAMPLER, "4": LOADER, "6": encode("a cat"), "7": encode("blurry")}
CONTROL = node("ControlNetApplyAdvanced", positive=["6", 0], negative=["7", 0], strength=1.0)
GUIDED = {
    "4": LOADER,
    "6": encode("a cat"),
    "10": node("FluxGuidance", guidance=3.5, conditioning=["6", 0]),
    "11": node("BasicGuider", model=["4", 0], conditioning=["10", 0]),
    "12": node("RandomNoise", noise_seed=5),
    "13": node("SamplerCustomAdvanced", guider=["11", 0], noise=["12", 0]),
}
GRAPHS = {
    "plain": (PLAIN, "a cat", "blurry"),
    "no negative": ({**PLAIN, "7": encode("")}, "a cat", ""),
    "zeroed negative": (
        {**PLAIN, "7": node("ConditioningZeroOut", conditioning=["6", 0])}, "a cat", "",
    ),
    "control": (
        {**PLAIN, "9": CONTROL,
         "3": node("KSampler", model=["4", 0], positive=["9", 0], negative=["9", 1], seed=5)},
        "a cat", "blurry",
    ),
    "identity": (  # of faces: it gives a model first, then both sides
        {**PLAIN, "9": node("ApplyInstantID", positive=["6", 0], negative=["7", 0]),
         "3": node("KSampler", model=["9", 0], positive=["9", 1], negative=["9", 2], seed=5)},
        "a cat", "blurry",
    ),
    "pipe": (
        {"1": node("ttN text", text="a cat"), "3": node("ttN pipeKSampler", pipe=["4", 0], seed=5),
         "4": node("ttN pipeLoader", ckpt_name="x", positive=["1", 0], negative="blurry")},
        "a cat", "blurry",
    ),
    "conditioner": (
        {"3": node("SUPIR_sample", SUPIR_model=["4", 0], positive=["6", 0], negative=["6", 1]),
         "6": node("SUPIR_conditioner", positive_prompt="a cat", negative_prompt="blurry")},
        "a cat", "blurry",
    ),
    "model on a server": ({"1": node("IdeogramV3", prompt="a cat", seed=5)}, "a cat", ""),
    "guider": (GUIDED, "a cat", ""),
    "text node": (
        {**PLAIN, "6": encode(["8", 0]), "8": node("PrimitiveString", value="a cat")},
        "a cat", "blurry",
    ),
    "reroute": (
        {**PLAIN, "6": node("Reroute", **{"": ["8", 0]}), "8": encode("a cat")},
        "a cat", "blurry",
    ),
    "sdxl": (
        {**PLAIN, "6": node("CLIPTextEncodeSDXL", text_g="a cat", text_l="a cat", width=1024)},
        "a cat", "blurry",
    ),
    "loader with prompts": (
        {"3": node("KSampler (Efficient)", model=["4", 0], positive=["4", 1], negative=["4", 2]),
         "4": node("Efficient Loader", ckpt_name="x", positive="a cat", negative="blurry", seed=5)},
        "a cat", "blurry",
    ),
    "wildcards": (
        {**PLAIN, "6": node("ImpactWildcardEncode", wildcard_text="__a__", populated_text="a cat")},
        "a cat", "blurry",
    ),
    "second pass": (
        {**PLAIN, "9": {**SAMPLER, "inputs": {**SAMPLER["inputs"], "latent_image": ["3", 0]}}},
        "a cat", "blurry",
    ),
    "a node that says nothing of models": (
        {"3": node("SamplerCustom", positive=["6", 0], negative=["7", 0]),
         "6": encode("a cat"), "7": encode("blurry"), "8": node("KSamplerSelect", seed=5)},
        "a cat", "blurry",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GRAPHS)
def test_i_comfyui(name: str) -> None:
    graph, prompt, negative = GRAPHS[name]
    for texts in ({"prompt": graph}, {"parameters": {"prompt": graph}}, {"parameters": graph}):
        found = read(workflow={"nodes": []}, **texts)
        assert said(found) == ("ComfyUI", prompt, negative)
        assert not found.notes
    if name == "plain":
        assert found.settings == {
            "seed": "5", "steps": "20", "cfg": "8.0", "sampler_name": "euler",
            "scheduler": "normal", "ckpt_name": "dream.safetensors",
        }  # fmt: skip


@pytest.mark.parametrize(
    ("graph", "prompt", "note"),
    [
        (
            {**PLAIN, "9": node("ConditioningCombine", conditioning_1=["6", 0],
                                conditioning_2=["8", 0]), "8": encode("a dog"),
             "3": node("KSampler", model=["4", 0], positive=["9", 0])},
            "a cat\na dog", "has 2 prompts",
        ),
        (
            {**PLAIN, "8": encode("a dog"),
             "9": node("KSampler", model=["4", 0], positive=["8", 0])},
            "a cat\na dog", "has 2 prompts",
        ),
        ({**PLAIN, "6": node("SomeCache", key="x")}, "", "does not lead from a sampler"),
        ({"4": LOADER, "6": encode("a cat")}, "", "does not lead from a sampler"),
        ({**PLAIN, "6": node("Loop", conditioning=["6", 0])}, "", "does not lead from"),
        (
            {**PLAIN, "6": encode(["8", 0]), "8": node("PromptliftImprove", prompt="a cat")},
            "a cat", "may have changed it: PromptliftImprove",
        ),
        (
            {**PLAIN, "6": encode(["8", 0]), "8": node("OllamaGenerate", prompt="a cat")},
            "a cat", "may have changed it: OllamaGenerate",
        ),
    ],
)  # fmt: skip
def test_i_comfyui_says_where_prompts_are_several_or_none(
    graph: Any, prompt: str, note: str
) -> None:
    found = read(prompt=graph)
    assert (found.tool, found.prompt) == ("ComfyUI", prompt)
    assert note in "; ".join(found.notes)


def test_i_comfyui_a_workflow_alone_and_parameters_beside_it() -> None:
    found = read(workflow={"nodes": [], "links": []})
    assert found.tool == "ComfyUI" and "not the graph that was run" in found.notes[0]
    # Nodes that save pictures for Civitai write both.
    assert said(read(prompt=PLAIN, parameters="a dog")) == ("A1111", "a dog", "")
    assert said(read(prompt=PLAIN, parameters={"resource-stack": {}})) == (
        "ComfyUI", "a cat", "blurry",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("texts", "tool"),
    [
        ({"parameters": {"steps": 20, "software": "DreamBox 3"}}, "DreamBox 3"),
        ({"parameters": {"steps": 20}, "Software": "PaintPot"}, "PaintPot"),
        ({"parameters": {"steps": 20, "version": "1.2"}}, "an unknown tool"),
        ({"parameters": [{"subject": "cat"}]}, "an unknown tool"),
        ({"parameters": {f"key {number}": {} for number in range(9)}}, "an unknown tool"),
        ({"parameters": {}}, "an unknown tool"),
    ],
)
def test_i_json_of_an_unknown_tool_is_never_the_prompt(texts: Any, tool: str) -> None:
    found = read(**texts)
    assert (found.tool, found.prompt) == (tool, "")
    [note] = found.notes
    assert f"JSON of {tool}" in note and len(note) < 200 and "\n" not in note


@pytest.mark.parametrize(
    ("value", "tool"),
    [
        ({"prompt": "a cat", "negative_prompt": "dog", "app": "DreamBox"}, "DreamBox"),
        ({"Prompt": "a cat", "Negative": "dog", "software": "RuinedFooocus"}, "RuinedFooocus"),
        ({"positivePrompt": "a cat", "negativePrompt": "dog"}, "an unknown tool"),
    ],
)
def test_i_json_of_an_unknown_tool_with_fields_named_as_prompts(value: Any, tool: str) -> None:
    assert said(read(parameters=value)) == (tool, "a cat", "dog")


@pytest.mark.parametrize(
    "texts",
    [
        {}, {"Software": "gimp"}, {"Comment": "Created with GIMP"}, {"parameters": " "},
        {"UserComment": "Screenshot"}, {"UserComment": "a cat"},
    ],
)  # fmt: skip
def test_i_texts_of_no_tool(texts: dict[str, str]) -> None:
    assert picture_prompt(texts) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from([
            "prompt", "image", "inputs", "class_type", "positive", "conditioning", "model", "text",
            "sui_image_params", "v4_prompt", "caption", "char_captions", "uc", "1", "version",
        ]), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip
KEYS = (
    "parameters",
    "UserComment",
    "prompt",
    "workflow",
    "invokeai_metadata",
    "sd-metadata",
    "Comment",
)


@given(texts=st.dictionaries(st.sampled_from(KEYS), JSON.map(json.dumps) | st.text(), max_size=4))
def test_i_odd_texts_are_answered(texts: dict[str, str]) -> None:
    found = picture_prompt(texts)
    assert found is None or found.prompt or found.notes or found.tool in TOOLS


def test_i_deep_and_long_texts_are_answered() -> None:
    assert picture_prompt({"parameters": "[" * 100_000, "prompt": '{"a":' * 100_000})
    chain = {str(n): node(f"Kind{n}", prompt=[str(n + 1), 0]) for n in range(100_000)}
    chain["x"] = node("KSampler", model=["4", 0], positive=["0", 0])
    assert "does not lead" in "; ".join(read(prompt=chain).notes)


@pytest.mark.parametrize("captions", [5, "a", {"a": 1}, [5, None]])
def test_i_novelai_characters_that_are_no_list_are_left_out(captions: object) -> None:
    comment = {"prompt": "a cat", "v4_prompt": {"caption": {"char_captions": captions}}, "uc": ""}
    found = picture_prompt({"Comment": json.dumps(comment), "Software": "NovelAI"})
    assert found is not None
    assert found.prompt == "a cat"
