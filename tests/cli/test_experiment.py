"""`promptlift experiment`: what it says before and instead of running."""

from pathlib import Path

import pytest

from promptlift.experimenting.config import read_config
from tests.cli.conftest import Run, error_line
from tests.experimenting.test_needs import NO_GPU


def test_the_plan_is_shown_and_nothing_is_done(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("experiment", "pocket", "--check", "--judge")
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "experiment pocket in runs/pocket"
    assert lines[1] == "  1 of 10  pairs of 8300 scenes of the pocket world"
    assert lines[9] == "  9 of 10  blind votes of me"
    assert "coloured shapes" in lines[-1] and "--model sdxl" in lines[-1]
    assert not list(tmp_path.iterdir())


@NO_GPU
def test_the_papers_plan_names_what_is_missing(run: Run) -> None:
    result = run("experiment", "paper", "--check", "-o", "elsewhere")
    assert result.exit_code == 1
    assert "google/flan-t5-base is to be downloaded (1.0 GB): hf download" in result.stdout
    assert "missing: a GPU" in result.stdout and "coloured" not in result.stdout
    refused = run("experiment", "paper", "-o", "elsewhere")
    assert refused.exit_code == 1 and "it lacks a GPU" in error_line(refused)
    assert not Path("elsewhere").exists()


def test_a_config_is_copied(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    result = run("experiment", "pocket", "--copy", path)
    assert result.exit_code == 0 and str(path) in result.stderr
    assert path.read_text() == read_config("pocket")
    again = run("experiment", "pocket", "--copy", path)
    assert again.exit_code == 2 and "exists" in error_line(again)
    assert run("experiment", path, "--check").stdout.startswith("experiment pocket in ")


def test_a_wrong_config_is_one_line(run: Run) -> None:
    result = run("experiment", "papers")
    assert result.exit_code == 2 and "Did you mean paper?" in error_line(result)
