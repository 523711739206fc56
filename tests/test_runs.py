"""The run folder: stages, what they were begun with, and what is refused."""

import json
from pathlib import Path

import pytest

from promptlift.errors import ConfigError, InputError
from promptlift.runs import Run


def test_a_stage_is_begun_interrupted_and_finished(tmp_path: Path) -> None:
    run = Run.open(tmp_path / "run")
    run.begin("training", {"seed": 1}, {"pairs.csv": "ab"})
    assert Run.open(run.folder).stage("training")["state"] == "running"
    run.interrupt("training")
    run.begin("training", {"seed": 1}, {"pairs.csv": "ab"})
    run.finish("training", {"loss": 1.5})
    stage = Run.open(run.folder).stage("training")
    assert (stage["state"], stage["results"]) == ("done", {"loss": 1.5})
    run.begin("scoring", {"n": 2}, {})
    config = json.loads((run.folder / "config.json").read_text())
    assert config == {"schema_version": 1, "training": {"seed": 1}, "scoring": {"n": 2}}


def test_checking_changes_nothing(tmp_path: Path) -> None:
    run = Run.open(tmp_path / "run")
    run.begin("training", {"seed": 1}, {"a": "x"})
    before = (run.folder / "manifest.json").read_bytes()
    run.check("training", {"seed": 1}, {"a": "x"})
    with pytest.raises(ConfigError, match=r"seed was 1, now 2; a was 'x', now 'y'"):
        run.check("training", {"seed": 2}, {"a": "y"})
    assert (run.folder / "manifest.json").read_bytes() == before


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "cannot be read"), ("{}", "cannot be read"), ('{"stages": {}}', "another version")],
)
def test_foreign_manifests_are_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(InputError, match=message):
        Run.open(tmp_path)


def test_a_forgotten_stage_may_begin_with_other_settings(tmp_path: Path) -> None:
    run = Run.open(tmp_path / "run")
    run.begin("scoring", {"seed": 0}, {})
    run.forget("scoring")
    run.begin("scoring", {"seed": 1}, {})
    assert Run.open(tmp_path / "run").stage("scoring")["config"] == {"seed": 1}
