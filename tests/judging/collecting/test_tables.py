"""Votes travel as files, and nothing else is taken for one."""

import sqlite3
from pathlib import Path

import pytest

from promptlift.errors import InputError
from promptlift.judging.collecting.store import VoteStore
from promptlift.judging.collecting.study import FILE, Study
from promptlift.judging.collecting.tables import export_votes, import_votes
from promptlift.judging.config import JudgingConfig
from promptlift.tables import read_rows, write_rows
from tests.judging.runs import answer, draw_run, undo


@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl", "tsv"])
def test_export_and_import_round_trip(study: Study, run: Path, tmp_path: Path, ending: str) -> None:
    ada, ben = study.store.raters()
    answer(study, ada, "left", "key-0001")
    answer(study, ben, "both_bad", "key-0002")
    undo(study, ada, "key-0003")
    answer(study, ada, "skip", "key-0004")
    before = study.store.records()
    file = tmp_path / f"votes.{ending}"
    assert export_votes(study.store, file) == 4
    assert len(list(read_rows(file))) == 4
    assert import_votes(study.store, file) == 0  # all are known

    # A copy of the study without votes gets them all.
    copy = tmp_path / "copy.sqlite"
    with sqlite3.connect(run / FILE) as theirs, sqlite3.connect(copy) as ours:
        theirs.backup(ours)
        for name in ("votes_stay", "votes_remain"):
            ours.execute(f"DROP TRIGGER {name}")
        ours.execute("DELETE FROM votes")
    other = VoteStore(copy)
    assert import_votes(other, file) == 4
    assert other.records() == before
    other.close()


def test_votes_of_another_study_are_refused(study: Study, tmp_path: Path) -> None:
    answer(study, study.store.raters()[0], "left", "key-0001")
    export_votes(study.store, tmp_path / "votes.csv")
    other = Study.open([draw_run(tmp_path / "other", 12)], JudgingConfig(raters=("ada", "ben")))
    with pytest.raises(InputError, match="another study"):
        import_votes(other.store, tmp_path / "votes.csv")
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="no exported vote"):
        import_votes(other.store, tmp_path / "bad.csv")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"question": "beauty"}, "row 1 is no vote and no undo; nothing was added"),
        ({"answer": "both"}, "row 1 is no vote and no undo; nothing was added"),
        ({"seconds": "nan"}, r"no exported vote \(seconds is nan\)"),
    ],
)
def test_rows_that_are_no_votes_are_refused(
    study: Study, run: Path, tmp_path: Path, change: dict[str, str], said: str
) -> None:
    answer(study, study.store.raters()[0], "left", "key-0001")
    [row] = study.store.records()
    write_rows(tmp_path / "votes.csv", [{**row, "key": "key-0002", **change}], list(row))
    with pytest.raises(InputError, match=said):
        import_votes(study.store, tmp_path / "votes.csv")
    assert len(study.store.records()) == 1
