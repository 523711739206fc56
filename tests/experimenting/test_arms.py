"""A tuned rewriter beside the paper's and a fixed suffix, on models so small that it is quick."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from promptlift.experimenting.arms import _compared, compare_arms, draw_arms
from promptlift.experimenting.chain import run_experiment
from promptlift.experimenting.config import ExperimentConfig
from promptlift.experimenting.stages import stages_of
from promptlift.pictures import read_index
from promptlift.runs import Run
from promptlift.world.bundle import ORACLE
from promptlift.world.oracle import judge, load_oracle, score
from promptlift.world.wanted import wanted_of
from tests.conftest import POCKET
from tests.experimenting.conftest import interrupted_at
from tests.illustrating.models import DIFFUSERS_WARNS

pytestmark = DIFFUSERS_WARNS
TINY = """
name = "tiny"
threads = 1
[pairs]
world = "pocket"
count = 60
test = 8
[train]
preset = "pocket-world"
d_model = 16
d_ff = 16
num_heads = 2
batch_size = 40
epochs = 2
training_sample = 8
evaluation_decoding = "none"
[improve]
sample = 3
mode = "extend"
[illustrate]
model = "pocket"
refiner = "none"
num_inference_steps = 8
[tune]
enabled = true
reward = "aesthetic"
rounds = 1
prompts = 10
n = 2
held_out = 10
seeds = 1
num_inference_steps = 1
suffix = "masterpiece, 8k"
[texts]
limit = 3
bertscore = false
"""


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def results(folder: Path) -> dict[str, bytes]:
    """What tuning and arms are for."""
    paths = [folder / "arms.json", folder / "tuned" / "rounds.jsonl"]
    paths += [*(folder / "arms").rglob("*.png"), *(folder / "tuned").rglob("*.png")]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def test_leads_are_differences_over_prompts() -> None:
    values = {
        "original": np.array([0.2, 0.4, np.nan, 0.0]),
        "suffix": np.array([0.5, 0.5, 1.0, 0.5]),
    }
    found = _compared(values, ["a", "b", "c", "a"])  # the third has no value for one of them
    assert found["original"]["value"] == pytest.approx(0.2)
    assert found["suffix"]["value"] == pytest.approx(0.5)
    less = found["suffix"]["less"]["original"]
    assert less["difference"] == pytest.approx((0.3 + 0.1 + 0.5) / 3)
    assert less["low"] == pytest.approx(0.1) and less["high"] == pytest.approx(0.4)
    assert found["original"]["less"]["suffix"]["difference"] == pytest.approx(-less["difference"])


def test_stages_of_tuning_are_there_where_it_is_asked_for(config: ExperimentConfig) -> None:
    without = replace(config, tune=replace(config.tune, enabled=False))
    assert [*stages_of(config)] == [
        "pairs", "train", "improve", "draw", "tune", "arms", "texts", "pictures", "report",
    ]  # fmt: skip
    assert {*stages_of(config)} - {*stages_of(without)} == {"tune", "arms"}


@pytest.mark.slow
def test_no_test_prompt_and_no_noise_of_the_test_teach_the_rewriter(whole: Path) -> None:
    tested = {str(row["prompt"]) for row in rows_of(whole / "prompts.jsonl")}
    for place, count in (("1", 10), ("0/held-out", 10)):
        rows = rows_of(whole / "tuned" / "rounds" / place / "improvements.jsonl")
        used = {str(row["source"]) for row in rows}
        assert len(used) == count and tested.isdisjoint(used)
    stage = Run.open(whole / "tuned").stage("tuning")
    assert {one.seed for one in read_index(whole / "pictures")} == {0}
    assert stage["config"]["seeds"] == [1]
    assert stage["config"]["drawing"]["num_inference_steps"] == 1
    assert stage["results"] == {"kept": 0, "rounds": 1}


@pytest.mark.slow
def test_arms_have_the_same_noise_and_are_judged_by_what_was_asked_for(
    whole: Path, config: ExperimentConfig, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    said: list[str] = []
    arms = draw_arms(folder, config, POCKET, said.append)  # a rewriter that does write
    assert [*arms] == ["original", "pairs", "suffix", "tuned"]
    own = read_index(arms["original"])
    for name in ("suffix", "tuned"):
        drawn = read_index(arms[name])
        originals = {one.file: one.sha256 for one in own if one.side == "original"}
        assert originals == {one.file: one.sha256 for one in drawn if one.side == "original"}
        improved = [one for one in drawn if one.side == "improved"]
        assert [one.source for one in improved] == [one.source for one in own if one.variant == 0
                                                    and one.side == "improved"]  # fmt: skip
        assert all(one.settings == own[0].settings for one in improved)
        assert any(one.prompt != one.source for one in improved)
        if name == "suffix":
            assert all(one.prompt == f"{one.source}, masterpiece, 8k" for one in improved)
    assert sum("3 of them were there already" in line for line in said) == 1  # the suffix whole
    found = compare_arms(folder, arms, config, kept=1)
    assert (found["prompts"], found["seeds"]) == (3, 1)
    oracle, reward = found["metrics"]
    assert (oracle["name"], reward["name"]) == ("oracle", "aesthetic")
    values = []
    for one in read_index(arms["tuned"]):
        if one.side == "improved":
            [reading] = load_oracle(ORACLE).read(np.array(Image.open(one.path))[None])
            values.append(score(judge(wanted_of(one.source), reading), reading.clean))
    assert oracle["arms"]["tuned"]["value"] == pytest.approx(np.mean(values))
    assert json.loads((folder / "arms.json").read_text()) == found


@pytest.mark.slow
def test_a_run_stopped_while_tuning_and_among_arms_ends_with_the_same_files(
    whole: Path, config: ExperimentConfig, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    for part in ("round 1 of 1", "stage 6", "arms", "stage 7"):
        with pytest.raises(KeyboardInterrupt):
            run_experiment(config, folder, interrupted_at(part))
    assert results(folder) == results(whole)


@pytest.mark.slow
def test_the_page_says_which_prompts_draw_best(whole: Path, config: ExperimentConfig) -> None:
    chain = run_experiment(config, whole, lambda line: None)
    assert chain.page is not None
    page = chain.page.read_text()
    for part in ("Which prompts draw best?", "By the oracle", "the paper&#x27;s method",
                 "“masterpiece, 8k”", "less the prompt alone", "Tuning by pictures",
                 "../arms/suffix/pictures/", "No round of tuning was better"):  # fmt: skip
        assert part in page, part
