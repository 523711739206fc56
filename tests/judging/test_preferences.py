"""Votes as preferences."""

from pathlib import Path

import pytest

from promptlift.errors import InputError
from promptlift.judging.collecting.study import Study
from promptlift.judging.config import JudgingConfig
from promptlift.judging.preferences import preferences_of
from tests.judging.runs import draw_run, vote_all


@pytest.fixture
def study(tmp_path: Path) -> Study:
    config = JudgingConfig(raters=("ada", "ben"), per_pair=2, repeats=0.2, attention=1)
    return Study.open([draw_run(tmp_path / "run", 20, seeds=2)], config)


def test_votes_of_raters_and_seeds_on_one_prompt_are_one_preference(study: Study) -> None:
    vote_all(study, 1.0)
    rows, undecided = preferences_of(study, "picture")
    assert len(rows) == 20 and undecided == 0
    for row in rows:
        assert (row.votes, row.margin, row.ties, row.kind) == (4, 1.0, 0, "person")
        assert row.rejected == row.prompt and row.chosen == f"{row.prompt}, sharp focus"


def test_what_votes_do_not_decide_is_counted(study: Study) -> None:
    vote_all(study, 0.5)
    rows, undecided = preferences_of(study, "picture")
    assert len(rows) + undecided == 20 and undecided > 0
    assert {row.margin for row in rows} <= {0.5, 1.0}  # 3 or 4 of 4 votes


def test_votes_of_programs_are_no_preferences_of_people(study: Study) -> None:
    with pytest.raises(InputError, match="has no votes of a person on 'picture'"):
        preferences_of(study, "picture")
    vote_all(study, 1.0)
    with pytest.raises(InputError, match="no votes of a simulated"):
        preferences_of(study, "picture", kind="simulated")
