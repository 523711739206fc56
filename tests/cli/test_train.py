"""`promptlift train` as typed."""

import csv
import json
import shutil
from pathlib import Path

import pytest

from promptlift.improving.improver import Improver
from promptlift.improving.loading import BUNDLED, bundled_model_path
from promptlift.improving.manifest import PAPER_PREFIX, Manifest, ModelCard
from promptlift.pairs.load import write_pairs
from promptlift.records import Pair
from promptlift.runs import Run as RunFolder
from tests.cli.conftest import Run, error_line
from tests.conftest import NEEDS_BUNDLED
from tests.training.test_paper import PAIRS, VALIDATION


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    write_pairs(tmp_path / "pairs.jsonl", PAIRS)
    write_pairs(tmp_path / "validation.jsonl", VALIDATION)
    return [
        "--pairs", str(tmp_path / "pairs.jsonl"),
        "--validation", str(tmp_path / "validation.jsonl"),
    ]  # fmt: skip


def test_the_papers_pairs_offline_say_what_to_give(run: Run, tmp_path: Path) -> None:
    result = run("train", "--preset", "paper", "--output", tmp_path / "run")
    assert result.exit_code == 1
    line = error_line(result)
    assert "groloch/stable_diffusion_prompts_instruct" in line
    assert "--pairs FILE, and --validation FILE" in line


def test_wrong_usage_is_one_line(run: Run, tmp_path: Path, files: list[str]) -> None:
    assert "give --pairs FILE" in error_line(run("train", "--output", tmp_path / "run"))
    assert "--output FOLDER" in error_line(run("train", *files))
    result = run("train", *files, "--output", tmp_path / "run", "--gradient-checkpointing", "maybe")
    assert result.exit_code == 2
    assert "gradient_checkpointing is 'maybe'" in error_line(result)


def test_a_faulty_validation_row_is_named(run: Run, tmp_path: Path, files: list[str]) -> None:
    (tmp_path / "validation.jsonl").write_text('{"source": "a", "target": ""}\n')
    result = run("train", *files, "--output", tmp_path / "run")
    assert "validation.jsonl line 1: `target` is empty" in error_line(result)


def test_a_preflight_alone_leaves_nothing(
    run: Run, tmp_path: Path, files: list[str], t5v11_folder: Path
) -> None:
    result = run("train", "--preset", "paper", "--model", t5v11_folder, *files, "--preflight")
    assert result.exit_code == 0
    first, second = result.stderr.splitlines()[-2:]
    assert first.startswith("promptlift: preflight: 5 updates of 64 pairs at ")
    assert "gradient checkpointing off" in second
    assert not (tmp_path / "run").exists()


def test_m_what_cannot_be_learned_is_said_before_training(
    run: Run, tmp_path: Path, t5v11_folder: Path
) -> None:
    pairs = tmp_path / "pairs.jsonl"
    odd = [Pair(source="a cat", target=target) for target in ("nan", "As an AI, I cannot draw.")]
    broken = Pair(source="a cat", target="a cat,\nin oil")
    write_pairs(pairs, [*PAIRS, *odd, broken])
    asked = ("train", "--preset", "paper", "--model", t5v11_folder, "--pairs", pairs, "--preflight")
    result = run(*asked)
    assert result.exit_code == 0, result.output
    assert "2 pairs are no prompts to learn and are left out: " in result.stderr
    known = f"characters in 1 of {len(PAIRS) + 1} pairs"
    assert f"warning: the tokenizer does not know {known}" in result.stderr
    assert "line break in 1" in result.stderr
    kept = run(*asked, "--keep-unfit")
    assert f"characters in 1 of {len(PAIRS) + 3} pairs" in kept.stderr
    assert "left out" not in kept.stderr


@pytest.mark.slow
def test_a_paper_run_from_the_command_line(
    run: Run, tmp_path: Path, files: list[str], t5v11_folder: Path
) -> None:
    asked = [
        "train", "--preset", "paper", "--model", t5v11_folder, *files, "--epochs", "1",
        "--evaluation-decoding", "paper-exact", "--lora", "--output", tmp_path / "run",
    ]  # fmt: skip
    result = run(*asked)
    assert result.exit_code == 0, result.stderr
    assert "the model is that of step 1" in result.stderr
    assert ModelCard.read(tmp_path / "run" / "model").modes == {"rewrite": PAPER_PREFIX}
    with (tmp_path / "run" / "log.csv").open() as file:
        [row] = [row for row in csv.DictReader(file) if row["eval_loss"]]
    [found] = (tmp_path / "run" / "evaluations").glob("*.json")
    scores = {item["metric"]: item for item in json.loads(found.read_text())["scores"]}
    for name in ("meteor", "bertscore_precision", "bertscore_recall", "bertscore_f1"):
        assert float(row[name]) == scores[f"{name}_target"]["value"]
        assert scores[f"{name}_target"]["n"] == len(VALIDATION)
    refused = run(*asked, "--encoder", "roberta-large")  # figures of one run must compare
    assert refused.exit_code != 0
    assert len(refused.stderr.splitlines()) == 1


@NEEDS_BUNDLED
@pytest.mark.slow
def test_the_bundled_writer_is_trained_by_its_name(run: Run, tmp_path: Path) -> None:
    pairs = [Pair(source=f"a cat {i}", target=f"on a chair {i}", mode="extend") for i in range(20)]
    write_pairs(tmp_path / "pairs.jsonl", pairs)
    folder = tmp_path / "run"
    result = run(
        "train", "--model", BUNDLED, "--lora", "--pairs", tmp_path / "pairs.jsonl", "--epochs", 1,
        "--batch-size", 10, "--output", folder,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert RunFolder.open(folder).stage("training")["results"]["steps"] == 2
    card, before = ModelCard.read(folder / "model"), Manifest.read(bundled_model_path()).card
    assert (card.name, card.modes["extend"]) == (before.name, before.modes["extend"])
    shutil.rmtree(folder / "base")  # a complete run needs it no more
    [found] = Improver.load(folder / "model").improve("a lighthouse", seed=0)
    assert found.prompt.startswith("a lighthouse, ")
