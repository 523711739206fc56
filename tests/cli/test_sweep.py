"""`promptlift sweep` as a user meets it."""

import os
import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from promptlift.runs import Run as RunFolder
from promptlift.sweeping.journal import Journal, Trial
from promptlift.sweeping.results import results_of
from tests.cli.conftest import Run, error_line
from tests.sweeping.conftest import Files

GRID = "train.epochs = [1.0, 2.0]"


def test_ctrl_c_is_one_line_and_the_same_command_goes_on(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, folder = Files(tmp_path)("", GRID), tmp_path / "sweep"
    after = Journal.note

    def press(self: Journal, trial: Trial, losses: Sequence[float]) -> None:
        after(self, trial, losses)
        if trial.number == 1 and len(losses) == 1:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Journal, "note", press)
    stopped = run("sweep", path, "-o", folder)
    assert stopped.exit_code == 130
    assert "interrupted; the same command goes on from there" in stopped.stderr
    assert RunFolder.open(folder).stage("sweeping")["state"] == "interrupted"
    monkeypatch.undo()
    done = run("sweep", path, "-o", folder)
    assert done.exit_code == 0, done.stderr
    assert "trial 1, 2 of 2" in done.stderr and "trial 0, 1 of 2" not in done.stderr
    assert "going on from checkpoint" in done.stderr
    assert done.stdout.strip() == str(folder / "report" / "index.html")
    assert [len(one["losses"]) for one in results_of(folder)["trials"]] == [1, 2]


def test_the_command_says_what_it_would_try_and_what_is_wrong(run: Run, tmp_path: Path) -> None:
    files, folder = Files(tmp_path), tmp_path / "sweep"
    plan = run("sweep", "pocket-learning-rate", "--check")
    assert plan.exit_code == 0, plan.stderr
    assert "18 trials: 6 settings with 3 seeds each, proposed by TPE" in plan.stdout
    copied = run("sweep", "paper-epochs", "--copy", tmp_path / "mine.toml")
    assert copied.exit_code == 0 and (tmp_path / "mine.toml").exists()
    wrong = run("sweep", files("", "train.epoch = [1]"), "-o", folder)
    assert wrong.exit_code == 2 and "did you mean epochs?" in error_line(wrong)
    assert not folder.exists()
    assert run("sweep", files("", GRID), "-o", folder).exit_code == 0
    changed = run("sweep", files("", "train.epochs = [3.0]"), "-o", folder)
    assert changed.exit_code == 2 and "begun with other settings" in error_line(changed)
    report = run("report", folder, "-o", tmp_path / "page")
    assert report.exit_code == 0 and report.stdout.strip() == str(tmp_path / "page" / "index.html")
    compared = run("compare", folder / "trials" / "000", folder / "trials" / "001")
    assert compared.exit_code == 0 and "training, epochs" in compared.stdout
