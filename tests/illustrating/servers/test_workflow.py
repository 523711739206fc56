"""Finding where a workflow takes prompt, seed and size, in graphs as people have them."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from promptlift import ConfigError, InputError
from promptlift.illustrating.config import IllustrationConfig
from promptlift.illustrating.servers.workflow import Workflow, read_workflow
from tests.illustrating.servers.conftest import WORKFLOW

Graph = dict[str, Any]


def node(kind: str, **inputs: Any) -> Graph:
    return {"class_type": kind, "inputs": inputs}


def places(graph: Graph, *named: str) -> dict[str, list[str]]:
    found = Workflow(graph, named).places
    return {
        name: [f"{place.node}.{place.input}" for place in there]
        for name, there in found.items()
        if there
    }


SD15: Graph = {
    "4": node("CheckpointLoaderSimple", ckpt_name="v1-5.safetensors"),
    "10": node("LoraLoader", lora_name="a", strength_model=1.0, model=["4", 0], clip=["4", 1]),
    "6": node("CLIPTextEncode", text="", clip=["10", 1]),
    "7": node("CLIPTextEncode", text="", clip=["10", 1]),
    "5": node("EmptyLatentImage", width=512, height=768, batch_size=1),
    "3": node(
        "KSampler", seed=1, steps=20, cfg=8.0, sampler_name="euler", scheduler="normal",
        denoise=1.0, model=["10", 0], positive=["6", 0], negative=["7", 0], latent_image=["5", 0],
    ),
    "8": node("VAEDecode", samples=["3", 0], vae=["4", 2]),
    "9": node("SaveImage", filename_prefix="x", images=["8", 0]),
}  # fmt: skip
FLUX: Graph = {
    "30": node("UNETLoader", unet_name="flux1-dev.safetensors", weight_dtype="default"),
    "6": node("CLIPTextEncodeFlux", clip_l="a", t5xxl="a b", guidance=3.5, clip=["11", 0]),
    "11": node("DualCLIPLoader", clip_name1="a", clip_name2="b", type="flux"),
    "22": node("BasicGuider", model=["30", 0], conditioning=["6", 0]),
    "25": node("RandomNoise", noise_seed=7),
    "16": node("KSamplerSelect", sampler_name="euler"),
    "17": node("BasicScheduler", scheduler="simple", steps=28, denoise=1.0, model=["30", 0]),
    "27": node("EmptySD3LatentImage", width=["40", 0], height=["41", 0], batch_size=1),
    "40": node("PrimitiveInt", value=1024),
    "41": node("PrimitiveInt", value=768),
    "13": node(
        "SamplerCustomAdvanced", noise=["25", 0], guider=["22", 0], sampler=["16", 0],
        sigmas=["17", 0], latent_image=["27", 0],
    ),
    "9": node("SaveImage", images=["13", 0]),
}  # fmt: skip


def two_stages(first: str, second: str) -> Graph:
    """SDXL's base and refiner, each with an encoder of its own."""
    sampler = {"steps": 25, "cfg": 8.0, "sampler_name": "euler", "scheduler": "normal"}
    return {
        "4": node("CheckpointLoaderSimple", ckpt_name="base.safetensors"),
        "12": node("CheckpointLoaderSimple", ckpt_name="refiner.safetensors"),
        "6": node("CLIPTextEncode", text=first, clip=["4", 1]),
        "7": node("CLIPTextEncode", text="ugly", clip=["4", 1]),
        "15": node("CLIPTextEncode", text=second, clip=["12", 1]),
        "16": node("CLIPTextEncode", text="ugly", clip=["12", 1]),
        "5": node("EmptyLatentImage", width=1024, height=1024, batch_size=1),
        "10": node("KSamplerAdvanced", noise_seed=3, **sampler, model=["4", 0], positive=["6", 0],
                   negative=["7", 0], latent_image=["5", 0]),
        "11": node("KSamplerAdvanced", noise_seed=0, **sampler, model=["12", 0],
                   positive=["15", 0], negative=["16", 0], latent_image=["10", 0]),
        "9": node("SaveImage", images=["11", 0]),
    }  # fmt: skip


def test_places_of_common_workflows() -> None:
    assert places(SD15) == {
        "prompt": ["6.text"], "negative": ["7.text"], "seed": ["3.seed"], "width": ["5.width"],
        "height": ["5.height"], "steps": ["3.steps"], "guidance": ["3.cfg"],
        "sampler": ["3.sampler_name"], "scheduler": ["3.scheduler"], "model": ["4.ckpt_name"],
    }  # fmt: skip
    assert places(FLUX) == {
        "prompt": ["6.clip_l", "6.t5xxl"], "seed": ["25.noise_seed"], "width": ["40.value"],
        "height": ["41.value"], "steps": ["17.steps"], "guidance": ["6.guidance"],
        "sampler": ["16.sampler_name"], "scheduler": ["17.scheduler"], "model": ["30.unet_name"],
    }  # fmt: skip
    both = places(two_stages("a cat", "a cat"))
    assert both["prompt"] == ["6.text", "15.text"] and both["negative"] == ["7.text", "16.text"]
    assert both["seed"] == ["10.noise_seed", "11.noise_seed"]


def test_what_may_be_either_is_named() -> None:
    graph = two_stages("a cat", "a dog")
    with pytest.raises(
        ConfigError, match=r"6.text or 15.text; name one, or each: --place prompt=6"
    ):
        Workflow(graph)
    assert places(graph, "prompt=6.text")["prompt"] == ["6.text"]
    assert places(graph, "prompt=6.text", "prompt=15.text")["prompt"] == ["6.text", "15.text"]
    assert Workflow(SD15, ("output=8",)).output == "8"


def test_settings_that_nodes_have_each_for_itself_are_not_overwritten() -> None:
    graph = two_stages("a", "a")
    with pytest.raises(ConfigError, match=r"model may be at 4.ckpt_name or 12.ckpt_name; name one"):
        Workflow(graph).put("model", "x.safetensors")
    named = Workflow(graph, ("model=4.ckpt_name",))
    named.put("model", "x.safetensors")
    assert named.graph["4"]["inputs"]["ckpt_name"] == "x.safetensors"
    assert named.graph["12"]["inputs"]["ckpt_name"] == "refiner.safetensors"
    graph["10"]["inputs"] |= {"start_at_step": 0, "end_at_step": 20}
    with pytest.raises(ConfigError, match="samplers share the steps"):
        Workflow(graph).put("steps", 20)
    # FLUX has a guidance of its own; the scale beside it must stay 1.
    flux = {
        **SD15, "26": node("FluxGuidance", guidance=3.5, conditioning=["6", 0]),
        "3": node("KSampler", **{**SD15["3"]["inputs"], "cfg": 1.0, "positive": ["26", 0]}),
    }  # fmt: skip
    assert places(flux)["guidance"] == ["26.guidance"]
    larger = {**SD15, "20": node("LatentUpscale", width=1024, height=1024, samples=["3", 0])}
    assert places(larger)["width"] == ["5.width"]


def test_a_seed_that_is_not_understood_is_asked_for() -> None:
    graph = two_stages("a", "a")
    graph["10"]["inputs"]["noise_seed"] = ["40", 0]
    graph["40"] = node("MathExpression", a=1, b=2)
    with pytest.raises(ConfigError, match=r"seed of node 10 \(KSamplerAdvanced\) comes from"):
        Workflow(graph)
    graph["11"]["inputs"]["add_noise"] = "disable"
    assert places(graph, "seed=40.a")["seed"] == ["40.a"]


def test_one_picture_at_a_time_and_no_wildcards_again() -> None:
    wildcards = node("ImpactWildcardProcessor", populated_text="a", wildcard_text="__b__",
                     mode="populate")  # fmt: skip
    graph = {
        **SD15, "30": wildcards, "5": node("EmptyLatentImage", width=64, height=64, batch_size=4),
        "6": node("CLIPTextEncode", text=["30", 0], clip=["10", 1]),
    }  # fmt: skip
    filled = Workflow(graph).filled("a cat", 1, None)
    assert filled["5"]["inputs"]["batch_size"] == 1
    assert filled["30"]["inputs"] == {
        "populated_text": "a cat", "wildcard_text": "__b__", "mode": "fixed",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("named", "line"),
    [
        ("sead=3.seed", "place has no 'sead'; there is: prompt, negative, seed"),
        ("seed=33.seed", "no node 33; it has 4 .CheckpointLoaderSimple."),
        ("seed=3.sed", r"node 3 \(KSampler\) has no input 'sed'; it has seed, steps"),
        ("output=1", "no node 1"),
    ],
)
def test_places_that_are_not_there_are_refused(named: str, line: str) -> None:
    with pytest.raises(ConfigError, match=line):
        Workflow(SD15, (named,))


def test_what_is_not_found_is_said() -> None:
    with pytest.raises(ConfigError, match="no prompt that is found; name it, as --place prompt"):
        Workflow({"3": SD15["3"]})
    without = {**SD15, "3": node("KSampler", positive=["6", 0], model=["10", 0])}
    with pytest.raises(ConfigError, match="no seed that is found"):
        Workflow(without)
    with pytest.raises(ConfigError, match="no place for a negative prompt"):
        Workflow(FLUX).filled("a", 1, "b")
    with pytest.raises(ConfigError, match="improves prompts itself, in its node PromptliftImprove"):
        Workflow({**SD15, "20": node("PromptliftImprove", prompt="a")})


@given(
    prompt=st.text(), seed=st.integers(0, 2**63 - 1), negative=st.none() | st.text(),
    graph=st.sampled_from([SD15, WORKFLOW, two_stages("a", "a")]),
)  # fmt: skip
def test_nothing_but_the_places_changes(
    prompt: str, seed: int, negative: str | None, graph: Graph
) -> None:
    before = json.dumps(graph)
    workflow = Workflow(graph)
    filled = workflow.filled(prompt, seed, negative)
    assert json.dumps(graph) == before
    changed = {
        f"{name}.{of}": filled[name]["inputs"][of]
        for name, one in graph.items()
        for of, value in one["inputs"].items()
        if filled[name]["inputs"][of] != value
    }
    values: dict[str, Any] = {"prompt": prompt, "seed": seed}
    values |= {} if negative is None else {"negative": negative}
    expected = {
        f"{place.node}.{place.input}": value
        for name, value in values.items()
        for place in workflow.places[name]
        if place.value != value
    }
    assert changed == expected


def test_the_hash_is_that_of_all_but_prompt_and_seed() -> None:
    def changed(node: str, **inputs: Any) -> str:
        graph = json.loads(json.dumps(SD15))
        graph[node]["inputs"] |= inputs
        return Workflow(graph).sha256

    own = Workflow(SD15).sha256
    assert own == changed("6", text="other") == changed("3", seed=9)
    assert len({own, changed("7", text="ugly"), changed("3", steps=9), changed("10", lora_name="b"),
                changed("4", ckpt_name="c")}) == 5  # fmt: skip


def test_workflows_are_read_from_files_and_pictures(tmp_path: Path) -> None:
    path = tmp_path / "workflow.json"
    path.write_text(json.dumps({**SD15, "extra": "no node"}))

    def read(file: Path, **options: Any) -> Workflow:
        config = IllustrationConfig.resolve(backend="comfyui", workflow=str(file), **options)
        return read_workflow(config)

    found = read(path, num_inference_steps=7, guidance_scale=2.0, width=64, sampler="heun")
    values = {name: found.value(name) for name in ("steps", "guidance", "width", "sampler")}
    assert values == {"steps": 7, "guidance": 2.0, "width": 64, "sampler": "heun"}
    assert read(path, model="x.safetensors").value("model") == "x.safetensors"
    info = PngInfo()
    info.add_text("prompt", json.dumps(SD15))
    Image.new("RGB", (8, 8)).save(tmp_path / "drawn.png", pnginfo=info)
    assert read(tmp_path / "drawn.png").places == read(path).places
    Image.new("RGB", (8, 8)).save(tmp_path / "plain.png")
    (tmp_path / "editor.json").write_text('{"nodes": [], "links": []}')
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "text.json").write_text("a cat")
    for name, line in (
        ("plain.png", "is a picture without a workflow"),
        ("editor.json", "as ComfyUI's editor saves it; its server takes that of “Export"),
        ("list.json", "is no workflow of ComfyUI's API"),
        ("text.json", "is no JSON"),
        ("nothing.json", "does not exist"),
    ):
        with pytest.raises(InputError, match=line):
            read(tmp_path / name)
    with pytest.raises(ConfigError, match="no place for width"):
        (tmp_path / "sizeless.json").write_text(
            json.dumps({k: v for k, v in SD15.items() if k != "5"})
        )
        read(tmp_path / "sizeless.json", width=64)
