"""Votes are kept as they were given, whatever happens."""

import shutil
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlift.errors import InputError
from promptlift.judging.collecting.store import Conflict, VoteStore
from promptlift.judging.collecting.study import FILE, Study
from promptlift.judging.config import JudgingConfig
from promptlift.judging.records import ANSWERS, SIMULATED, Rater
from tests.judging.runs import answer, draw_run, undo, vote_all


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


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / "no.sqlite").write_bytes(b"no database " * 100)
    with pytest.raises(InputError, match="cannot be used as a file of votes"):
        VoteStore(tmp_path / "no.sqlite")
    with sqlite3.connect(tmp_path / "other.sqlite") as other:
        other.execute("CREATE TABLE a (b)")
    with pytest.raises(InputError, match="no file of votes"):
        VoteStore(tmp_path / "other.sqlite")


def test_votes_of_a_copy_leave_the_first_open_pair_open(tmp_path: Path) -> None:
    run = draw_run(tmp_path / "run", 4)
    here = Study.open([run], JudgingConfig(raters=("ada",), questions=("match",), repeats=0.0))
    [ada] = here.store.raters()
    here.store.close()
    copy = Study.open([Path(shutil.copytree(run, tmp_path / "copy"))], None)
    vote_all(copy, 1.0)
    there = copy.store.records()
    here = Study.open([run], None)
    assert here.store.add_records([there[1]]) == 1
    place = here.store.place(ada, here.questions)
    assert (place.position, place.total) == (0, 4)
    answer(here, here.store.raters()[0], "tie", "own-key-0")
    assert here.store.place(ada, here.questions).position == 2
    with pytest.raises(InputError, match=r"pair 1 would have two votes of a rater on 'match'"):
        here.store.add_records(there)
    assert len(here.store.votes()) == 2


def test_an_undo_on_both_copies_is_one(tmp_path: Path) -> None:
    run = draw_run(tmp_path / "run", 3)
    here = Study.open([run], JudgingConfig(raters=("ada",), questions=("match",), repeats=0.0))
    answer(here, here.store.raters()[0], "tie", "own-key-0")
    here.store.close()
    copy = Study.open([Path(shutil.copytree(run, tmp_path / "copy"))], None)
    here = Study.open([run], None)
    for study in (here, copy):
        [ada] = study.store.raters()
        study.store.undo(ada, study.questions, page_version="test", key=f"undo-{study.folder.name}")
    assert here.store.add_records(copy.store.records()) == 0


def test_votes_of_programs_are_not_imported_as_those_of_people(tmp_path: Path) -> None:
    run = draw_run(tmp_path / "run", 3)
    config = JudgingConfig(raters=("ada",), questions=("match",), repeats=0.0)
    study = Study.open([run], config, kind=SIMULATED)
    vote_all(study, 1.0)
    assert {vote.kind for vote in study.store.votes()} == {SIMULATED}
    rows = [{**row, "kind": "person"} for row in study.store.records()]
    with pytest.raises(InputError, match="is a vote of a person, and ada is a simulated here"):
        study.store.add_records(rows)
