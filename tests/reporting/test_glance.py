"""What stands first on the page of a run with pictures."""

from dataclasses import replace
from pathlib import Path

import pytest

from promptlift.reporting.glance import glance
from promptlift.reporting.picture_data import PictureData, read_pictures
from promptlift.reporting.run_data import CANNOT_TELL, RunData
from promptlift.reporting.score_sections import scores
from promptlift.reporting.thumbnails import Thumbnails
from promptlift.reporting.wording import spread
from promptlift.scoring.text.shuffle_control import blind_rows
from tests.judging.runs import draw_run

RUN = RunData(folder=Path("run"), stages={}, improvements=[{"additions": ["4k", "sea"]}] * 9)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_run(tmp_path_factory.mktemp("runs") / "run", 9)


def test_six_pairs_at_equal_distances_with_their_prompts(run: Path, tmp_path: Path) -> None:
    shown = read_pictures(run)
    body = glance(RUN, shown, Thumbnails(tmp_path)).body
    assert [pair.number for pair in spread(shown.pairs, 6)] == [1, 2, 4, 5, 7, 8]
    for number in (1, 2, 4, 5, 7, 8):
        assert f"href=#pair-{number} " in body
    assert body.count("<img ") == 12 and body.count("<mark>") >= 1
    assert "6 of the 9 pairs" in body and "each gained 2.0 phrases on average" in body
    few = replace(shown, pairs=shown.pairs[:2])
    assert glance(RUN, few, Thumbnails(tmp_path)).body.count("<img ") == 4


def test_differences_are_told_with_their_intervals(run: Path, tmp_path: Path) -> None:
    shown = read_pictures(run)
    comparisons = [
        {"metric": name, "difference": (low + high) / 2, "low": low, "high": high, "n": 9}
        for name, low, high in (("a", 0.5, 1.5), ("b", -1.5, -0.5), ("c", -1.0, 2.0))
    ]
    metrics = [{"name": name, "title": name.upper()} for name in "abc"]
    verdicts = {"choices": {"improved": 4, "original": 5}, "metrics": ["a"]}
    pairs = [replace(pair, ranks={"a": 0.1, "b": 0.2, "c": 0.3}) for pair in shown.pairs]
    scores = {"comparisons": comparisons, "metrics": metrics, "verdicts": verdicts}
    scored: PictureData = replace(shown, pairs=pairs, scores=scores)
    body = glance(RUN, scored, Thumbnails(tmp_path)).body
    assert "A, improved minus original pictures: 1.00 (0.50 to 1.50), n = 9: more." in body
    assert "-1.00 (-1.50 to -0.50), n = 9: less." in body
    assert "0.5 (-1.0 to 2.0), n = 9: no clear difference." in body
    assert "judged by A, 4 of 9 improved prompts are used." in body


@pytest.mark.parametrize("tells", [True, False])
def test_a_metric_that_cannot_tell_is_marked_wherever_it_is_quoted(
    run: Path, tmp_path: Path, tells: bool
) -> None:
    score = {"metric": "meteor_target", "value": 0.5, "low": 0.4, "high": 0.6, "n": 9}
    own = {"metric": "distinct_1", "value": 0.5, "low": 0.4, "high": 0.6, "n": 9}
    control = {"metric": "meteor_target", "of": "predictions", "real": 0.5, "shuffled": 0.5}
    text = {
        "systems": [{"name": name, "scores": [score, own]} for name in ("model", "source itself")],
        "doctor": [{**control, "tells": tells}, *blind_rows()],
    }
    scored = replace(RUN, text=text)
    marked = [
        glance(scored, read_pictures(run), Thumbnails(tmp_path)).body,
        str(scores(scored)),
        scored.titles["meteor_target"],
    ]
    assert [CANNOT_TELL in one for one in marked] == [not tells] * 3
    assert CANNOT_TELL not in scored.titles["distinct_1"]
