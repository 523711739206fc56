"""Votes are kept as they were given, whatever happens."""

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlift.errors import ConfigError, InputError
from promptlift.judging.collecting.store import Conflict, VoteStore
from promptlift.judging.collecting.study import FILE, Study
from promptlift.judging.collecting.tables import export_votes, import_votes
from promptlift.judging.config import JudgingConfig
from promptlift.judging.records import ANSWERS, Rater
from promptlift.tables import read_rows, write_rows
from tests.judging.runs import draw_run


def answer(study: Study, rater: Rater, choice: str, key: str) -> None:
    place = study.store.place(rater, study.questions)
    assert place.question is not None
    study.store.vote(
        rater,
        study.questions,
        position=place.position,
        question=place.question,
        answer=choice,
        seconds=1.5,
        page_version="test",
        key=key,
    )


def undo(study: Study, rater: Rater, key: str) -> None:
    study.store.undo(rater, study.questions, page_version="test", key=key)


def test_votes_know_their_sides(study: Study) -> None:
    ada = study.store.raters()[0]
    for number in range(study.store.place(ada, study.questions).total * 2):
        answer(study, ada, "left", f"key-{number:04d}")
    assert study.store.place(ada, study.questions).question is None
    votes = study.store.votes()
    judged = [vote for vote in votes if vote.purpose == "judge"]
    assert {vote.winner for vote in judged} == {"original", "improved"}
    wins = sum(vote.winner == "improved" for vote in judged)
    assert wins * 2 == len(judged)  # sides are balanced, so "left" prefers neither
    for vote in votes:
        if vote.purpose == "attention":
            assert {vote.left, vote.right} == {"spoiled", "whole"}
        if vote.purpose == "repeat":
            [first] = [
                one for one in judged if (one.pair, one.question) == (vote.pair, vote.question)
            ]
            assert (vote.left, vote.right) == (first.right, first.left)


def test_a_vote_sent_twice_counts_once(study: Study) -> None:
    ada = study.store.raters()[0]
    answer(study, ada, "left", "same-key")
    place = study.store.place(ada, study.questions)
    again = study.store.vote(
        ada,
        study.questions,
        position=0,
        question="match",
        answer="left",
        seconds=1.0,
        page_version="test",
        key="same-key",
    )
    assert again == place
    assert len(study.store.votes()) == 1


def test_a_vote_on_another_question_is_refused(study: Study) -> None:
    ada = study.store.raters()[0]
    with pytest.raises(Conflict, match="another question"):
        study.store.vote(
            ada,
            study.questions,
            position=3,
            question="match",
            answer="left",
            seconds=1.0,
            page_version="test",
            key="key-0000",
        )
    assert study.store.records() == []


@pytest.mark.slow
@given(st.lists(st.sampled_from([*ANSWERS, "undo"]), max_size=40))
def test_undo_gives_what_a_stack_would(tmp_path_factory: Any, moves: list[str]) -> None:
    run = draw_run(tmp_path_factory.mktemp("undo") / "run", 3)
    study = Study.open([run], JudgingConfig())
    [me] = study.store.raters()
    stack: list[str] = []
    recorded = 0
    for number, move in enumerate(moves):
        if move == "undo":
            undo(study, me, f"key-{number:04d}")
            recorded += bool(stack)
            stack = stack[:-1]
        elif study.store.place(me, study.questions).question is not None:
            answer(study, me, move, f"key-{number:04d}")
            recorded += 1
            stack.append(move)
    assert [vote.answer for vote in study.store.votes()] == stack
    assert len(study.store.records()) == recorded  # nothing was ever overwritten
    place = study.store.place(me, study.questions)
    assert place.position * 2 + (place.question == "picture") == len(stack)
    study.store.close()


def test_votes_cannot_be_changed(study: Study, run: Path) -> None:
    answer(study, study.store.raters()[0], "left", "key-0000")
    with sqlite3.connect(run / FILE) as connection:
        for change in ("UPDATE votes SET answer = 'right'", "DELETE FROM votes"):
            with pytest.raises(sqlite3.IntegrityError, match="votes stay"):
                connection.execute(change)


def test_raters_at_once_do_no_harm(study: Study, run: Path) -> None:
    """Two threads a rater, each with a store of its own, as two servers on one file."""
    stores = [VoteStore(run / FILE) for _ in range(4)]
    errors: list[Exception] = []

    def vote_all(store: VoteStore, rater: Rater, name: str) -> None:
        try:
            for number in range(200):
                place = store.place(rater, study.questions)
                if place.question is None:
                    return
                try:
                    store.vote(
                        rater,
                        study.questions,
                        position=place.position,
                        question=place.question,
                        answer="tie",
                        seconds=0.1,
                        page_version="test",
                        key=f"{name}-{number:06d}",
                    )
                except Conflict:
                    continue  # the other thread of this rater was faster
        except Exception as error:
            errors.append(error)

    raters = study.store.raters() * 2
    threads = [
        threading.Thread(target=vote_all, args=(store, rater, f"thread{place}"))
        for place, (store, rater) in enumerate(zip(stores, raters, strict=True))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    records = study.store.records()
    totals = [study.store.place(rater, study.questions).total for rater in raters[:2]]
    assert len(records) == sum(totals) * 2
    assert len({(row["rater"], row["position"], row["question"]) for row in records}) == len(
        records
    )
    for store in stores:
        store.close()


def test_a_vote_is_on_the_disk_when_it_is_answered(run: Path) -> None:
    """A process that is killed right after a vote, without closing anything, loses none."""
    script = """
import os, signal, sys
from pathlib import Path
from promptlift.judging.config import JudgingConfig
from promptlift.judging.collecting.study import Study
study = Study.open([Path(sys.argv[1])], JudgingConfig())
[me] = study.store.raters()
for number in range(int(sys.argv[2])):
    place = study.store.place(me, study.questions)
    study.store.vote(me, study.questions, position=place.position, question=place.question,
                     answer="left", seconds=1, page_version="test",
                     key=f"{sys.argv[2]}-{number:06d}")
os.kill(os.getpid(), signal.SIGKILL)
"""
    for count in (3, 4):
        done = subprocess.run([sys.executable, "-c", script, str(run), str(count)])
        assert done.returncode == -9
    study = Study.open([run], None)
    assert len(study.store.votes()) == 7


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


def test_other_settings_are_refused(study: Study, run: Path) -> None:
    with pytest.raises(ConfigError, match="raters was"):
        Study.open([run], JudgingConfig(raters=("cleo",)))
    assert study.questions == ("match", "picture")


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "no.sqlite").write_bytes(b"no database " * 100)
    with pytest.raises(InputError, match="cannot be used as a file of votes"):
        VoteStore(tmp_path / "no.sqlite")
    with sqlite3.connect(tmp_path / "other.sqlite") as other:
        other.execute("CREATE TABLE a (b)")
    with pytest.raises(InputError, match="no file of votes"):
        VoteStore(tmp_path / "other.sqlite")


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


def test_problems_are_named_together() -> None:
    with pytest.raises(ConfigError, match=r"per_pair is 3.*; questions is what"):
        JudgingConfig(per_pair=3, questions=("what",))


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
