"""The page of a run: what the files say is on it, and whatever the files are, there is a page."""

import csv
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from promptlift.errors import InputError
from promptlift.files import sha256_of_file
from promptlift.records import Pair
from promptlift.reporting.plot_files import drawing_into
from promptlift.reporting.plots import MOST_POINTS
from promptlift.reporting.run_data import read_run
from promptlift.reporting.run_report import write_report
from promptlift.reporting.score_sections import diversity, scores
from promptlift.reporting.text_sections import painters
from promptlift.reporting.training_sections import (
    WINDOWS,
    epochs,
    loss_lines,
    metric_line,
    summary,
    windows,
)
from promptlift.reporting.wording import interval, spread
from promptlift.runs import Run
from promptlift.scoring.text.words import word_frequencies
from tests.reporting.conftest import (
    PAIRS,
    Tags,
    begin_run,
    write_evaluation,
    write_log,
    write_scores,
)

ODD = "<script>alert(1)</script> $x^2$ \N{FOX FACE} שלום </svg> & co"
FIVE = ["window-1-loss", "window-2-bertscore-precision", "window-3-bertscore-recall",
        "window-4-bertscore-f1", "window-5-meteor"]  # fmt: skip
LACKING = ("no log yet", "no evaluations", "no scores yet", "no improvements yet")


def text_of(page: Path) -> str:
    return re.sub(r"\s+", " ", Tags(page.read_text(encoding="utf-8")).text)


def improvements(folder: Path, rows: list[Mapping[str, Any]]) -> None:
    lines = (json.dumps(row) + "\n" for row in rows)
    (folder / "improvements.jsonl").write_text("".join(lines), encoding="utf-8")


@pytest.fixture(scope="module")
def reported(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the trained run, in another folder."""
    return write_report(trained, tmp_path_factory.mktemp("reports") / "trained")


def test_the_page_needs_nothing_beside_it(reported: Path) -> None:
    page = reported.read_text(encoding="utf-8")
    found = Tags(page)
    assert not {"link", "img", "iframe", "object"} & set(found.seen)
    for name, value in found.attributes:
        if name in ("src", "href", "xlink:href", "srcset", "action"):
            assert value is not None and value.startswith("#"), value
    assert not re.search(r"url\((?!#)|@import", page)
    drawn = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    for plot in drawn:
        ElementTree.fromstring(plot)
    ids = [value for name, value in found.attributes if name == "id"]
    assert len(ids) == len(set(ids))


def test_the_five_windows_are_there_each_as_png_and_svg(reported: Path) -> None:
    page = reported.read_text(encoding="utf-8")
    for name in FIVE:
        assert (reported.parent / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in (reported.parent / f"{name}.svg").read_text(encoding="utf-8")
    for title in (
        "Training and evaluation loss",
        *(f"{name} against step" for name in WINDOWS.values()),
    ):
        assert f'aria-label="{title}"' in page


def test_every_plot_on_the_page_lies_beside_it(reported: Path) -> None:
    count = reported.read_text(encoding="utf-8").count("<svg")
    for ending in ("png", "svg"):
        assert len([*reported.parent.glob(f"*.{ending}")]) == count


def test_figures_on_the_page_are_those_of_the_files(trained: Path, reported: Path) -> None:
    text = text_of(reported)
    last = json.loads((trained / "evaluations" / "step-000012.json").read_text())
    for score in last["scores"]:
        assert interval(score) in text
    stage = json.loads((trained / "manifest.json").read_text())["stages"]["training"]
    assert f"{stage['results']['parameters']:,}" in text
    assert stage["inputs"]["pairs"][:12] in text
    assert stage["versions"]["torch"] in text
    rows = [
        json.loads(line)
        for line in (trained / "evaluations/step-000012.jsonl").read_text().splitlines()
    ]
    pairs = [(row["source"], row["prediction"]) for row in rows]
    for item in word_frequencies(pairs)["words"]["after"]:
        assert re.search(rf"{item['text']} ?\d+ ?{item['count']}", text)


def test_curves_are_those_of_the_log(trained: Path) -> None:
    run = read_run(trained)
    with (trained / "log.csv").open() as file:
        rows = [*csv.DictReader(file)]
    lines = {line.label: line for line in loss_lines(run)}
    for column, label in (("loss", "training"), ("eval_loss", "evaluation")):
        expected = [(float(row["step"]), float(row[column])) for row in rows if row[column]]
        assert [*zip(lines[label].x, lines[label].y, strict=True)] == expected
        assert expected
    line, _, _ = metric_line(run, "meteor")
    scores = [item.scores["meteor_target"] for item in run.evaluations]
    assert line.y == [score["value"] for score in scores]
    assert line.low == [score["low"] for score in scores]
    assert [*line.x] == [6, 12]


def test_a_page_is_the_same_each_time(tmp_path: Path) -> None:
    folder = begin_run(tmp_path / "run")
    write_log(folder, ["1,0.5,3.5,", "2,1.0,,3.1"])
    pages = [write_report(folder, tmp_path / name) for name in ("a", "b")]
    assert sha256_of_file(pages[0]) == sha256_of_file(pages[1])
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json", "log.csv", "manifest.json",
    ]  # fmt: skip


def test_what_is_missing_is_named_in_a_line_each(tmp_path: Path) -> None:
    folder = begin_run(tmp_path / "run", state="running")
    page = write_report(folder)
    assert page == folder / "report" / "index.html"
    text = text_of(page)
    for line in LACKING:
        assert text.count(line) == 1
    assert f"promptlift score {folder}" in text
    assert "state: running" in text


def test_prompts_stay_text(tmp_path: Path) -> None:
    folder = begin_run(tmp_path / "run", name=ODD)
    pairs = [Pair(source=f"{ODD} {n}", target=ODD, mode="extend") for n in range(3)]
    write_evaluation(folder, 3, [ODD] * 3, pairs=pairs, metrics=["meteor_target"])
    improvements(folder, [{"source": ODD, "prompt": f"{ODD}, by Greg Rutkowski", "model": ODD}])
    page = write_report(folder)
    found = Tags(page.read_text(encoding="utf-8"))
    assert found.seen.count("script") == 1  # the page's own
    assert ODD in found.text
    for plot in page.parent.glob("*.svg"):
        ElementTree.fromstring(plot.read_text(encoding="utf-8"))


def test_systems_and_the_doctor_are_shown(tmp_path: Path) -> None:
    folder = begin_run(tmp_path / "run")
    written = [f"{pair.source}, soft light" for pair in PAIRS[:10]]
    write_scores(folder, {"model": written, "source itself": [pair.source for pair in PAIRS[:10]]})
    run = read_run(folder)
    section = scores(run)
    assert section is not None
    text = Tags(section.body).text
    found = json.loads((folder / "scores" / "text.json").read_text())
    for system in found["systems"]:
        assert system["name"] in text
        for score in system["scores"]:
            assert interval(score) in text
    assert "0.200 (0.150 to 0.250)" in text and "METEOR (target)" in text
    assert "distinct-1: does not change." in text
    assert diversity(run, drawing_into(tmp_path)) is not None
    assert (tmp_path / "diversity-distinct-1.svg").exists()
    # To extend, a prediction is the whole prompt: the source is not put before it once more.
    assert [row["prediction"] for row in run.model_rows()[0]] == written


def test_painters_added_are_counted(tmp_path: Path) -> None:
    folder = begin_run(tmp_path / "run")
    pairs = [Pair(source=f"a fox {n}", target="soft light", mode="extend") for n in range(4)]
    texts = ["art by Greg Rutkowski", "by greg rutkowski", "by Alphonse Mucha", "soft light"]
    write_evaluation(folder, 3, texts, pairs=pairs, metrics=["meteor_target"])
    assert painters(read_run(folder), drawing_into(tmp_path)) is not None
    drawn = (tmp_path / "painters-added.svg").read_text(encoding="utf-8")
    found = re.findall(r"<text[^>]*>([^<]*)</text>", drawn)
    assert {"greg rutkowski", "alphonse mucha"} <= set(found)
    share = (tmp_path / "painters-share.svg").read_text(encoding="utf-8")
    assert "% of prompts" in share


@pytest.mark.parametrize(
    "rows",
    [
        ["1,1,3.5,"],
        ["1,0.5,nan,", "2,1,3.1,inf", "3,1.5,,"],
        ["1,0.5,3.5", "2,1,oops,", ",,,", "2,1,,3.2"],
        [f"{n},{n / 100},{3 + 1 / n}," for n in range(1, 6000)],
        [],
    ],
    ids=["one row", "no numbers", "damaged", "thousands", "no row"],
)
def test_any_log_gives_a_page(rows: list[str], tmp_path: Path) -> None:
    folder = begin_run(tmp_path / "run", state="interrupted")
    write_log(folder, rows)
    text = text_of(write_report(folder))
    assert "state: interrupted" in text
    if len(rows) == 3:
        assert "leave gaps" in text
    if len(rows) == 4:
        assert re.search(r"log.csv: \d rows without a valid `step`", text)
    if len(rows) > MOST_POINTS:
        assert f"mean of up to {math.ceil(len(rows) / MOST_POINTS)} rows" in text
        assert (folder / "report" / "window-1-loss.svg").stat().st_size < 100_000


def test_one_epoch_alone_is_drawn(tmp_path: Path) -> None:
    folder = begin_run(tmp_path / "run")
    write_evaluation(folder, 6, ["soft light"] * 3, metrics=["meteor_target"])
    assert epochs(read_run(folder), drawing_into(tmp_path)) is not None
    assert (tmp_path / "epoch-meteor-target.svg").exists()


def test_metrics_of_the_log_alone_are_drawn_without_intervals(tmp_path: Path) -> None:
    folder = begin_run(tmp_path / "run")
    write_log(folder, ["5,1,0.2", "10,2,0.3"], header="step,epoch,meteor")
    line, origin, _ = metric_line(read_run(folder), "meteor")
    assert ([*line.x], [*line.y], line.low, origin) == ([5, 10], [0.2, 0.3], None, "log.csv")


def test_windows_that_a_run_lacks_are_named(tmp_path: Path) -> None:
    folder = begin_run(tmp_path / "run")
    write_log(folder, ["1,0.5,3.5,", "2,1,,3.1"])
    text = text_of(write_report(folder))
    assert all(f"{title} was not measured in this run." in text for title in WINDOWS.values())
    assert "may lie below" in text


def test_damaged_files_are_named_and_left_out(tmp_path: Path) -> None:
    folder = begin_run(tmp_path / "run")
    write_evaluation(folder, 6, ["soft light"] * 3)
    (folder / "evaluations" / "step-000012.json").write_text('{"schema_version": 1, "st')
    (folder / "evaluations" / "step-000018.json").write_text('{"schema_version": 9}')
    (folder / "evaluations" / "step-000024.json").write_text('{"schema_version": 1}')
    (folder / "scores").mkdir()
    (folder / "scores" / "text.json").write_text("[]")
    improvements(
        folder, [{"index": 0, "error": "empty"}, {"source": "a cat", "prompt": "a cat, b"}]
    )
    run = read_run(folder)
    assert [item.step for item in run.evaluations] == [6]
    assert len(run.improvements) == 1
    for name in ("step-000012", "step-000018", "step-000024", "text.json", "improvements.jsonl: 1"):
        assert sum(name in line for line in run.missing) == 1, name


def test_the_weights_that_were_kept_are_shown(tmp_path: Path) -> None:
    folder = begin_run(tmp_path / "run", results={"best_step": 6})
    for step, text in ((6, "soft light"), (12, "sharp focus")):
        write_evaluation(folder, step, [text] * 3, seed=step)
    run = read_run(folder)
    assert run.predictions[0]["prediction"] == "soft light"
    assert run.final_scores() == (run.evaluations[0].scores, "evaluations/step-000006.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist"),
        ({}, "holds no manifest.json"),
        ({"manifest.json": "{"}, "cannot be read as a run's manifest"),
        ({"manifest.json": '{"schema_version": 7, "stages": {}}'}, "another version"),
    ],
)
def test_a_bad_folder_is_refused(
    content: dict[str, str] | None, message: str, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    if content is not None:
        folder.mkdir()
        for name, text in content.items():
            (folder / name).write_text(text)
    with pytest.raises(InputError, match=message):
        write_report(folder)


def test_examples_stand_at_equal_distances() -> None:
    rows = [{"index": index} for index in range(100)]
    assert [row["index"] for row in spread(rows, 4)] == [0, 25, 50, 75]
    assert spread(rows[:2], 5) == rows[:2]
    assert spread([], 3) == []


def test_no_section_without_data(tmp_path: Path) -> None:
    plots = tmp_path / "plots"
    assert windows(read_run(begin_run(tmp_path / "run")), drawing_into(plots)) is None
    assert not plots.exists()


@pytest.mark.parametrize(
    ("value", "low", "high", "shown"),
    [
        (0.20714, 0.19922, 0.21533, "0.2071 (0.1992 to 0.2153)"),
        (13.866, 13.1, 14.67, "13.87 (13.10 to 14.67)"),
        (120.4, 101.2, 139.9, "120 (101 to 140)"),
        (0.9999999, 0.9999998, 1.0, "1.0000 (1.0000 to 1.0000)"),
        (0.00002, 0.00001, 0.00003, "0.000020 (0.000010 to 0.000030)"),
        (0.5, 0.5, 0.5, "0.5"),
        (0.5, None, None, "0.5"),
    ],
)
def test_intervals_are_shown_as_exactly_as_they_are_known(
    value: float, low: float | None, high: float | None, shown: str
) -> None:
    assert interval({"value": value, "low": low, "high": high}) == shown


SETTINGS = {"encoder": "all-MiniLM-L6-v2", "layer": 6,
            "note": "the small offline encoder; the paper took roberta-large"}  # fmt: skip


@pytest.mark.slow
def test_every_bertscore_names_its_encoder(tmp_path: Path) -> None:
    folder = begin_run(tmp_path / "run")
    write_evaluation(folder, 6, [pair.source for pair in PAIRS[:8]], settings=SETTINGS)
    run, draw = read_run(folder), drawing_into(tmp_path)
    said = "ncoder all-MiniLM-L6-v2, layer 6; the small offline encoder; the paper took roberta"
    shown = [section.body for section in (windows(run, draw), epochs(run, draw), scores(run))
             if section is not None]  # fmt: skip
    assert [body.count(said) >= 1 for body in shown] == [True] * 3
    assert shown[0].count("Not rescaled: ") == 3  # METEOR has no such words


def test_rescaled_scores_stand_beside_raw_ones(tmp_path: Path) -> None:
    folder = begin_run(tmp_path / "run")
    names = ("bertscore_f1_target", "bertscore_f1_target_rescaled")
    write_evaluation(folder, 6, [pair.source for pair in PAIRS[:8]], metrics=names)
    run = read_run(folder)
    last = run.evaluations[-1].scores["bertscore_f1_target_rescaled"]["value"]
    section = windows(run, drawing_into(tmp_path))
    assert section is not None and f"and the last is {last:.3f}." in section.body


def test_meteor_without_wordnet_says_so(tmp_path: Path) -> None:
    folder = begin_run(tmp_path / "run")
    settings = {"wordnet": False, "matches": "exact and stem only"}
    write_evaluation(folder, 6, ["a"] * 4, metrics=("meteor_target",), settings=settings)
    section = scores(read_run(folder))
    assert section is not None
    assert "METEOR: exact and stem only, as WordNet was not found." in section.body


@pytest.mark.slow
@pytest.mark.parametrize("decoding", ["paper-exact", "model"])
def test_curves_made_like_the_papers_are_said_to_be(decoding: str, tmp_path: Path) -> None:
    folder = begin_run(tmp_path / "run", evaluation_decoding=decoding)
    write_evaluation(folder, 6, [pair.source for pair in PAIRS[:8]])
    section = windows(read_run(folder), drawing_into(tmp_path))
    assert section is not None
    assert ("the curves can be compared" in section.body) is (decoding == "paper-exact")
    assert ("do not compare them" in section.body) is (decoding == "model")


def test_inputs_that_are_no_hashes_are_shown_as_they_are(tmp_path: Path) -> None:
    run = Run.open(tmp_path / "run")
    run.begin("training", {}, {"pairs": "ab" * 32, "encoder": "installed"})
    body = summary(read_run(tmp_path / "run")).body
    assert "SHA-256 abababababab…" in body
    assert "installed" in body and "SHA-256 installed" not in body
