"""What stands first on the page of a run: the answer, its limits, some pairs."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from promptlift.reporting.answer import answer
from promptlift.reporting.picture_data import PictureData, read_pictures
from promptlift.reporting.run_data import CANNOT_TELL, EvaluatedStep, RunData
from promptlift.reporting.score_sections import scores
from promptlift.reporting.thumbnails import Thumbnails
from promptlift.reporting.wording import spread
from promptlift.scoring.text.shuffle_control import blind_rows
from tests.judging.runs import draw_run

TAGS = {"source": "an old boat", "prompt": "an old boat, 4k, calm sea"}
RUN = RunData(folder=Path("run"), stages={}, improvements=[TAGS] * 9)
NOBODY = "Nobody has judged these pictures."


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_run(tmp_path_factory.mktemp("runs") / "run", 9)


def answered(
    run: RunData,
    shown: PictureData,
    folder: Path = Path("page"),
    said: Sequence[str] = (),
    judged: bool = False,
) -> str:
    return answer(run, shown, Thumbnails(folder), said=said, judged=judged).body


def test_six_pairs_at_equal_distances_with_their_prompts(run: Path, tmp_path: Path) -> None:
    shown = read_pictures(run)
    body = answered(RUN, shown, tmp_path)
    assert [pair.number for pair in spread(shown.pairs, 6)] == [1, 2, 4, 5, 7, 8]
    for number in (1, 2, 4, 5, 7, 8):
        assert f"href=#pair-{number} " in body
    assert body.count("<img ") == 12 and body.count("<mark>") >= 1
    assert "6 of the 9 pairs" in body and "Improved prompts have 6.0 words" in body
    few = replace(shown, pairs=shown.pairs[:2])
    assert answered(RUN, few, tmp_path).count("<img ") == 4


def test_differences_are_told_with_their_intervals(run: Path) -> None:
    shown = read_pictures(run)
    ends = {"a": (0.5, 1.5), "b": (-1.5, -0.5), "c": (-1.0, 2.0), "d_improved_prompt": (0.5, 1.5)}
    comparisons = [
        {"metric": name, "difference": (low + high) / 2, "low": low, "high": high, "n": 9}
        for name, (low, high) in ends.items()
    ]
    metrics = [{"name": name, "title": name.upper()} for name in ends]
    verdicts = {"choices": {"improved": 4, "original": 5}, "metrics": ["a"]}
    pairs = [replace(pair, ranks=dict.fromkeys(ends, 0.5)) for pair in shown.pairs]
    found = {"comparisons": comparisons, "metrics": metrics, "verdicts": verdicts}
    scored: PictureData = replace(shown, pairs=pairs, scores=found)
    body = answered(RUN, scored)
    assert "score higher than those of the original prompts: A 1.00 (0.50 to 1.50); n = 9" in body
    assert "score lower than those of the original prompts: B -1.00 (-1.50 to -0.50);" in body
    assert "no difference is clear: C 0.5 (-1.0 to 2.0); n = 9 prompts." in body
    assert "D_IMPROVED" not in body  # that prompt is not the one that the original picture has
    assert "judged by A, 4 of 9 improved prompts are used." in body


def test_what_other_sections_answer_comes_first(run: Path) -> None:
    body = answered(RUN, read_pictures(run), said=["", "The suffix wins.", "So they voted."])
    assert body.index("<p class=answer>The suffix wins.</p>") < body.index("So they voted.")
    nothing = answered(RUN, PictureData(folder=run))
    assert "<p class=answer>Nothing has been measured yet.</p>" in nothing
    assert "n = 9 prompts" in nothing


def test_what_a_run_cannot_say_follows_from_its_files(run: Path) -> None:
    shown = read_pictures(run)
    body = answered(RUN, shown)
    assert NOBODY in body and "Intervals over 9 prompts are rough" in body
    assert "trained once" not in body and "pocket world" not in body
    assert NOBODY not in answered(RUN, shown, judged=True)
    trained = replace(RUN, stages={"training": {"results": {"parameters": 5}}}, missing=["no log"])
    body = answered(trained, PictureData(folder=run))
    assert "trained once" in body and "<li>no log</li>" in body and NOBODY not in body
    pocket = [replace(one, model=({"name": "pocket-world", "sha256": "ab" * 32},))
              for one in shown.pictures]  # fmt: skip
    assert "draws coloured shapes" in answered(RUN, replace(shown, pictures=pocket))


def test_additions_are_counted_in_words_whatever_the_form() -> None:
    sentences = {
        "source": "an old boat",
        "prompt": "an old boat. It lies, half-sunk, in calm water. Gulls rest on it.",
        "additions": ["It lies, half-sunk, in calm water.", "Gulls rest on it."],
    }
    rewritten = {"source": "please draw me an old boat", "prompt": "old boat", "additions": []}
    nothing = PictureData(folder=Path("run"))
    cases: list[tuple[list[dict[str, Any]], str]] = [
        ([sentences], "have 13.0 words on average, the original ones 3.0; n = 1 prompts."),
        ([TAGS, sentences], "have 9.5 words on average, the original ones 3.0; n = 2 prompts."),
        ([rewritten], "have 2.0 words on average, the original ones 6.0; n = 1 prompts."),
    ]
    for rows, said in cases:
        assert said in answered(replace(RUN, improvements=rows), nothing)


@pytest.mark.parametrize(
    ("theirs", "words"),
    [
        ((0.1, 0.2), "texts are closer to"),
        ((0.8, 0.9), "texts are farther from"),
        ((0.3, 0.5), "texts are not clearly closer to"),
    ],
)
def test_texts_are_closer_only_where_intervals_are_apart(
    theirs: tuple[float, float], words: str
) -> None:
    ours = {"metric": "meteor_target", "value": 0.5, "low": 0.4, "high": 0.6, "n": 9}
    other = {**ours, "value": 0.15, "low": theirs[0], "high": theirs[1]}
    systems = {"model": ours, "source itself": other}
    text = {"systems": [{"name": name, "scores": [score]} for name, score in systems.items()]}
    assert words in answered(replace(RUN, text=text), PictureData(folder=Path("run")))


def test_an_evaluation_without_baselines_is_told_as_such() -> None:
    score = {"metric": "meteor_target", "value": 0.5, "low": 0.4, "high": 0.6, "n": 9}
    step = EvaluatedStep(step=3, epoch=1.0, scores={"meteor_target": score}, decoding={}, file="f")
    body = answered(replace(RUN, evaluations=[step]), PictureData(folder=Path("run")))
    assert "0.50 (0.40 to 0.60), n = 9; no baselines were scored." in body


@pytest.mark.parametrize("tells", [True, False])
def test_a_metric_that_cannot_tell_is_marked_wherever_it_is_quoted(run: Path, tells: bool) -> None:
    score = {"metric": "meteor_target", "value": 0.5, "low": 0.4, "high": 0.6, "n": 9}
    own = {"metric": "distinct_1", "value": 0.5, "low": 0.4, "high": 0.6, "n": 9}
    control = {"metric": "meteor_target", "of": "predictions", "real": 0.5, "shuffled": 0.5}
    text = {
        "systems": [{"name": name, "scores": [score, own]} for name in ("model", "source itself")],
        "doctor": [{**control, "tells": tells}, *blind_rows()],
    }
    scored = replace(RUN, text=text)
    body = answered(scored, read_pictures(run))
    marked = [body, str(scores(scored)), scored.titles["meteor_target"]]
    assert [CANNOT_TELL in one for one in marked] == [not tells] * 3
    assert ("The model&#x27;s texts" in body) == tells  # nothing is claimed by such a metric
    assert CANNOT_TELL not in scored.titles["distinct_1"]
