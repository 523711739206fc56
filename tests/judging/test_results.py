"""Statistics of a whole study."""

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from promptlift.errors import InputError
from promptlift.judging.collecting.study import Study
from promptlift.judging.config import JudgingConfig
from promptlift.judging.results import FILE, Results, agreement_with_metrics, read_results
from tests.judging.runs import answer, draw_run, vote_all


@pytest.fixture
def judged(tmp_path: Path) -> Study:
    config = JudgingConfig(raters=("ada", "ben"), per_pair=2, repeats=0.2, attention=2)
    study = Study.open([draw_run(tmp_path / "run", 25)], config)
    vote_all(study, 1.0)
    return study


def test_results_of_raters_who_always_prefer_the_improved(judged: Study) -> None:
    results = read_results(judged)
    assert set(results.questions) == {"match", "picture"}
    for found in results.questions.values():
        part = found.systems["improved"]
        tally = part.rates.together
        assert (tally.wins, tally.losses, tally.ties) == (50, 0, 0)
        assert tally.rates["ties_lose"].wilson.value == 1.0
        assert part.evidence.stop <= 10
        assert part.evidence.low > 0.5
        for check in found.raters:
            assert check.consistency.value == 1.0
            assert (check.attention, check.attention_passed) == (2, 2)
            assert check.left_test > 0.5  # sides are balanced
    assert {rater.name: rater.done for rater in results.raters} == {"ada": 32, "ben": 32}


def test_results_are_computed_once_for_the_same_votes(tmp_path: Path) -> None:
    run = draw_run(tmp_path / "run", 6)
    study = Study.open([run], JudgingConfig(raters=("ada",), questions=("match",), repeats=0.0))
    answer(study, study.store.raters()[0], "tie", "own-key-0")
    first = read_results(study)
    assert isinstance(first, Results) and read_results(study) == first
    # A mark in the file tells whether it was read.
    kept = json.loads((run / FILE).read_text())
    (run / FILE).write_text(json.dumps({**kept, "pairs": 99}))
    assert read_results(study) == replace(first, pairs=99)
    answer(study, study.store.raters()[0], "tie", "own-key-1")
    again = read_results(study)
    assert (
        again.pairs == 6 and again.questions["match"].systems["improved"].rates.together.ties == 2
    )
    [ada] = study.store.raters()
    study.store.undo(ada, study.questions, page_version="test", key="undo-0001")
    assert read_results(study).questions == first.questions


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"questions": 3}', '{"schema_version": 0}'])
def test_a_file_of_other_results_is_written_anew(judged: Study, text: str) -> None:
    path = judged.folder / FILE
    fresh = read_results(judged)
    path.write_text(text)
    assert read_results(judged) == fresh
    kept = json.loads(path.read_text())
    path.write_text(json.dumps({**kept, "promptlift_version": "0.0", "pairs": 1}))
    assert read_results(judged) == fresh


def test_a_metric_is_compared_with_people(judged: Study) -> None:
    right = {(index, 0): 1.0 for index in range(25)}
    gains = {"right": right, "wrong": dict.fromkeys(right, -1.0), "other run": {(99, 0): 1.0}}
    found = agreement_with_metrics(judged, gains, question="picture")
    assert found["right"].accuracy.value == 1.0
    assert found["wrong"].accuracy.value == 0.0
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
    results = read_results(study)
    assert read_results(study) == results  # as JSON kept it
    of_picture = results.questions["picture"]
    assert set(of_picture.systems) == {"improved (flan)", "improved (mine)"}
    found_strengths = of_picture.bradley_terry
    assert found_strengths is not None
    strengths = dict(zip(found_strengths.systems, found_strengths.strengths, strict=True))
    assert sorted(strengths, key=strengths.__getitem__) == list(rank)


def test_nobody_voted_yet(tmp_path: Path) -> None:
    study = Study.open([draw_run(tmp_path / "run", 3)], JudgingConfig())
    with pytest.raises(InputError, match="no votes of a person yet"):
        read_results(study)
    assert not (study.folder / FILE).exists()
