"""`reproduction.json` of a tiny run, read and laid beside the paper; files that are refused."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from promptlift.cli import app
from promptlift.errors import InputError
from promptlift.experimenting import reproduction
from promptlift.experimenting.beside_paper import (
    as_markdown,
    missing_of,
    read_reproductions,
    tables_of,
)
from promptlift.experimenting.config import ExperimentConfig, load_config
from promptlift.experimenting.estimates import estimates_of
from promptlift.experimenting.needs import sizes_of
from promptlift.experimenting.paper_figures import PAPER
from promptlift.experimenting.reproduction import FILE, how_to_send, write_reproduction
from promptlift.judging.collecting.study import Study
from promptlift.judging.config import JudgingConfig
from promptlift.runs import Run
from scripts.reproductions import FOLDER, PAGE, written
from tests.cli.conftest import error_line
from tests.experimenting.test_chain import TINY as CHAINED
from tests.illustrating.models import DIFFUSERS_WARNS

TINY = CHAINED.replace("epochs = 2", "epochs = 2\nlogging_steps = 1")
Edit = Callable[[dict[str, Any]], object]


@pytest.fixture(scope="module")
def file(whole: Path, config: ExperimentConfig) -> Path:
    return write_reproduction(whole, config)


def run(*args: object) -> Result:
    return CliRunner().invoke(app, [str(arg) for arg in args])


def figures_of(file: Path) -> dict[tuple[str, int | None], Any]:
    items = json.loads(file.read_text())["figures"]
    return {(item["name"], item["epoch"]): item for item in items}


def test_the_page_is_made_of_the_files_that_were_sent() -> None:
    page = PAGE.read_text("utf-8")
    assert page == written(page, sorted(FOLDER.glob("*.json"))), "python -m scripts.reproductions"
    assert "31.0277" in page and "0.895, n = 8,190; a slip" in page


def test_the_papers_plan_says_what_it_takes() -> None:
    config = load_config("paper")
    time, memory, disk = estimates_of(config, sizes_of(config))
    assert "training 1.3 h" in time and "drawing 200 pictures 15 min on RTX 3090" in time
    # Weights of 4 bytes: three checkpoints with two moments, five epochs and the model.
    assert f"{248e6 * (3 * 12 + 6 * 4) / 1e9:.0f} GB for the run folder" in disk
    assert all("calculated and not measured" in line for line in (time, memory, disk))
    twice = replace(config, improve=replace(config.improve, sample=200))
    assert "drawing 400 pictures 29 min on RTX 3090" in estimates_of(twice, [])[0]
    assert estimates_of(load_config("pocket"), []) == []


def test_a_run_on_the_papers_pairs_says_where_to_send_its_file() -> None:
    path = Path("runs/paper") / FILE
    shown, sent = how_to_send(load_config("paper"), path)
    assert shown.endswith(f"promptlift reproduce show {path}")
    assert "pull request" in sent and "docs/reproductions/" in sent
    assert how_to_send(load_config("pocket"), path) == [shown]


def test_the_interval_of_top_words_is_that_of_resampled_prompts() -> None:
    alike = [("red cat", "red cat red cat")] * 5
    assert reproduction._top_interval(alike) == (2.0, 2.0)
    unlike = [("cat", "cat cat"), ("cat", "cat cat cat cat")]
    low, high = reproduction._top_interval(unlike)
    assert (low, high) == (2.0, 4.0)


@DIFFUSERS_WARNS
@pytest.mark.slow
class TestTinyRun:
    def test_every_figure_of_the_paper_is_there(self, file: Path, whole: Path) -> None:
        found = figures_of(file)
        assert PAPER.keys() <= found.keys()
        for item in found.values():
            assert (item["ours"] is None) == bool(item["missing"])
        value = json.loads(file.read_text())
        assert {"train", "draw"} <= value["seconds"].keys()
        [machine] = value["machines"]
        assert "train" in machine["stages"] and machine["processor"] and machine["cores"] >= 1
        assert "train.epochs" in value["unlike_paper"] and value["settings"]["train.epochs"] == 2
        assert "improve.seed" not in value["unlike_paper"]
        assert str(whole) not in file.read_text() and '": "/' not in file.read_text()

    def test_figures_are_those_of_the_runs_own_files(self, file: Path, whole: Path) -> None:
        found = figures_of(file)
        steps = sorted((whole / "evaluations").glob("*.json"))
        for epoch, step in enumerate(steps, 1):
            scores = {one["metric"]: one for one in json.loads(step.read_text())["scores"]}
            ours, meteor = found["meteor", epoch]["ours"], scores["meteor_target"]
            assert [ours[name] for name in ("value", "low", "high", "n")] == [
                meteor[name] for name in ("value", "low", "high", "n")
            ]
        systems = json.loads((whole / "scores" / "pictures.json").read_text())["systems"]
        scores = {one["name"]: {score["metric"]: score for score in one["scores"]}
                  for one in systems}  # fmt: skip
        for picture in ("original", "improved"):
            for prompt in ("original", "improved"):
                ours = found[f"clipscore_{prompt}_{picture}", None]["ours"]
                score = scores[f"{picture} pictures"][f"clipscore_{prompt}_prompt"]
                assert (ours["value"], ours["n"]) == (score["value"], 3)
        log = [row.split(",") for row in (whole / "log.csv").read_text().splitlines()]
        rows = [dict(zip(log[0], row, strict=True)) for row in log[1:]]
        losses = [float(row["loss"]) for row in rows if row["loss"] and float(row["epoch"]) <= 1]
        assert found["loss", 1]["ours"]["value"] == pytest.approx(np.mean(losses))
        assert found["eval_loss", 2]["ours"]["value"] == float(rows[-1]["eval_loss"])
        assert found["training_pairs", None]["ours"]["value"] == 80  # two tasks of 40 scenes
        assert found["updates_per_epoch", None]["ours"]["value"] == 2
        assert found["test_pairs", None]["ours"]["value"] == 8
        assert found["top_words_ratio", None]["ours"]["n"] == 3

    def test_missing_votes_are_named_and_then_counted(
        self, file: Path, whole: Path, config: ExperimentConfig, tmp_path: Path
    ) -> None:
        whole = shutil.copytree(whole, tmp_path / "run")
        missing = figures_of(file)["preferred", None]["missing"]
        assert "promptlift judge RUN" in missing
        asked = JudgingConfig(raters=("ada",), repeats=0.0, questions=("picture",))
        study = Study.open([whole], asked)
        [rater] = study.store.raters()
        study.store.vote(
            rater, study.questions, position=0, question="picture", answer="tie",
            seconds=1.0, page_version="test", key="first",
        )  # fmt: skip
        study.store.close()
        item = figures_of(write_reproduction(whole, config))["preferred", None]
        assert item["missing"] is None and item["ours"]["n"] == 1 and item["ours"]["value"] == 0.0
        assert item["ours"]["settings"]["ties"] == 1 and "ada" not in json.dumps(item)

    def test_machines_are_those_that_began_each_stage(
        self, whole: Path, config: ExperimentConfig, tmp_path: Path
    ) -> None:
        whole = shutil.copytree(whole, tmp_path / "run")
        now = Run.open(whole)
        machines = now.stage("experimenting")["machines"]
        machines["draw"] = {**machines["draw"], "gpus": ["Card"] * 2, "gpu_memory_gb": 24}
        now.note("experimenting", machines=machines)
        path = write_reproduction(whole, config)
        assert len(json.loads(path.read_text())["machines"]) == 2
        [one] = read_reproductions([path])
        assert "; 2 x Card (24 GB)" in one.facts["machine"]

    def test_files_are_laid_beside_the_paper(self, file: Path, tmp_path: Path) -> None:
        other = tmp_path / "other-card.json"
        value = json.loads(file.read_text())
        [f1] = [item for item in value["figures"] if (item["name"], item["epoch"]) == ("meteor", 1)]
        f1["ours"] |= {"value": 0.25, "low": 0.2, "high": 0.3, "n": 400}
        value["figures"].append({**f1, "epoch": 7})
        value["experiment"] = "<b>|a|</b>"
        other.write_text(json.dumps(value))
        shown = run("reproduce", "show", file, other)
        assert shown.exit_code == 0, shown.stderr
        [line] = [one for one in shown.stdout.splitlines() if one.startswith("  METEOR, epoch 1 ")]
        assert "0.199, n = 8,190" in line and line.endswith(" 0.250 (0.200 to 0.300), n = 400")
        assert "METEOR, epoch 7" in shown.stdout and "run" in shown.stdout.splitlines()[1]
        assert "other-card lacks METEOR (epoch 3, 4 and 5), BERTScore" in shown.stderr
        page = tmp_path / "beside.md"
        assert run("reproduce", "show", file, other, "-o", page).exit_code == 0
        assert r"\<b\>\|a\|\</b\>" in page.read_text()
        assert page.read_text() == as_markdown(tables_of(read_reproductions([file, other])))
        again = run("reproduce", "show", file, "-o", page)
        assert again.exit_code == 2 and "--overwrite" in error_line(again)
        replaced = run("reproduce", "show", file, "-o", file, "--overwrite")
        assert replaced.exit_code == 2 and json.loads(file.read_text())

    def test_the_page_grows_by_a_file(self, file: Path) -> None:
        page = written(PAGE.read_text("utf-8"), [file])
        assert "From 1 file" in page and "0.199, n = 8,190 | " in page
        assert written(page, []) == PAGE.read_text("utf-8") or any(FOLDER.glob("*.json"))

    @pytest.mark.parametrize(
        ("edit", "said"),
        [
            (lambda value: value.update(schema_version=2), "schema_version '2'"),
            (lambda value: value.pop("figures"), "is no reproduction.json"),
            (lambda value: value.update(figures=[]), "must be a list"),
            (lambda value: value["figures"][0].update(name="fid"), "'fid', epoch None"),
            (lambda value: value["figures"][0].update(name=["x"]), "no figure that"),
            (lambda value: value["figures"][0].update(epoch=3), "no figure that"),
            (lambda value: value["figures"].append(value["figures"][0]), "there twice"),
            (lambda value: value["figures"][0].update(ours=3), "a number as `value`"),
            (lambda value: value["figures"][0]["ours"].update(value="3"), "a number as `value`"),
            (lambda value: value["figures"][0]["ours"].update(low=4, high=3), "no interval"),
            (lambda value: value["figures"][0]["ours"].update(low="a"), "`low` must be"),
            (lambda value: value["figures"][0]["ours"].update(n=0.5), "whole number"),
            (lambda value: value.update(seconds=[1]), "`seconds` must be an object"),
            (lambda value: value.update(machines={"a": 1}), "`machines` must be a list"),
        ],
    )
    def test_a_damaged_file_is_refused_in_one_line(
        self,
        file: Path,
        tmp_path: Path,
        edit: Edit,
        said: str,
    ) -> None:
        value = json.loads(file.read_text())
        edit(value)
        path = tmp_path / "bad.json"
        path.write_text(json.dumps(value))
        refused = run("reproduce", "show", path)
        assert refused.exit_code == 1 and said in error_line(refused)

    def test_what_a_run_lacks_is_said_once_a_reason(self, file: Path) -> None:
        lines = missing_of(read_reproductions([file]))
        assert len(lines) == len({line.rsplit(": ", 1)[-1] for line in lines})


@pytest.mark.parametrize("text", ["", "[]", "{}", "[" * 100_000, '{"a": NaN}', "\x00", '"text"'])
def test_what_is_no_reproduction_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"bad\.json") as refused:
        read_reproductions([path])
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist or is no file"):
        read_reproductions([tmp_path / "none.json"])
    with pytest.raises(InputError, match="does not exist or is no file"):
        read_reproductions([tmp_path])
