"""Drawing with ComfyUI: its routes here, and ComfyUI itself where the environment has it."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from promptlift import ConfigError, Illustrator, InputError, ModelError
from promptlift.illustrating.records import Refusal, Request
from promptlift.illustrating.servers import comfyui as module
from promptlift.pictures import read_index
from promptlift.png_text import read_png_text
from promptlift.runs import Run
from tests.illustrating.servers.conftest import WORKFLOW, Draws
from tests.illustrating.servers.hosts import FakeComfyUI, noise, serving
from tests.integrations.comfyui_host import NEEDS_IT, base_folder, free_port, running

PROMPTS = ["a cat", "a cat, soft light", "a dog", "a dog, on a beach"]
DRAWS = Path(__file__).parents[2] / "integrations" / "comfyui_draws"


@pytest.fixture
def options(comfyui: FakeComfyUI, workflow: Path) -> dict[str, Any]:
    return {"backend": "comfyui", "url": comfyui.url, "workflow": str(workflow)}


def test_a_run_is_drawn_with_seeds_receipts_and_index(
    comfyui: FakeComfyUI, draws: Draws, options: dict[str, Any], tmp_path: Path
) -> None:
    files, said = draws(seeds=2, num_inference_steps=3, width=32, negative="fog", **options)
    assert len(files) == 8
    # The first is drawn twice, to see whether seeds are held.
    assert Counter(comfyui.drawn) == {
        (prompt, seed): 1 + ((prompt, seed) == ("a cat", 0))
        for prompt in PROMPTS
        for seed in (0, 1)
    }
    assert not any("hold seeds" in line for line in said)
    rows = read_index(tmp_path / "run" / "pictures")
    assert [row.prompt for row in rows if row.seed == 1] == PROMPTS
    row = rows[0]
    image = Image.open(row.path)
    expected = noise("a cat", 0, (3, 7.0, "fog"), width=32, height=64)
    assert np.array_equal(np.asarray(image), np.asarray(expected))
    receipt = json.loads(read_png_text(row.path)["promptlift"])["drawing"]
    settings = receipt["settings"]
    assert (settings["backend"], settings["scheduler"], settings["num_inference_steps"]) == (
        "comfyui", "euler", 3,
    )  # fmt: skip
    assert (settings["width"], settings["height"], settings["negative"]) == (32, 64, "fog")
    assert receipt["model"][0]["name"] == "tiny"
    assert list(receipt["versions"]) == ["promptlift"]
    assert "Model hash" not in read_png_text(row.path)["parameters"]
    results = Run.open(tmp_path / "run").stage("illustrating")["results"]
    assert (results["pictures"], results["holds_seeds"], results["refused"]) == (8, True, 0)
    # What is there is not asked for again, in this run or in another.
    before = list(comfyui.drawn)
    assert draws(seeds=2, num_inference_steps=3, width=32, negative="fog", **options)[0] == []
    draws("other", seeds=2, num_inference_steps=3, width=32, negative="fog", **options)
    assert comfyui.drawn == [*before, ("a cat", 0)]


def test_a_server_that_forgets_seeds_is_found_out(
    comfyui: FakeComfyUI, draws: Draws, options: dict[str, Any], tmp_path: Path
) -> None:
    comfyui.forgets = True
    _, said = draws(**options)
    assert sum("does not hold seeds" in line for line in said) == 1
    assert Run.open(tmp_path / "run").stage("illustrating")["results"]["holds_seeds"] is False
    (tmp_path / "run" / "pictures" / "000000-s0-original.png").unlink()
    drawn = len(comfyui.drawn)
    comfyui.history.clear()
    _, said = draws(**options)  # it is remembered, and said again
    assert len(comfyui.drawn) == drawn + 1
    assert any("does not hold seeds" in line for line in said)


def test_several_pictures_are_queued_and_come_in_their_order(
    comfyui: FakeComfyUI, options: dict[str, Any]
) -> None:
    illustrator = Illustrator.load(batch_size=3, **options)
    requests = [Request(prompt=f"a cat {n}", seed=n) for n in range(7)]
    pictures = list(illustrator.draw_all(requests))
    assert [picture.request for picture in pictures] == requests
    assert sorted(comfyui.drawn) == [(f"a cat {n}", n) for n in range(7)]
    assert all(picture.seconds > 0 and picture.cut_tokens is None for picture in pictures)


@pytest.mark.parametrize("what", ["no sockets", "ids of its own"])
def test_other_versions_and_proxies(
    comfyui: FakeComfyUI, options: dict[str, Any], what: str
) -> None:
    comfyui.has_sockets, comfyui.knows_ids = what != "no sockets", what != "ids of its own"
    picture = Illustrator.load(**options).draw("a cat", seed=2)
    expected = noise("a cat", 2, (4, 7.0, "blurry"))
    assert np.array_equal(np.asarray(picture.image), np.asarray(expected))


def test_progress_is_told_and_what_it_raises_cancels(
    comfyui: FakeComfyUI, options: dict[str, Any]
) -> None:
    comfyui.step_s = 0.05
    illustrator = Illustrator.load(num_inference_steps=100, batch_size=2, **options)
    shares: list[float] = []

    def progress(share: float) -> None:
        shares.append(share)
        if share > 0.1:
            raise KeyboardInterrupt

    illustrator.watch(progress)
    with pytest.raises(KeyboardInterrupt):
        list(illustrator.draw_all([Request(prompt=f"a cat {n}") for n in range(4)]))
    assert shares[0] < 0.1 < shares[-1] < 1
    assert not comfyui.drawn and not comfyui.pending
    end = time.monotonic() + 10
    while comfyui.running and time.monotonic() < end:
        time.sleep(0.01)
    assert comfyui.running is None and comfyui.interrupted.is_set()


def test_another_clients_picture_is_not_interrupted(
    comfyui: FakeComfyUI, options: dict[str, Any]
) -> None:
    comfyui.step_s = 0.02
    illustrator = Illustrator.load(num_inference_steps=60, **options)
    graph = json.loads(json.dumps(WORKFLOW))
    graph["5"]["inputs"]["steps"] = 60
    comfyui.pending.append(("theirs", graph))

    def progress(share: float) -> None:
        if any(id != "theirs" for id, _ in comfyui.pending):
            raise KeyboardInterrupt

    illustrator.watch(progress)
    with pytest.raises(KeyboardInterrupt):
        illustrator.draw("a cat")
    assert not comfyui.pending
    end = time.monotonic() + 20
    while "theirs" not in comfyui.history and time.monotonic() < end:
        time.sleep(0.01)
    assert comfyui.drawn == [("a placeholder", 1)]


def test_a_prompt_that_fails_is_left_out_and_the_others_are_drawn(
    comfyui: FakeComfyUI, draws: Draws, options: dict[str, Any], improvements: Path, tmp_path: Path
) -> None:
    with improvements.open("a") as file:
        file.write('{"source": "a pig", "prompt": "a pig, forbidden"}\n')
    files, said = draws(**options)
    assert len(files) == 5
    [line] = [line for line in said if "is not drawn" in line]
    assert line == "000002-s0-improved-v0.png is not drawn: DrawsText: it cannot be encoded"
    prompts = [row.prompt for row in read_index(tmp_path / "run" / "pictures")]
    assert prompts == PROMPTS
    results = Run.open(tmp_path / "run").stage("illustrating")["results"]
    assert (results["refused"], results["pictures"]) == (1, 4)
    assert draws(**options)[0] == []  # it is asked for again, and refused again
    assert len(read_index(tmp_path / "run" / "pictures")) == 4


def test_a_picture_that_was_cancelled_is_drawn_when_it_is_asked_for_again(
    comfyui: FakeComfyUI, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LOOK_S", 0.1)
    comfyui.step_s = 0.5
    illustrator = Illustrator.load(num_inference_steps=2, **options)

    def cancel(share: float) -> None:
        if comfyui.running:
            raise KeyboardInterrupt

    illustrator.watch(cancel)
    with pytest.raises(KeyboardInterrupt):
        illustrator.draw("a cat")
    while comfyui.running:
        time.sleep(0.01)
    assert len(comfyui.history) == 1  # as interrupted
    illustrator.watch(None)
    illustrator.draw("a cat")
    assert comfyui.drawn == [("a cat", 0)] and not comfyui.pending


def test_a_server_that_refuses_many_prompts_in_succession_ends_the_run(
    comfyui: FakeComfyUI, options: dict[str, Any]
) -> None:
    illustrator = Illustrator.load(**options)
    requests = [Request(prompt=f"forbidden {n}") for n in range(20)]
    with pytest.raises(ModelError, match="draws nothing any more: DrawsText: it cannot be"):
        list(illustrator.outcomes(requests))
    assert len(comfyui.asked) == 10


def test_a_lost_job_is_asked_for_again(
    comfyui: FakeComfyUI, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LOOK_S", 0.1)
    said: list[str] = []
    illustrator = Illustrator.load(report=said.append, **options)
    comfyui.lost = 1
    illustrator.draw("a cat")
    assert "knows nothing of the picture any more" in said[0]
    assert comfyui.drawn == [("a cat", 0)]


def test_what_comfyui_refuses_is_one_line(comfyui: FakeComfyUI, options: dict[str, Any]) -> None:
    illustrator = Illustrator.load(**options)
    [found] = illustrator.outcomes([Request(prompt="invalid")])
    assert isinstance(found, Refusal) and "Value not valid" in found.reason
    with pytest.raises(InputError, match="“invalid” is not drawn"):
        illustrator.draw("invalid")


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (
            {"model": "nope.safetensors"},
            "has no ckpt_name .* 'nope.safetensors'; it has .*tiny",
        ),
        ({"sampler": "foo"}, "has no sampler_name .* 'foo'; it has euler, heun"),
        ({"url": "http://127.0.0.1:9"}, "is no ComfyUI that answers: nothing answers there"),
    ],
)
def test_what_is_missing_is_one_line(
    comfyui: FakeComfyUI, options: dict[str, Any], given: dict[str, Any], line: str
) -> None:
    comfyui.step_s = 0.5
    with pytest.raises(ModelError, match=line) as error:
        Illustrator.load(**{**options, **given}).draw("a cat")
    assert "\n" not in str(error.value)


def test_a_picture_that_takes_too_long_is_refused_and_taken_out_of_the_queue(
    comfyui: FakeComfyUI, options: dict[str, Any]
) -> None:
    comfyui.step_s = 0.5
    illustrator = Illustrator.load(timeout_s=0.2, attempts=1, **options)
    with pytest.raises(InputError, match=r"“a cat” is not drawn: no picture within 0.2 s"):
        illustrator.draw("a cat")
    end = time.monotonic() + 10
    while (comfyui.running or comfyui.pending) and time.monotonic() < end:
        time.sleep(0.01)
    assert not comfyui.running and not comfyui.drawn


def test_the_node_that_gives_the_picture_is_asked_for_where_there_are_two(
    comfyui: FakeComfyUI, options: dict[str, Any], workflow: Path
) -> None:
    two = {**WORKFLOW, "8": {"class_type": "SaveImage", "inputs": {"images": ["5", 0]}}}
    workflow.write_text(json.dumps(two))
    with pytest.raises(ConfigError, match=r"that of node 6 \(SaveImage\) or 8 .*--place output=6"):
        Illustrator.load(**options)
    Illustrator.load(place=("output=6",), **options).draw("a cat")


def test_a_node_that_it_does_not_have_is_named(
    comfyui: FakeComfyUI, options: dict[str, Any], workflow: Path
) -> None:
    workflow.write_text(
        json.dumps({**WORKFLOW, "9": {"class_type": "Upscale", "inputs": {"image": ["5", 0]}}})
    )
    with pytest.raises(ModelError, match="has no node 'Upscale', which the workflow's node 9 is"):
        Illustrator.load(**options)


def test_options_of_other_backends_are_refused(options: dict[str, Any]) -> None:
    for name, value in (("dtype", "bf16"), ("refiner", "none"), ("prompt_2", "a")):
        with pytest.raises(ConfigError, match="cannot be used with --backend comfyui"):
            Illustrator.load(**options, **{name: value})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="--workflow cannot be used with --backend a1111"):
        Illustrator.load(**{**options, "backend": "a1111"})
    with pytest.raises(ConfigError, match="--url cannot be used with --backend diffusers"):
        Illustrator.load(url="http://127.0.0.1:1")
    with pytest.raises(ConfigError, match="this needs --backend diffusers; comfyui draws"):
        _ = Illustrator.load(**options).diffusers


def test_the_key_goes_to_the_named_server_alone(
    comfyui: FakeComfyUI, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMPTLIFT_PICTURE_API_KEY", "sk-secret")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-other")
    monkeypatch.setenv("PROMPTLIFT_PICTURE_URL", "http://127.0.0.1:9")
    Illustrator.load(**options)
    assert not any("authorization" in headers for headers in comfyui.headers)
    monkeypatch.setenv("PROMPTLIFT_PICTURE_URL", comfyui.url)
    Illustrator.load(**options)
    assert comfyui.headers[-1]["authorization"] == "Bearer sk-secret"


def test_a_server_that_is_restarted_in_the_middle_is_waited_for(
    comfyui: FakeComfyUI, workflow: Path, draws: Draws
) -> None:
    port, said = free_port(), list[str]()
    first, second = FakeComfyUI(), FakeComfyUI()
    first.step_s = 0.05
    stop = threading.Event()

    def serve() -> None:
        with serving(first, port):
            while len(first.drawn) < 4:
                time.sleep(0.01)
        first.ended.set()
        with serving(second, port):
            stop.wait(60)
        second.ended.set()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        end = time.monotonic() + 20
        while not first.url and time.monotonic() < end:
            time.sleep(0.01)
        url = f"http://127.0.0.1:{port}"
        files, said = draws(backend="comfyui", url=url, workflow=str(workflow), seeds=2)
    finally:
        stop.set()
        thread.join()
    assert len(files) == 8
    assert any("asking again in" in line or "is gone" in line for line in said)
    # The one that was drawn when the server ended may have been drawn by both.
    twice = Counter({**Counter(first.drawn[1:])}) & Counter(second.drawn)
    assert len(twice) <= 1


def killed(command: list[str], enough: Any, log: Path) -> None:
    """Run a command and kill it once enough is done."""
    with open(log, "wb") as file, subprocess.Popen(command, stderr=file, stdout=file) as process:
        end = time.monotonic() + 120
        while not enough():
            assert process.poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.01)
        process.kill()


def test_a_job_that_is_killed_finds_what_it_asked_for(
    comfyui: FakeComfyUI, workflow: Path, improvements: Path, tmp_path: Path
) -> None:
    comfyui.step_s = 0.05
    run = tmp_path / "run"
    command = [
        sys.executable, "-m", "promptlift", "illustrate", "--prompts", str(improvements),
        "-o", str(run), "--backend", "comfyui", "--url", comfyui.url, "--workflow", str(workflow),
        "--seeds", "2", "--batch-size", "2",
    ]  # fmt: skip
    killed(command, lambda: len(comfyui.drawn) >= 4, tmp_path / "log")
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    expected = {(prompt, seed): 1 for prompt in PROMPTS for seed in (0, 1)}
    # One is drawn twice for its seed, again where the kill came before that was noted.
    assert set(comfyui.drawn) == set(expected)
    assert len(expected) < len(comfyui.drawn) <= len(expected) + 2
    assert len(read_index(run / "pictures")) == 8


@pytest.mark.slow
@NEEDS_IT
def test_comfyui_itself_draws_goes_on_and_cancels(
    workflow: Path, improvements: Path, tmp_path: Path
) -> None:
    base, port, log = base_folder(tmp_path / "comfyui", DRAWS), free_port(), tmp_path / "drawn.tsv"
    environment = {"DRAWS_STEP_S": "0.05", "DRAWS_LOG": str(log)}
    run = tmp_path / "run"
    command = [
        sys.executable, "-m", "promptlift", "illustrate", "--prompts", str(improvements),
        "-o", str(run), "--backend", "comfyui", "--url", f"http://127.0.0.1:{port}",
        "--workflow", str(workflow), "--seeds", "3", "--batch-size", "2",
    ]  # fmt: skip

    def drawn() -> Counter[str]:
        return Counter(log.read_text().splitlines()) if log.exists() else Counter()

    with running(base, port, **environment):
        killed(command, lambda: drawn().total() >= 4, tmp_path / "said")
    with open(tmp_path / "said", "wb") as file:  # ComfyUI has been killed as well
        process = subprocess.Popen([*command[:-1], "1"], stderr=file, stdout=file)
    with running(base, port, **environment):
        process.wait(120)
        if process.returncode:  # it had not come up in time
            subprocess.run(command, check=True, timeout=120)
    expected = {f"{prompt}\t{seed}": 1 for prompt in PROMPTS for seed in range(3)}
    found = drawn()
    assert found.keys() == expected.keys()
    # One or two for the seeds, and what the killed server had not handed over.
    assert found.total() <= len(expected) + 4
    assert len(read_index(run / "pictures")) == 12
    with running(base, port, **environment) as host:
        waiting = subprocess.Popen([*command[:7], *command[7:], "--steps", "90", "-o", f"{run}2"])
        end = time.monotonic() + 60
        while not host.call("/queue")["queue_running"]:
            assert time.monotonic() < end
            time.sleep(0.05)
        os.kill(waiting.pid, signal.SIGINT)
        assert waiting.wait(30) == 130
        end = time.monotonic() + 10
        while host.call("/queue")["queue_running"] and time.monotonic() < end:
            time.sleep(0.05)
        assert host.call("/queue") == {"queue_running": [], "queue_pending": []}
