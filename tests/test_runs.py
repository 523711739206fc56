"""The run folder: stages, what they were begun with, and what is refused."""

import errno
import json
import os
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest

from promptlift.errors import ConfigError, InputError, PromptliftError
from promptlift.runs import Run
from tests.conftest import another_process


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


def test_an_older_manifest_goes_on_under_the_new_names(tmp_path: Path) -> None:
    stage = {"state": "done", "config": {"variety": 0.5, "n": 2}, "inputs": {}}
    stages = {"improving": stage, "scoring_text": stage, "scoring pictures": stage}
    path = tmp_path / "run" / "manifest.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"schema_version": 1, "stages": {**stages, "experiment": stage}}))
    run = Run.open(path.parent)
    assert list(run.stages) == ["improving", "scoring-texts", "scoring-pictures", "experimenting"]
    run.begin("improving", {"diversity": 0.5, "n": 2}, {})
    found = json.loads(path.read_text())["stages"]
    assert found.keys() == run.stages.keys()
    assert found["scoring-texts"]["config"] == {"diversity": 0.5, "n": 2}
    with pytest.raises(ConfigError, match=r"diversity was 0\.5, now 0\.6"):
        run.check("improving", {"diversity": 0.6, "n": 2}, {})


def test_a_forgotten_stage_may_begin_with_other_settings(tmp_path: Path) -> None:
    run = Run.open(tmp_path / "run")
    run.begin("scoring", {"seed": 0}, {})
    run.forget("scoring")
    run.begin("scoring", {"seed": 1}, {})
    assert Run.open(tmp_path / "run").stage("scoring")["config"] == {"seed": 1}


def test_of_two_processes_the_second_is_told_and_a_killed_one_holds_nothing(
    tmp_path: Path,
) -> None:
    run = Run.open(tmp_path / "run")
    with another_process(run.folder, "drawn") as other:
        with pytest.raises(PromptliftError) as caught, run.alone("scored"):
            pass
        assert str(caught.value) == (
            f"{run.folder} is being drawn by another process (pid {other.pid}) already; "
            "wait for it, or name another folder"
        )
        other.kill()
        other.wait()
        assert [path.name for path in run.folder.iterdir()] == [".lock"]
        with Run.open(run.folder).alone("scored"):
            assert (run.folder / ".lock").read_text().startswith("scored ")
    assert [*run.folder.iterdir()] == []


KILLED = """
import os, signal, sys
from pathlib import Path
from promptlift.runs import Run
run = Run.open(Path(sys.argv[1]))
os.replace = lambda *paths: os.kill(os.getpid(), signal.SIGKILL)
with run.alone("trained"):
    run.begin("training", {}, {})
"""


def test_a_kill_in_the_first_write_of_a_manifest_blocks_nobody(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    done = subprocess.run([sys.executable, "-c", KILLED, folder])
    assert done.returncode == -signal.SIGKILL
    assert len([*folder.iterdir()]) == 2  # the lock and half a manifest
    run = Run.open(folder)
    with run.alone("trained"):
        run.begin("training", {}, {})
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "manifest.json"]


def test_a_folder_is_held_as_long_as_the_block_and_free_behind_it(tmp_path: Path) -> None:
    run = Run.open(tmp_path / "run")
    with run.alone("drawn"), run.alone("scored"):
        again = Run.open(run.folder).alone("scored")
        with pytest.raises(PromptliftError, match="drawn by this process already"), again:
            pass
        run.begin("drawing", {}, {})
    with another_process(run.folder, "scored") as other:
        # What the other has done meanwhile is not lost.
        Run.open(run.folder).begin("scoring", {}, {})
        other.communicate("")
    with run.alone("drawn"):
        run.finish("drawing", {})
    assert set(Run.open(run.folder)._manifest["stages"]) == {"drawing", "scoring"}
    assert not (run.folder / ".lock").exists()


def test_a_block_that_leaves_nothing_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError), Run.open(tmp_path / "run").alone("drawn"):
        raise InputError("nothing to draw")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("nested", [False, True])
def test_ctrl_c_leaves_no_stage_running(tmp_path: Path, nested: bool) -> None:
    run = Run.open(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt), run.alone("scored"):
        run.begin("drawing", {}, {})
        run.finish("drawing", {})
        run.begin("scoring", {}, {})
        with run.alone("drawn") if nested else nullcontext():
            raise KeyboardInterrupt
    states = {name: Run.open(run.folder).stage(name)["state"] for name in ("drawing", "scoring")}
    assert states == {"drawing": "done", "scoring": "interrupted"}


def test_a_folder_that_cannot_be_written_to_is_no_hindrance_to_reading(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Run.open(tmp_path / "run").begin("drawing", {}, {})

    def refuse(*given: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    run = Run.open(tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refuse)  # not the mode: root may write anywhere
        with run.alone("scored"):
            assert run.stage("drawing")["state"] == "running"
