"""`promptlift pairs`, `train` and `export`: from prompts to a model that improves."""

import json
from pathlib import Path

import pytest

from promptlift.improving.manifest import Manifest
from tests.cli.conftest import Run, error_line

PROMPTS = [
    f"a {size} {thing}, soft light, {end}"
    for size in ("small", "big", "old", "red")
    for thing in ("cat", "castle", "boat", "tree")
    for end in ("highly detailed", "oil on canvas")
]
# Small enough to train in a second; nothing is learned.
TINY = [
    "--d-model", 16, "--d-ff", 16, "--num-layers", 1, "--num-decoder-layers", 1, "--num-heads", 2,
    "--vocab-size", 330, "--epochs", 1, "--batch-size", 16, "--precision", "fp32",
]  # fmt: skip


@pytest.fixture
def pairs(run: Run, tmp_path: Path) -> Path:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("\n".join([*PROMPTS, "a cat"]) + "\n")
    result = run("pairs", "build", prompts, "--output", tmp_path / "pairs.jsonl", "--cuts", 0)
    assert result.exit_code == 0, result.stderr
    assert result.stderr == (
        f"promptlift: 32 to extend, 32 to rewrite in {tmp_path / 'pairs.jsonl'}, "
        "from 33 prompts; 1 gave no pair; 0 faulty rows left out\n"
    )
    return tmp_path / "pairs.jsonl"


def test_the_whole_path(run: Run, pairs: Path, tmp_path: Path) -> None:
    folder, exported = tmp_path / "run", tmp_path / "exported"
    args = ["train", "--pairs", pairs, "--output", folder, "--name", "mini", *TINY]
    result = run(*args)
    assert result.exit_code == 0, result.output
    [model] = [word for word in result.stderr.split() if word.endswith("model;")]
    model_folder = Path(model.rstrip(";"))
    assert model_folder.is_dir()
    result = run("export", model_folder, "--output", exported, "--precision", "fp32")
    assert result.exit_code == 0, result.output
    assert Manifest.read(exported, verify=True).model_id in result.stderr
    result = run("export", model_folder, "--output", exported, "--precision", "fp32")
    assert result.exit_code == 2
    assert "--overwrite" in error_line(result)
    for chosen in (exported, model_folder):
        result = run("improve", "a cat", "--model", chosen, "--json", "--max-new-tokens", 3)
        assert result.exit_code == 0, result.stderr
        assert json.loads(result.stdout)["model"].startswith("mini@")


def test_faulty_prompts_are_named_and_left_out(run: Run, tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.jsonl"
    rows = [{"prompt": PROMPTS[0], "source": "good"}, {"text": "x"}, {"prompt": PROMPTS[1]}]
    rows[2]["source"] = "bad"
    prompts.write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    output = tmp_path / "pairs.csv"
    args = ["pairs", "build", prompts, "--output", output, "--exclude-source", "bad", "--cuts", 0]
    result = run(*args)
    assert result.exit_code == 0, result.stderr
    assert f"{prompts} line 2: no field 'prompt'; it has: text." in result.stderr
    assert "1 faulty rows left out" in result.stderr
    assert len(output.read_text().splitlines()) == 3


def test_a_faulty_pair_stops_training_before_it_begins(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    path.write_text("source,target\na cat,soft light\na dog,\n")
    result = run("train", "--pairs", path, "--output", tmp_path / "run")
    assert result.exit_code == 1
    assert "line 3: `target` is empty" in error_line(result)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["train", "--pairs", "p.csv", "--output", "r", "--preset", "huge"], "there is: pocket"),
        (["train", "--pairs", "p.csv", "--output", "r", "--epochs", "0"], "epochs is 0.0"),
        (["export", "m", "--output", "e", "--precision", "int3"], "int8, fp32"),
    ],
)
def test_wrong_settings_end_with_2(run: Run, args: list[str], words: str) -> None:
    result = run(*args)
    assert result.exit_code == 2
    assert words in error_line(result)


def test_a_missing_model_folder_is_one_line(run: Run, tmp_path: Path) -> None:
    result = run("export", tmp_path / "absent", "--output", tmp_path / "out")
    assert result.exit_code == 1
    assert "absent" in error_line(result)
