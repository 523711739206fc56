"""What is missing is said before anything is begun."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from promptlift.errors import PromptliftError
from promptlift.experimenting.config import load_config
from promptlift.experimenting.needs import (
    check_needs,
    downloads_of,
    is_downloaded,
    missing,
    plan_of,
)
from promptlift.illustrating.config import IllustrationConfig
from promptlift.improving.loading import BUNDLED

NO_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")


def test_the_pocket_world_lacks_nothing() -> None:
    config = load_config("pocket")
    assert downloads_of(config) == [] and missing(config) == []
    check_needs(replace(config, judged=True))


def test_the_paper_takes_all_that_it_names() -> None:
    found = {item.name: item for item in downloads_of(load_config("paper"))}
    assert set(found) == {
        "groloch/stable_diffusion_prompts_instruct", "google/flan-t5-base", "roberta-large",
        "stabilityai/stable-diffusion-xl-base-1.0", "stabilityai/stable-diffusion-xl-refiner-1.0",
        "openai/clip-vit-base-patch16",
    }  # fmt: skip
    assert found["google/flan-t5-base"].size == " (1.0 GB)"
    assert "--include '*.fp16" in found["stabilityai/stable-diffusion-xl-base-1.0"].command
    [data] = [item for item in found.values() if item.kind == "dataset"]
    assert data.command.endswith("--repo-type dataset")
    assert not any(map(is_downloaded, found.values()))


def test_a_model_that_is_asked_for_wants_is_a_need() -> None:
    config = load_config("pocket")
    asked = replace(config, pictures=replace(config.pictures, wants="Salesforce/blip-vqa-base"))
    [needed] = downloads_of(asked)
    assert (needed.name, needed.size) == ("Salesforce/blip-vqa-base", " (1.5 GB)")
    measured = replace(asked, pictures=replace(asked.pictures, metrics=("measures",)))
    assert downloads_of(measured) == []


def test_a_reward_that_is_not_known_is_said_before_anything_is_begun() -> None:
    config = load_config("pocket")
    wrong = replace(config, tuning=replace(config.tuning, reward="clap"))
    [line] = missing(wrong)
    assert "metric 'clap' is not known; there is: clip" in line
    assert missing(replace(wrong, tune=replace(config.tune, enabled=False))) == []


@NO_GPU
def test_the_paper_stops_with_one_line_that_names_what_it_lacks() -> None:
    with pytest.raises(PromptliftError) as found:
        check_needs(load_config("paper"))
    line = str(found.value)
    assert "\n" not in line
    for part in ("a GPU", "stable-diffusion-xl-base-1.0 (6.9 GB)", "--check", "experiment pocket"):
        assert part in line


def test_what_is_here_need_not_be_downloaded(tmp_path: Path) -> None:
    config = load_config("paper")
    assert "google/flan-t5-base" in {item.name for item in downloads_of(config)}
    own = tmp_path / "flan"
    own.mkdir()
    for model in (str(own), BUNDLED):
        config = replace(config, train=replace(config.train, model=model))
        assert not {"google/flan-t5-base", model} & {item.name for item in downloads_of(config)}


@pytest.mark.slow
def test_weights_in_the_hubs_cache_are_found_and_configs_alone_do_not_count(tmp_path: Path) -> None:
    cached = tmp_path / "hub" / "models--roberta-large"
    for folder in ("refs", "snapshots/0"):
        (cached / folder).mkdir(parents=True)
    (cached / "refs" / "main").write_text("0")
    code = (
        "from promptlift.experimenting.needs import Download, is_downloaded\n"
        "print(is_downloaded(Download('roberta-large')))"
    )
    for file, there in (("config.json", "False"), ("model.safetensors", "True")):
        (cached / "snapshots" / "0" / file).write_text("{}")
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True,
            env={**os.environ, "HF_HOME": str(tmp_path)},
        )  # fmt: skip
        assert done.stdout.strip() == there


def test_a_server_that_draws_needs_no_pipeline_and_is_asked_at_once(tmp_path: Path) -> None:
    config = load_config("paper")
    drawing = IllustrationConfig.resolve(backend="openai", url="http://127.0.0.1:9/v1")
    config = replace(config, gpu=False, illustrate=drawing)
    names = {item.name for item in downloads_of(config)}
    assert not any("stable-diffusion" in name for name in names) and "" not in names
    assert any("127.0.0.1:9" in line and "nothing answers" in line for line in missing(config))
    assert any("127.0.0.1:9" in line for line in plan_of(config)[0])
