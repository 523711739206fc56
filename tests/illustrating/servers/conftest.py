"""Servers that draw, and a run that draws with them."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from promptlift import Illustrator
from promptlift.illustrating.job import IllustrationJob
from promptlift.runs import Run
from tests.illustrating.servers.hosts import FakeA1111, FakeComfyUI, FakeImages, serving

Draws = Callable[..., tuple[list[str], list[str]]]
WORKFLOW: dict[str, Any] = {
    "1": {"class_type": "DrawsLoader", "inputs": {"ckpt_name": "tiny.safetensors"}},
    "2": {"class_type": "DrawsText", "inputs": {"text": "a placeholder", "clip": ["1", 1]}},
    "3": {"class_type": "DrawsText", "inputs": {"text": "blurry", "clip": ["1", 1]}},
    "4": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
    "5": {
        "class_type": "DrawsSampler",
        "inputs": {
            "model": ["1", 0], "seed": 1, "steps": 4, "cfg": 7.0, "sampler_name": "euler",
            "positive": ["2", 0], "negative": ["3", 0], "latent_image": ["4", 0],
        },
    },
    "6": {"class_type": "SaveImage", "inputs": {"images": ["5", 0], "filename_prefix": "test"}},
}  # fmt: skip


@pytest.fixture
def workflow(tmp_path: Path) -> Path:
    path = tmp_path / "workflow.json"
    path.write_text(json.dumps(WORKFLOW))
    return path


@pytest.fixture
def comfyui() -> Iterator[FakeComfyUI]:
    fake = FakeComfyUI()
    with serving(fake):
        yield fake
    fake.ended.set()


@pytest.fixture
def a1111() -> Iterator[FakeA1111]:
    fake = FakeA1111()
    with serving(fake):
        yield fake


@pytest.fixture
def images() -> Iterator[FakeImages]:
    fake = FakeImages()
    with serving(fake):
        yield fake


@pytest.fixture
def improvements(tmp_path: Path) -> Path:
    """Two prompts, each with an improvement."""
    rows = [("a cat", "a cat, soft light"), ("a dog", "a dog, on a beach")]
    path = tmp_path / "improvements.jsonl"
    lines = [json.dumps({"source": source, "prompt": prompt}) for source, prompt in rows]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def draws(tmp_path: Path, improvements: Path) -> Draws:
    """Draws the improvements into a run; returns the files drawn and the lines reported."""

    def call(folder: str = "run", **options: Any) -> tuple[list[str], list[str]]:
        said: list[str] = []
        illustrator = Illustrator.load(report=said.append, **options)
        run = Run.open(tmp_path / folder)
        job = IllustrationJob(run, improvements, illustrator, report=said.append)
        return [item.picture.file for item in job], said

    return call
