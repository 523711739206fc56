"""Drawing with A1111's API, as A1111, Forge and SD.Next have it.

The server is written from their published schema. `PROMPTLIFT_A1111` names the address of a real
one on this computer, with at least one model: the last test draws with it.
"""

import json
import os
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from promptlift import Illustrator, ModelError
from promptlift.illustrating.records import Request
from promptlift.pictures import read_index
from promptlift.png_text import read_png_text
from tests.illustrating.servers.conftest import Draws
from tests.illustrating.servers.hosts import FakeA1111, noise

REAL = os.environ.get("PROMPTLIFT_A1111", "")


@pytest.fixture
def options(a1111: FakeA1111) -> dict[str, Any]:
    return {"backend": "a1111", "url": a1111.url}


def test_a_run_is_drawn_with_the_model_that_is_loaded(
    a1111: FakeA1111, draws: Draws, options: dict[str, Any], tmp_path: Path
) -> None:
    files, said = draws(seeds=2, **options)
    assert len(files) == 8 and not any("hold seeds" in line for line in said)
    drawn = Counter(a1111.drawn)
    assert drawn["a cat", 0] == 2 and drawn.total() == 9
    model = "other"
    asked = a1111.asked[0]
    assert asked["override_settings"] == {"sd_model_checkpoint": model}
    assert (asked["save_images"], asked["negative_prompt"]) == (False, "")
    assert not {"steps", "cfg_scale", "width", "height", "sampler_name"} & asked.keys()
    row = read_index(tmp_path / "run" / "pictures")[0]
    assert row.model == [{"name": "other", "sha256": ""}]
    texts = read_png_text(row.path)
    told = json.loads(texts["promptlift"])["drawing"]["told"]
    assert told["scheduler"] == "Euler" and told["guidance_scale"] == 7.0
    assert (
        "Sampler: Euler" in texts["parameters"] and "Model hash: 123456789a" in texts["parameters"]
    )
    assert draws(seeds=2, **options)[0] == []


def test_settings_and_negative_prompts_are_sent(a1111: FakeA1111, options: dict[str, Any]) -> None:
    illustrator = Illustrator.load(
        "tiny", num_inference_steps=3, guidance_scale=4.5, width=32, height=48,
        sampler="DPM++ 2M Karras", **options,
    )  # fmt: skip
    picture = illustrator.draw("a cat", seed=5, negative="fog")
    asked = a1111.asked[0]
    sent = {name: asked[name] for name in ("steps", "cfg_scale", "width", "height", "sampler_name")}
    assert sent == {
        "steps": 3, "cfg_scale": 4.5, "width": 32, "height": 48, "sampler_name": "DPM++ 2M Karras",
    }  # fmt: skip
    override = {"sd_model_checkpoint": "tiny"}
    expected = noise("a cat", 5, ("fog", override, 3), width=32, height=48)
    assert np.array_equal(np.asarray(picture.image), np.asarray(expected))
    assert "num_inference_steps" not in picture.told  # it was asked for


def test_compressed_pictures_are_said_once(a1111: FakeA1111, options: dict[str, Any]) -> None:
    a1111.format = "JPEG"
    said: list[str] = []
    illustrator = Illustrator.load(report=said.append, **options)
    for seed in range(2):
        assert illustrator.draw("a cat", seed=seed).image.size == (64, 64)
    assert len(said) == 1 and "samples_format" in said[0]


@pytest.mark.parametrize("name", ["tiny", "tiny.safetensors", "tiny.safetensors [023456789a]"])
def test_models_go_by_any_of_their_names(options: dict[str, Any], name: str) -> None:
    assert Illustrator.load(name, **options).backend.name == "tiny"


@pytest.mark.parametrize("knows_tasks", [True, False])
def test_what_progress_raises_interrupts_the_server(
    a1111: FakeA1111, options: dict[str, Any], knows_tasks: bool
) -> None:
    a1111.step_s, a1111.knows_tasks = 0.05, knows_tasks
    illustrator = Illustrator.load(num_inference_steps=200, **options)
    shares: list[float] = []

    def progress(share: float) -> None:
        shares.append(share)
        if share > 0:
            raise KeyboardInterrupt

    illustrator.watch(progress)
    with pytest.raises(KeyboardInterrupt):
        list(illustrator.draw_all([Request(prompt="a cat")]))
    assert 0 < shares[-1] < 1
    assert a1111.interrupted.is_set() and not a1111.drawn


def test_another_clients_picture_is_not_interrupted(
    a1111: FakeA1111, options: dict[str, Any]
) -> None:
    illustrator = Illustrator.load(**options)

    def progress(share: float) -> None:
        if a1111.asked:
            raise KeyboardInterrupt

    illustrator.watch(progress)
    with a1111.lock:  # somebody else draws
        with pytest.raises(KeyboardInterrupt):
            illustrator.draw("a cat")
        assert not a1111.interrupted.is_set()
    end = time.monotonic() + 10
    while not a1111.drawn and time.monotonic() < end:  # what waited cannot be taken back
        time.sleep(0.01)
    assert a1111.drawn == [("a cat", 0)]


def test_the_key_may_be_user_and_password(
    a1111: FakeA1111, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMPTLIFT_PICTURE_API_KEY", "me:secret")
    Illustrator.load(**options)
    assert a1111.headers[-1]["authorization"] == "Basic bWU6c2VjcmV0"


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"model": "nope"}, "has no model 'nope'; it has (tiny, other|other, tiny)"),
        ({"sampler": "Oiler"}, "has no sampler 'Oiler'; it has Euler a"),
        ({"url": "http://127.0.0.1:9"}, "is no A1111, Forge or SD.Next with its API on"),
    ],
)
def test_what_is_missing_is_one_line(
    options: dict[str, Any], given: dict[str, Any], line: str
) -> None:
    with pytest.raises(ModelError, match=line) as error:
        Illustrator.load(**{**options, **given})
    assert "\n" not in str(error.value)


@pytest.mark.slow
@pytest.mark.skipif(not REAL, reason="PROMPTLIFT_A1111 names no server")
def test_a_real_server_draws_and_is_interrupted() -> None:
    options: dict[str, Any] = {"backend": "a1111", "url": REAL, "width": 64, "height": 64}
    illustrator = Illustrator.load(num_inference_steps=4, **options)
    first, second = (illustrator.draw("a cat", seed=seed) for seed in (1, 1))
    other = illustrator.draw("a cat", seed=2)
    assert np.array_equal(np.asarray(first.image), np.asarray(second.image))
    assert not np.array_equal(np.asarray(first.image), np.asarray(other.image))
    assert illustrator.describe_model()[0]["name"]
    slow = Illustrator.load(num_inference_steps=900, **options)

    def progress(share: float) -> None:
        if share > 0:
            raise KeyboardInterrupt

    slow.watch(progress)
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        slow.draw("a cat")
    while httpx.get(f"{REAL}/sdapi/v1/progress").json()["state"]["job_count"]:
        assert time.monotonic() - began < 60
        time.sleep(0.05)
    stopped, began = time.monotonic() - began, time.monotonic()
    slow.watch(None)
    slow.draw("a cat")
    assert stopped < (time.monotonic() - began) / 2
    with pytest.raises(ModelError, match="has no sampler"):
        Illustrator.load(sampler="nope", **options)
