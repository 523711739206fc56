"""The chain, whole and stopped anywhere, on models so small that it takes seconds."""

import json
import subprocess
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from promptlift.errors import ConfigError
from promptlift.experimenting.chain import Chain, run_experiment
from promptlift.experimenting.config import ExperimentConfig, load_config
from promptlift.experimenting.stages import stages_of
from promptlift.judging.collecting.study import Study
from promptlift.judging.config import JudgingConfig
from promptlift.runs import Run
from promptlift.schema import ADDED
from promptlift.world.wanted import wanted_of
from tests.cli.conftest import command
from tests.experimenting.conftest import interrupted_at
from tests.illustrating.models import DIFFUSERS_WARNS
from tests.waiting import Said

pytestmark = [DIFFUSERS_WARNS, pytest.mark.slow]
TINY = """
name = "tiny"
threads = 1
[pairs]
world = "pocket"
count = 40
test = 8
[train]
preset = "pocket-world"
d_model = 16
d_ff = 16
num_heads = 2
batch_size = 40
epochs = 2
training_sample = 8
evaluation_pairs = 3
save_steps = 1
[improve]
sample = 3
mode = "extend"
[illustrate]
model = "pocket"
refiner = "none"
num_inference_steps = 2
[texts]
limit = 3
bertscore = false
"""
# They hold times and places, or hashes of files that do; and a cache.
_OTHER = {"times.jsonl", "index.parquet", "pictures.json", "features.sqlite"}


def results(folder: Path) -> dict[str, bytes]:
    """The files that a run is for."""
    parts = ("pairs", "model", "pictures", "scores", "evaluations")
    single = ("prompts.jsonl", "improvements.jsonl", "validation.jsonl", "training.jsonl",
              "log.csv")  # fmt: skip
    paths = [path for part in parts for path in (folder / part).rglob("*") if path.is_file()]
    paths += [folder / name for name in single]
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in paths
        if path.name not in _OTHER
    }


def test_one_run_folder_holds_all_that_the_paper_does(whole: Path) -> None:
    stages = json.loads((whole / "manifest.json").read_text())["stages"]
    assert set(stages) == {
        "experimenting", "training", "improving", "illustrating", "scoring-texts",
        "scoring-pictures",
    }  # fmt: skip
    assert {stage["state"] for stage in stages.values()} == {"done"}
    assert len(list((whole / "evaluations").glob("*.json"))) == 2
    assert len(list((whole / "pictures").glob("*.png"))) == 6
    scores = json.loads((whole / "scores" / "pictures.json").read_text())
    names = {metric["name"] for metric in scores["metrics"]}
    wanted = {"clipscore_original_prompt", "clipscore_improved_prompt", "directional_similarity"}
    assert wanted <= names and scores["verdicts"]["prompts"] == 3


def test_a_run_stopped_in_each_stage_ends_with_the_same_files(
    whole: Path, config: ExperimentConfig, tmp_path: Path
) -> None:
    folder, spent = tmp_path / "run", []
    for part in ("stage 2", "generated", "improving 3 of", "pictures in", "stage 6", "stage 7"):
        with pytest.raises(KeyboardInterrupt):
            run_experiment(config, folder, interrupted_at(part))
        state = Run.open(folder).stage("experimenting")["state"]
        assert (state == "done") == (part == "stage 7")
        spent.append(Run.open(folder).stage("experimenting")["seconds"])
    for earlier, later in pairwise(spent):
        assert all(later[name] >= seconds for name, seconds in earlier.items())
    assert sum(spent[-1].values()) > sum(spent[0].values())
    assert results(folder) == results(whole)


def test_a_finished_run_is_left_as_it_is(whole: Path, config: ExperimentConfig) -> None:
    before = results(whole)
    times = {path: path.stat().st_mtime_ns for path in (whole / "pictures").glob("*.png")}
    with pytest.raises(KeyboardInterrupt):  # all but the page, which is drawn anew
        run_experiment(config, whole, interrupted_at("stage 7"))
    assert results(whole) == before
    assert all(path.stat().st_mtime_ns == then for path, then in times.items())


def test_another_config_for_a_run_folder_is_refused(whole: Path, tmp_path: Path) -> None:
    path = tmp_path / "other.toml"
    path.write_text(TINY.replace("epochs = 2", "epochs = 3"))
    with pytest.raises(ConfigError, match=r"train\.epochs was 2, now 3\. Give the same") as found:
        run_experiment(load_config(str(path)), whole, lambda line: None)
    assert "\n" not in str(found.value)


def test_judging_waits_for_votes_and_then_goes_on(whole: Path, config: ExperimentConfig) -> None:
    asked = replace(config, judged=True, judge=JudgingConfig(raters=("ada", "ben"), repeats=0.0))
    assert list(stages_of(asked))[-2:] == ["judge", "report"]
    lines: list[str] = []
    chain = Chain(asked, whole, lines.append)
    chain.judge()
    judge, *links = chain.waiting
    assert judge.startswith(f"promptlift judge {whole} --port ")
    assert "--raters ada,ben --repeats 0.0" in judge
    study = Study.open([whole], asked.judge)  # as that command opens it
    raters = study.store.raters()
    assert [link.split("/r/")[1] for link in links] == [f"{rater.token}/" for rater in raters]
    study.store.vote(
        raters[0], study.questions, position=0, question=study.questions[0], answer="left",
        seconds=1.0, page_version="test", key="first",
    )  # fmt: skip
    chain = Chain(asked, whole, lines.append)
    chain.judge()
    assert chain.waiting == []
    assert lines[-1].startswith("1 votes; statistics in")
    assert (whole / "judging" / "results.json").is_file()


@pytest.mark.slow
def test_a_run_says_where_it_stands_and_ends_with_its_page(
    whole: Path, config: ExperimentConfig
) -> None:
    lines: list[str] = []
    chain = run_experiment(config, whole, lines.append)
    assert chain.page == whole / "report" / "index.html" and chain.waiting == []
    assert chain.reproduction == whole / "reproduction.json" and chain.reproduction.is_file()
    titles = list(stages_of(config).values())
    begun = [line for line in lines if line.startswith("stage ")]
    assert len(titles) == 7
    for number, (line, title) in enumerate(zip(begun, titles, strict=True), 1):
        assert line.startswith(f"stage {number} of 7: {title}")
        assert number == 1 or line.endswith(" min so far")
    assert sum("coloured shapes" in line for line in lines) == 2  # drawing, and scoring
    page = (whole / "report" / "index.html").read_text()
    assert "coloured shapes" in page and "--model sdxl" in page
    stage = Run.open(whole).stage("experimenting")
    assert stage["state"] == "done"
    assert [*stage["results"]["seconds"], "report"] == list(stages_of(config))
    total = sum(stage["seconds"].values())
    assert lines[-1] == f"7 stages in {total / 60:.1f} min"


@pytest.mark.slow
def test_a_run_killed_anywhere_ends_with_the_same_files(whole: Path, tmp_path: Path) -> None:
    path, folder = tmp_path / "tiny.toml", tmp_path / "run"
    path.write_text(TINY)
    line = command("experiment", path, "-o", folder)
    for part in ("generated 3", "stage 3", "stage 4", "stage 6", "stage 7"):
        with subprocess.Popen(line, stderr=subprocess.PIPE, text=True) as process:
            Said(process.stderr).until(part)
            process.kill()
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(folder / "report" / "index.html")
    last = done.stderr.splitlines()[-1]
    assert last.endswith(f"promptlift reproduce show {folder / 'reproduction.json'}")
    assert results(folder) == results(whole)


@pytest.mark.slow
def test_the_pocket_experiment_ends_within_its_time(tmp_path: Path) -> None:
    """On two quiet cores; here a machine that also does other things gets twice the time."""
    started = time.monotonic()
    folder = tmp_path / "pocket"
    run_experiment(load_config("pocket"), folder, lambda line: None)
    assert time.monotonic() - started < 30 * 60
    scores = json.loads((folder / "scores" / "pictures.json").read_text())
    assert scores["pairs"] == 100
    kept = [json.loads(row) for row in (folder / "improvements.jsonl").read_text().splitlines()]
    same = sum(
        (one.shape, one.colour) == (other.shape, other.colour)
        for row in kept
        for one, other in [(wanted_of(row["source"]), wanted_of(row["prompt"]))]
    )
    assert same == len(kept) == 100


def test_a_run_begun_before_additions_had_to_agree_goes_on_so(
    config: ExperimentConfig, tmp_path: Path
) -> None:
    def begin(folder: Path) -> bool | None:
        with pytest.raises(KeyboardInterrupt):
            run_experiment(config, folder, interrupted_at("stage 1"))
        begun = Run.open(folder).stage("experimenting")["config"]
        return config.improve.as_begun(begun, "improve.").coherent

    assert begin(tmp_path / "new") is None and begin(tmp_path / "new") is None
    older = tmp_path / "older"
    begin(older)
    manifest = json.loads((older / "manifest.json").read_text())
    for name in ADDED:
        # Where a setting is as it was before, a run does not write it.
        manifest["stages"]["experimenting"]["config"].pop(f"improve.{name}", None)
    (older / "manifest.json").write_text(json.dumps(manifest))
    assert begin(older) is False and begin(older) is False
