"""Loading: what is found where, and one clear line where it is not."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from promptlift import Illustrator, ModelError
from promptlift.illustrating.presets import PRESETS
from promptlift.illustrating.weights import files_of, hash_files, variant_of
from tests.conftest import CopyOf
from tests.illustrating.models import DIFFUSERS_WARNS
from tests.illustrating.single_file import save_single_file

pytestmark = DIFFUSERS_WARNS


def fails(model: Path | str, **options: Any) -> str:
    """The error of loading, which is one line."""
    with pytest.raises(ModelError) as caught:
        Illustrator.load(model, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_names_that_are_nothing() -> None:
    assert "Did you mean sdxl-turbo?" in fails("sdxl-turbp")
    assert "A folder must exist" in fails("./no/such/folder")
    assert "does not exist" in fails("missing.safetensors")


@pytest.mark.parametrize("preset", [name for name in PRESETS if name != "pocket"])
def test_offline_a_missing_preset_says_what_to_download(preset: str, tmp_path: Path) -> None:
    message = fails(preset, offline=True)
    base = PRESETS[preset].base
    assert f"{base.name} is not on this machine" in message
    assert (
        f"{2 * base.gigabytes:.1f} GB, licence {base.licence}: hf download {base.name} " in message
    )
    if refiner := PRESETS[preset].refiner:
        assert f", nor is {refiner.name}. Download both once, 22.8 GB: " in message
        assert f"; 9.0 GB, licence {refiner.licence}: hf download {refiner.name} " in message
        assert refiner.name not in fails(preset, offline=True, refiner="none")


def test_the_licence_is_told_before_anything_is_loaded() -> None:
    said: list[str] = []
    with pytest.raises(ModelError):
        Illustrator.load("sd-turbo", offline=True, report=said.append)
    assert said == [f"stabilityai/sd-turbo, licence {PRESETS['sd-turbo'].base.licence}"]
    assert "Non-Commercial" in said[0]


def test_folders_of_another_kind(sdxl: Path, sd15: Path, refiner: Path, tmp_path: Path) -> None:
    assert "holds no model_index.json" in fails(tmp_path)
    assert "is a refiner: it belongs to --refiner" in fails(refiner)
    assert "is not an SDXL model" in fails(sd15, refiner=str(refiner))
    assert "not a refiner for this base" in fails(sdxl, refiner=str(sd15))
    (tmp_path / "model_index.json").write_text("{")
    assert "cannot be read" in fails(tmp_path)


def test_damaged_weights(sdxl: Path, copy_of: CopyOf) -> None:
    folder = copy_of(sdxl)
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-100])
    assert "cannot be loaded as a picture model" in fails(folder)
    state = load_file(sdxl / "unet" / weights.name)
    lacking = {name: value for name, value in state.items() if "mid_block" not in name}
    save_file(lacking, weights)
    assert f"unet lacks {len(state) - len(lacking)} weights, mid_block" in fails(folder)
    save_file({**state, "conv_in.weight": torch.zeros(32, 9, 3, 3)}, weights)
    assert "cannot be loaded as a picture model" in fails(folder)
    weights.unlink()
    assert "cannot be loaded as a picture model" in fails(folder)


def test_files_that_hold_no_picture_model(tmp_path: Path) -> None:
    path = tmp_path / "lora.safetensors"
    save_file({"lora_unet_down.weight": torch.zeros(2, 2)}, path)
    assert "a LoRA, a VAE or a part of a pipeline cannot draw alone" in fails(path)
    path.write_bytes(b"no weights")
    assert "is not a whole .safetensors file" in fails(path)
    checkpoint = tmp_path / "model.ckpt"
    checkpoint.write_bytes(b"pickle")
    assert "may run code" in fails(checkpoint)


def test_a_single_file_draws_what_its_folder_draws(sd15: Path, tmp_path: Path) -> None:
    folder = Illustrator.load(sd15, num_inference_steps=2)
    path = save_single_file(folder.diffusers.pipelines.base, tmp_path / "model.safetensors")
    options: dict[str, Any] = {"num_inference_steps": 2, "offline": True}
    found = Illustrator.load(path, model_config=str(sd15), **options)
    expected = folder.draw("a cat", negative="blurry").image
    assert found.draw("a cat", negative="blurry").image.tobytes() == expected.tobytes()
    [model] = found.describe_model()
    assert model["name"] == "model.safetensors"
    assert "--model-config FOLDER" in fails(path, **options)
    message = fails(path, model_config=str(tmp_path), **options)
    assert f"--model-config {tmp_path} is not the folder of a pipeline" in message


def test_configs_beside_a_single_file_are_part_of_the_model(
    sd15: Path, copy_of: CopyOf, tmp_path: Path
) -> None:
    pipeline = Illustrator.load(sd15).diffusers.pipelines.base
    path = save_single_file(pipeline, tmp_path / "model.safetensors")
    bare = tmp_path / "bare.safetensors"
    state = load_file(path)
    save_file({key: state[key] for key in state if not key.startswith("cond_stage")}, bare)
    folder = copy_of(sd15)

    # diffusers 0.42 takes a text encoder from the folder only where a file of this name is there.
    encoder = folder / "text_encoder" / "model.safetensors"
    shutil.copy(encoder, encoder.with_name("diffusion_pytorch_model.safetensors"))

    def load(file: Path) -> Illustrator:
        return Illustrator.load(file, model_config=str(folder), offline=True)

    def described(illustrator: Illustrator) -> dict[str, str]:
        [model] = illustrator.describe_model()
        return model

    whole, lacking = load(path), load(bare)
    first, first_bare = described(whole), described(lacking)
    assert first["model_config"] != first_bare["model_config"]
    # What comes from the file itself is not read: weights, and what else lies about.
    for name in ("unet/diffusion_pytorch_model.safetensors", "unet/extra.json", "README.md"):
        (folder / name).write_bytes(b"anything")
    weights = load_file(encoder)
    save_file({name: value + 1 for name, value in weights.items()}, encoder, {"format": "pt"})
    assert described(load(path)) == first
    assert described(lacking)["sha256"] != first_bare["sha256"]
    seen = {first["sha256"]}
    for name in (
        "scheduler/scheduler_config.json",
        "text_encoder/config.json",
        "tokenizer/tokenizer_config.json",
        "model_index.json",
    ):
        config = folder / name
        config.write_text(config.read_text() + "\n")
        found = described(whole)
        assert found["name"] == first["name"] and found["model_config"] != first["model_config"]
        seen.add(found["sha256"])
    assert len(seen) == 5


def test_a_half_precision_variant_is_taken_where_it_is_alone(sdxl: Path, copy_of: CopyOf) -> None:
    folder = copy_of(sdxl)
    for weights in folder.glob("*/*.safetensors"):
        state = {name: value.half() for name, value in load_file(weights).items()}
        save_file(state, weights.with_suffix(".fp16.safetensors"), {"format": "pt"})
        weights.unlink()
    assert variant_of(folder, None) == "fp16" and variant_of(sdxl, "fp16") is None
    found = Illustrator.load(folder, num_inference_steps=1)
    assert found.diffusers.pipelines.dtype == "float32"
    assert found.draw("a cat").image.size == (64, 64)


def test_the_hash_is_of_the_files_that_are_loaded(
    sdxl: Path, copy_of: CopyOf, tmp_path: Path
) -> None:
    folder = copy_of(sdxl)
    cache = tmp_path / "hashes.json"

    def hashed() -> str:
        said: list[str] = []
        files = files_of(folder, variant=None)
        return hash_files(files, folder, cache=cache, report=said.append)

    first = hashed()
    assert first == hash_files(files_of(sdxl, variant=None), sdxl, cache=None, report=print)
    unet = folder / "unet"
    shutil.copy(unet / "diffusion_pytorch_model.safetensors", unet / "x.non_ema.safetensors")
    (folder / "README.md").write_text("hello")
    assert hashed() == first
    scheduler = folder / "scheduler" / "scheduler_config.json"
    scheduler.write_text(json.dumps({**json.loads(scheduler.read_text()), "beta_end": 0.02}))
    assert hashed() != first
    # A kept hash is used as long as size and time are as they were.
    kept = json.loads(cache.read_text())
    cache.write_text(json.dumps(dict.fromkeys(kept, "0" * 64)))
    assert hashed() != first
    without = files_of(sdxl, variant=None, without=["vae"])
    assert not any(path.parent.name == "vae" for path in without)
