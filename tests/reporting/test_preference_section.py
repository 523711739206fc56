"""What people prefer, on the page of a run."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from promptlift.judging.config import JudgingConfig
from promptlift.judging.study import Study
from promptlift.reporting.page import figure
from promptlift.reporting.picture_data import read_pictures
from promptlift.reporting.plots import save
from promptlift.reporting.preference_section import preference
from tests.judging.runs import draw_run
from tests.judging.test_results import vote_all


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return draw_run(tmp_path / "run", 20)


def section(run: Path) -> str:
    def draw(plot: Any, name: str, caption: str) -> Any:
        return figure(save(plot, run / "report", name), caption)

    found = preference(run, read_pictures(run), draw)
    return "" if found is None else found.body


def test_a_run_that_nobody_judges_has_no_section(run: Path) -> None:
    assert section(run) == ""


def test_a_study_without_votes_gives_no_figures(run: Path) -> None:
    Study.open([run], JudgingConfig(raters=("ada",)))
    assert "no votes of a person yet" in section(run) and "79" not in section(run)


def test_votes_stand_beside_the_paper(run: Path) -> None:
    config = JudgingConfig(raters=("ada", "ben"), per_pair=2, repeats=0.2, attention=2)
    vote_all(Study.open([run], config), 1.0)
    found = section(run)
    # 40 of 40 and 79 of 100 by Wilson's formula; statsmodels gives the same.
    assert "100.0% (91.2% to 100.0%)" in found
    assert "79.0% (70.0% to 85.8%)" in found
    assert "won 40, lost 0, tied 0" in found and "2 of 2" in found
    for question in ("match", "picture"):
        assert (run / "report" / f"preference-{question}-improved.svg").is_file()


def test_simulated_votes_never_count_as_people(run: Path) -> None:
    study = Study.open([run], JudgingConfig(raters=("ada",)))
    vote_all(study, 1.0)
    with sqlite3.connect(study.store.path) as connection:
        connection.execute("UPDATE raters SET kind = 'simulated'")
    connection.close()
    assert "votes of programs do not count" in section(run)
    assert "100.0%" not in section(run)
