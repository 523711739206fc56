"""Errors become one line and an exit status, whatever the command."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from promptlift.cli import door
from promptlift.errors import ConfigError, InputError, MissingExtraError, ModelError
from tests.cli.conftest import Run, spawn


@pytest.fixture(autouse=True)
def no_debug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "debug", False)


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (InputError("a row is broken"), 1, "error: a row is broken"),
        (ModelError("no model"), 1, "error: no model"),
        (MissingExtraError("Parquet", "parquet"), 1, "pip install 'promptlift[parquet]'"),
        (ConfigError("n is 0"), 2, "error: n is 0"),
        (PermissionError(13, "Permission denied", "out.csv"), 1, "out.csv: Permission denied"),
        (KeyboardInterrupt(), 130, "go on"),
    ],
)
def test_each_error_has_its_status(
    error: BaseException, status: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as caught, door.guarded("go on"):
        raise error
    assert caught.value.exit_code == status
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("error", [InputError("broken"), OSError(5, "Input/output error")])
def test_debug_shows_the_traceback(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "debug", True)
    with pytest.raises(type(error)), door.guarded():
        raise error


def test_our_own_mistakes_are_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError), door.guarded():
        print(1 / 0)


def test_help_and_version(run: Run) -> None:
    assert run("--version").stdout == "promptlift 0.1.0\n"
    for args in ([], ["improve"], ["train"], ["export"], ["doctor"], ["pairs", "build"]):
        result = run(*args, "--help")
        assert result.exit_code == 0
        assert "Usage: promptlift" in result.stdout
    assert 'promptlift improve "a cat in armor" "a lighthouse"' in run("improve", "-h").stdout


def test_runs_as_a_module() -> None:
    line = [sys.executable, "-m", "promptlift", "--version"]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert done.stdout == "promptlift 0.1.0\n"


def test_a_pipe_that_lacks_a_letter_gets_a_question_mark(exported: Path) -> None:
    done = spawn(
        "improve", "a café 猫", "--model", exported, "--threads", 1, "--max-new-tokens", 1,
        env={**os.environ, "PYTHONIOENCODING": "latin-1"}, encoding="latin-1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("a café ?")
