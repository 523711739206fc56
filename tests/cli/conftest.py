"""The command line, in this process with a tiny model, or as a command of its own."""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer
from transformers import T5ForConditionalGeneration
from typer.testing import CliRunner, Result

from promptlift.cli import app
from promptlift.export.export import export_model
from promptlift.improving.manifest import ModelCard
from promptlift.training.config import POCKET_MODES

Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    """Runs `promptlift ARGS` here; `input` is what standard input holds."""

    def call(*args: object, input: str | bytes | None = None) -> Result:
        return CliRunner().invoke(app, [str(arg) for arg in args], input=input)

    return call


@pytest.fixture(scope="session")
def exported(t5v11_folder: Path, own_words: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny T5 1.1 made to write words: left alone, it writes bytes that are no text."""
    root = tmp_path_factory.mktemp("talking")
    folder = shutil.copytree(t5v11_folder, root / "talking")
    model = T5ForConditionalGeneration.from_pretrained(folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    for piece, token in tokenizer.get_vocab().items():
        if piece.startswith("<"):
            model.lm_head.weight.data[token] = 0.0
    model.save_pretrained(str(folder))
    # Beyond these few, bytes would be drawn again.
    ModelCard(name="talking", modes=POCKET_MODES, decoding={"top_k": 10}).write(folder)
    export_model(folder, root / "exported", calibration=own_words)
    return root / "exported"


@pytest.fixture
def tiny(exported: Path) -> list[str]:
    """Options that choose the tiny model and keep its results short."""
    return ["--model", str(exported), "--threads", "1", "--max-new-tokens", "6"]


@pytest.fixture
def improve(run: Run, tiny: list[str]) -> Run:
    """Runs `promptlift improve ARGS` with the tiny model."""

    def call(*args: object, input: str | bytes | None = None) -> Result:
        return run("improve", *args, *tiny, input=input)

    return call


def command(*args: object, before: str = "") -> list[str]:
    """A command line that runs `promptlift ARGS` in its own process, after some code."""
    code = f"{before}\nfrom promptlift.cli import main\nmain()"
    return [sys.executable, "-c", code, *map(str, args)]


def spawn(*args: object, before: str = "", **options: Any) -> subprocess.CompletedProcess[str]:
    """Run `promptlift ARGS` in its own process."""
    line = command(*args, before=before)
    return subprocess.run(line, capture_output=True, text=True, timeout=600, **options)


def objects(text: str) -> list[dict[str, Any]]:
    """JSON objects, one a line."""
    return [json.loads(line) for line in text.split("\n")[:-1]]


def error_line(result: Result) -> str:
    """The only line on stderr, which must be an error."""
    [line] = result.stderr.splitlines()
    assert line.startswith("promptlift: error: ")
    return line
