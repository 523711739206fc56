"""Statistics of a whole study."""

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from promptlift.errors import InputError
from promptlift.judging.collecting.study import Study
from promptlift.judging.config import JudgingConfig
from promptlift.judging.records import SIMULATED, Pair
from promptlift.judging.statistics.results import agreement_with_metrics, results_of, write_results
from tests.judging.runs import draw_run


def vote_all(study: Study, prefers: float | Callable[[Pair], float], seed: int = 0) -> None:
    """Raters who prefer improved pictures so often, and answer the same of repeated pairs."""
    rng = random.Random(seed)
    for rater in study.store.raters():
        likes: dict[int, str] = {}
        while (place := study.store.place(rater, study.questions)).question is not None:
            found = study.store.task(rater, place.position)
            assert found is not None
            task, pair = found
            share = prefers(pair) if callable(prefers) else prefers
            better = "improved" if rng.random() < share else "original"
            better = likes.setdefault(pair.id, better)
            systems = ("spoiled", "whole") if task.purpose == "attention" else pair.systems
            liked = "whole" if task.purpose == "attention" else better
            left = systems[1] if task.swapped else systems[0]
            study.store.vote(
                rater,
                study.questions,
                position=place.position,
                question=place.question,
                answer="left" if left == liked else "right",
                seconds=1.0,
                page_version="test",
                key=f"{rater.name}-{place.position:04d}-{place.question}",
            )


@pytest.fixture
def judged(tmp_path: Path) -> Study:
    config = JudgingConfig(raters=("ada", "ben"), per_pair=2, repeats=0.2, attention=2)
    study = Study.open([draw_run(tmp_path / "run", 25)], config)
    vote_all(study, 1.0)
    return study


def test_results_of_raters_who_always_prefer_the_improved(judged: Study) -> None:
    results = results_of(judged)
    assert set(results["questions"]) == {"match", "picture"}
    for found in results["questions"].values():
        part = found["systems"]["improved"]
        tally = part["rates"]["together"]
        assert (tally["wins"], tally["losses"], tally["ties"]) == (50, 0, 0)
        assert tally["rates"]["ties_lose"]["rate"] == 1.0
        assert part["evidence"]["stop"] <= 10
        assert part["evidence"]["low"] > 0.5
        for check in found["raters"]:
            assert check["consistency"] == 1.0
            assert (check["attention"], check["attention_passed"]) == (2, 2)
            assert check["left_test"] > 0.5  # sides are balanced
    assert write_results(judged, results).is_file()


def test_a_metric_is_compared_with_people(judged: Study) -> None:
    right = {(index, 0): 1.0 for index in range(25)}
    gains = {"right": right, "wrong": dict.fromkeys(right, -1.0), "other run": {(99, 0): 1.0}}
    found = agreement_with_metrics(judged, gains, question="picture")
    assert found["right"]["accuracy"] == 1.0
    assert found["wrong"]["accuracy"] == 0.0
    assert "other run" not in found


def test_several_systems_have_strengths(tmp_path: Path) -> None:
    runs = [draw_run(tmp_path / name, 30, seed=seed) for seed, name in enumerate(("flan", "mine"))]
    study = Study.open(runs, JudgingConfig(questions=("picture",)))
    rng = random.Random(0)
    [me] = study.store.raters()
    rank = {"original": 0, "improved (flan)": 1, "improved (mine)": 2}
    while (place := study.store.place(me, study.questions)).question is not None:
        found = study.store.task(me, place.position)
        assert found is not None
        task, pair = found
        left, right = pair.systems[::-1] if task.swapped else pair.systems
        likes_left = (rank[left] > rank[right]) != (rng.random() < 0.3)
        study.store.vote(
            me, study.questions, position=place.position, question="picture",
            answer="left" if likes_left else "right", seconds=1.0, page_version="test",
            key=f"key-{place.position:06d}",
        )  # fmt: skip
    results = results_of(study)["questions"]["picture"]
    assert set(results["systems"]) == {"improved (flan)", "improved (mine)"}
    strengths = dict(
        zip(results["bradley_terry"]["systems"], results["bradley_terry"]["strengths"], strict=True)
    )
    assert sorted(strengths, key=strengths.__getitem__) == list(rank)


def test_nobody_voted_yet(tmp_path: Path) -> None:
    study = Study.open([draw_run(tmp_path / "run", 3)], JudgingConfig())
    with pytest.raises(InputError, match="no votes of a person yet"):
        results_of(study)


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
    answer(here, 0)
    assert here.store.place(ada, here.questions).position == 2
    with pytest.raises(InputError, match=r"pair 1 would have two votes of a rater on 'match'"):
        here.store.add_records(there)
    assert len(here.store.votes()) == 2


def test_an_undo_on_both_copies_is_one(tmp_path: Path) -> None:
    run = draw_run(tmp_path / "run", 3)
    here = Study.open([run], JudgingConfig(raters=("ada",), questions=("match",), repeats=0.0))
    answer(here, 0)
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


def answer(study: Study, position: int) -> None:
    [rater] = study.store.raters()
    study.store.vote(
        rater,
        study.questions,
        position=position,
        question="match",
        answer="tie",
        seconds=1.0,
        page_version="test",
        key=f"own-key-{position:08d}",
    )
