"""A study keeps to its settings, and pairs pictures across runs."""

from pathlib import Path

import pytest

from promptlift.errors import ConfigError, InputError
from promptlift.judging.collecting.store import VoteStore
from promptlift.judging.collecting.study import FILE, Study
from promptlift.judging.config import JudgingConfig
from tests.judging.runs import draw_run


def test_other_settings_are_refused(study: Study, run: Path) -> None:
    with pytest.raises(ConfigError, match="raters was"):
        Study.open([run], JudgingConfig(raters=("cleo",)))
    assert study.questions == ("match", "picture")


def test_a_run_without_pictures_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Draw them"):
        Study.open([tmp_path], JudgingConfig())
    assert not (tmp_path / FILE).exists()


def test_several_runs_are_judged_each_with_each(tmp_path: Path) -> None:
    runs = [draw_run(tmp_path / name, 3, seed=seed) for seed, name in enumerate(("flan", "mine"))]
    study = Study.open(runs, JudgingConfig())
    systems = {pair.systems for pair in study.store.pairs()}
    assert systems == {
        ("original", "improved (flan)"),
        ("original", "improved (mine)"),
        ("improved (flan)", "improved (mine)"),
    }
    assert len(study.store.pairs()) == 9


def test_a_file_without_an_assignment_has_no_votes_and_can_get_one(run: Path) -> None:
    """A kill between making the file and assigning pairs leaves this."""
    VoteStore(run / "judging" / "votes.sqlite").close()
    with pytest.raises(InputError, match="has no votes yet"):
        Study.open([run], None)
    assert Study.open([run], JudgingConfig()).store.pairs()


def test_two_runs_of_one_name_are_refused(tmp_path: Path) -> None:
    runs = [draw_run(tmp_path / place / "run", 2) for place in ("here", "there")]
    with pytest.raises(InputError, match="two of the runs are named run"):
        Study.open(runs, JudgingConfig())
    assert not (runs[0] / "judging").exists()
