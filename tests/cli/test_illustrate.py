"""`promptlift illustrate`."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from promptlift.records import Pair
from promptlift.runs import Run as RunFolder
from promptlift.tables import Row, read_rows, write_rows
from tests.cli.conftest import Run, error_line, objects, spawn
from tests.illustrating.models import DIFFUSERS_WARNS, save_refiner, save_sdxl

pytestmark = DIFFUSERS_WARNS


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options that choose a tiny SDXL with its refiner, and keep it quick."""
    root = tmp_path_factory.mktemp("pictures")
    base, refiner = save_sdxl(root / "base"), save_refiner(root / "refiner")
    return [
        *("--model", str(base), "--refiner", str(refiner), "--steps", "2"),
        *("--width", "16", "--height", "16"),
    ]


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.txt"
    path.write_text("a cat\na lighthouse\nold castle\n")
    return path


def index(run: Path) -> list[dict[str, Any]]:
    rows = read_rows(run / "pictures" / "index.parquet")
    return [dict(row.value) for row in rows if isinstance(row, Row) and isinstance(row.value, dict)]


def test_plain_prompts_are_improved_and_drawn(
    run: Run, prompts: Path, pictures: list[str], exported: Path, tmp_path: Path
) -> None:
    output = tmp_path / "run"
    options = ("--prompts", prompts, "-o", output, "--improver", exported, "-n", 2, *pictures)
    result = run("illustrate", *options, "--json")
    assert result.exit_code == 0, result.stderr
    rows = index(output)
    assert [row["file"] for row in objects(result.stdout)] == [row["file"] for row in rows]
    assert len(rows) == 9  # an original is drawn once for both of its variants
    improvements = objects((output / "improvements.jsonl").read_text())
    drawn = {(row["prompt_index"], row["variant"]): row["prompt"] for row in rows}
    for item in improvements:
        assert drawn[item["index"], item["variant"]] == item["prompt"]
        assert drawn[item["index"], None] == item["source"]
    again = run("illustrate", *options)
    assert "9 of them were there already" in again.stderr
    assert again.exit_code == 0 and again.stdout == ""
    shown = run("show", output / "pictures" / rows[1]["file"]).stdout
    assert f"prompt    {rows[1]['prompt']}\n" in shown and "drawn by  base@" in shown
    assert "improved, seed 0" in shown
    changed = run("illustrate", *options, "--guidance-scale", "2")
    assert "guidance_scale was 5.0, now 2.0" in error_line(changed)


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_improvements_of_a_file_are_drawn_as_they_are(
    ending: str, run: Run, pictures: list[str], tmp_path: Path
) -> None:
    path = tmp_path / f"pairs.{ending}"
    rows = [{"source": f"a cat {n}", "prompt": f"a cat {n}, 4k"} for n in range(6)]
    write_rows(path, rows, ("source", "prompt"))
    output = tmp_path / "run"
    result = run("illustrate", "--prompts", path, "-o", output, "--sample", 2, *pictures)
    assert result.exit_code == 0, result.stderr
    found = index(output)
    assert len(found) == 4 and {row["side"] for row in found} == {"original", "improved"}
    for row in found:
        source = f"a cat {row['prompt_index']}"
        assert row["prompt"] == source + (", 4k" if row["side"] == "improved" else "")
    other = ("--sample", 2, "--sample-seed", 1)
    refused = run("illustrate", "--prompts", path, "-o", output, *other, *pictures)
    assert "sample_seed was 0, now 1" in error_line(refused)


@pytest.mark.slow
def test_a_trained_run_is_drawn_in_each_pairs_mode(
    run: Run, t5v11_folder: Path, pictures: list[str], tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    RunFolder.open(folder).begin("training", {}, {})
    shutil.copytree(t5v11_folder, folder / "model")
    pairs = [
        Pair(source="a cat", target="soft light", mode="extend"),
        Pair(source="a dog", target="a dog, 4k"),
        Pair(source="an owl", target="4k", mode="extend"),
    ]
    rows = [{"source": p.source, "target": p.target, "mode": p.mode} for p in pairs]
    write_rows(folder / "validation.jsonl", rows, ())
    result = run("illustrate", folder, *pictures)
    assert result.exit_code == 0, result.stderr
    improvements = objects((folder / "improvements.jsonl").read_text())
    assert [item["mode"] for item in improvements] == ["extend", "rewrite", "extend"]
    assert len(index(folder)) == 6
    assert run("illustrate", folder, "--sample", 1, *pictures).exit_code == 0
    assert len(index(folder)) == 2


def test_what_is_cut_is_said(run: Run, pictures: list[str], tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    row = {"source": "a <lora:x:1> cat", "prompt": "a cat, " + "soft light, " * 60}
    path.write_text(json.dumps(row) + "\n")
    result = run("illustrate", "--prompts", path, "-o", tmp_path / "run", *pictures)
    assert "not applied: <lora:x:1>" in result.stderr
    assert "tokens were cut, from" in result.stderr and "--long-prompts chunk" in result.stderr
    assert [row["cut_tokens"] > 0 for row in index(tmp_path / "run")] == [False, True]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "give a run folder, or --prompts FILE or --embedding FILE with --output RUN"),
        (("--prompts", "x.txt"), "belong together"),
        (("missing",), "missing does not exist"),
        (("--prompts", "x.txt", "-o", "out"), "x.txt does not exist"),
        (("--prompts", "x.txt", "-o", "out", "--width", "100"), "width is 100"),
        (("--prompts", "x.txt", "-o", "out", "--sample", "0"), "sample is 0"),
    ],
)
def test_wrong_use_is_one_line(
    options: tuple[str, ...], message: str, run: Run, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("illustrate", *options)
    assert result.exit_code and message in error_line(result)


@pytest.mark.parametrize("text", ["", '{"prompt": 3}\n{"source": "a cat"'])
def test_a_file_without_a_usable_prompt_leaves_the_folder_free(
    text: str, run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text(text)
    result = run("illustrate", "--prompts", path, "-o", tmp_path / "run")
    assert result.exit_code and "prompts.jsonl" in error_line(result)
    assert not (tmp_path / "run").exists()


def test_a_run_with_nothing_to_draw(run: Run, tmp_path: Path) -> None:
    RunFolder.open(tmp_path / "run").begin("pairs", {}, {})
    assert "holds neither improvements.jsonl nor validation.jsonl" in error_line(
        run("illustrate", tmp_path / "run")
    )


def test_rows_that_are_no_improvement(run: Run, pictures: list[str], tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    good = {"source": "a cat", "prompt": "a cat, 4k"}
    path.write_text(f'{json.dumps(good)}\n{{"source": "a dog", "prompt": ""}}\n')
    result = run("illustrate", "--prompts", path, "-o", tmp_path / "run", *pictures)
    assert "pairs.jsonl line 2: `prompt` is missing or empty" in error_line(result)
    path.write_text(f"{json.dumps(good)}\nnot JSON\n")
    result = run("illustrate", "--prompts", path, "-o", tmp_path / "run2", *pictures)
    assert result.exit_code == 0 and "line 2 is left out: not valid JSON" in result.stderr


@pytest.mark.slow
def test_offline_weights_in_the_hubs_cache_are_found(
    pictures: list[str], prompts: Path, exported: Path, tmp_path: Path
) -> None:
    """A cache as the Hub's library lays it out: only there can a preset be without the network."""
    cache = tmp_path / "hf" / "hub"
    names = ("stable-diffusion-xl-base-1.0", "stable-diffusion-xl-refiner-1.0")
    for name, folder in zip(names, (pictures[1], pictures[3]), strict=True):
        model = cache / f"models--stabilityai--{name}"
        shutil.copytree(folder, model / "snapshots" / "0123")
        (model / "refs").mkdir()
        (model / "refs" / "main").write_text("0123")
    options = ("--prompts", prompts, "-o", tmp_path / "run", "--improver", exported, "--offline")
    size = ("--width", 16, "--height", 16, "--steps", 2, "--sample", 1)
    environment = f"import os\nos.environ['HF_HOME'] = {str(tmp_path / 'hf')!r}"
    done = spawn("illustrate", *options, *size, "--model", "sdxl", before=environment)
    assert done.returncode == 0, done.stderr
    assert (
        "stabilityai/stable-diffusion-xl-base-1.0, licence CreativeML Open RAIL++-M" in done.stderr
    )
    assert {json.loads(row["model"])[1]["name"] for row in index(tmp_path / "run")} == {
        "stabilityai/stable-diffusion-xl-refiner-1.0"
    }
    assert "Traceback" not in done.stderr and "it/s" not in done.stderr


def test_plain_prompts_take_the_one_mode_of_their_model(
    run: Run, prompts: Path, pictures: list[str], paper_folder: Path, tmp_path: Path
) -> None:
    options = ("--prompts", prompts, "-o", tmp_path / "run", "--improver", paper_folder)
    result = run("illustrate", *options, "--sample", 1, *pictures)
    assert result.exit_code == 0, result.stderr
    [item] = objects((tmp_path / "run" / "improvements.jsonl").read_text())
    assert item["mode"] == "rewrite"


def test_parts_are_put_together_in_one_folder(
    run: Run, prompts: Path, pictures: list[str], exported: Path, tmp_path: Path
) -> None:
    given = ("--prompts", prompts, "--improver", exported, *pictures)
    assert run("illustrate", *given, "-o", tmp_path / "whole").exit_code == 0
    for number in (1, 2):
        part = tmp_path / f"part-{number}"
        result = run("illustrate", *given, "--shard", f"{number}/2", "-o", part)
        assert result.exit_code == 0, result.stderr
        assert {row["prompt_index"] % 2 for row in index(part)} == {number - 1}
    whole, one, two = (tmp_path / name / "pictures" for name in ("whole", "part-1", "part-2"))
    for path in two.glob("*.png"):
        shutil.copy(path, one)
    result = run("illustrate", *given, "-o", tmp_path / "part-1")
    assert "6 of them were there already" in result.stderr
    for path in whole.glob("*.png"):
        assert (one / path.name).read_bytes() == path.read_bytes()
    lacking = [{**row, "seconds": None} for row in index(tmp_path / "part-1")]
    assert lacking == [{**row, "seconds": None} for row in index(tmp_path / "whole")]
