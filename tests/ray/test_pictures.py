"""A cluster draws the pictures, and reads the features, of one process."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from promptlift.pictures import INDEX
from promptlift.tables import Row, read_rows
from tests.illustrating.models import save_sdxl
from tests.scoring.clip_models import draw_run, make_clip

pytestmark = pytest.mark.slow


def run(*words: object, status: int = 0) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "promptlift", *map(str, words)],
        capture_output=True, text=True, timeout=500, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == status, done.stderr
    return done.stderr


def index(folder: Path) -> list[dict[str, object]]:
    rows = [row for row in read_rows(folder / "pictures" / INDEX) if isinstance(row, Row)]
    return [{**dict(row.value), "seconds": None} for row in rows if not isinstance(row.value, str)]


def test_pictures_are_those_of_one_process(tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("".join(f"a {word}\n" for word in ("cat", "fox", "boat") for _ in range(6)))
    given = (
        "illustrate", "--prompts", prompts, "--model", save_sdxl(tmp_path / "sdxl"), "--steps", 2,
        "--width", 16, "--height", 16, "--refiner", "none", "--device", "cpu", "--threads", 1,
    )  # fmt: skip
    one, two = tmp_path / "one", tmp_path / "two"
    run(*given, "-o", one)
    said = run(*given, "-o", two, "--engine", "ray", "--actors", 2)
    assert "36 pictures in" in said
    files = sorted(path.name for path in (one / "pictures").glob("*.png"))
    assert len(files) == 36
    for name in files:
        assert (two / "pictures" / name).read_bytes() == (one / "pictures" / name).read_bytes()
    assert index(two) == index(one)
    (two / "pictures" / files[5]).unlink()
    run(*given, "-o", two, "--engine", "ray", "--actors", 1)
    assert index(two) == index(one)
    assert "36 of them were there already" in run(*given, "-o", two)
    plain = ("illustrate", "--prompts", prompts, "-o", tmp_path / "three")
    refused = run(*plain, "--engine", "ray", "--backend", "a1111", status=2)
    assert "--engine ray draws with diffusers" in refused


def test_scores_are_those_of_one_process(tmp_path: Path) -> None:
    clip_folder = make_clip(tmp_path / "clip")
    one = draw_run(tmp_path / "one", prompts=5, seeds=(1, 2), variants=1)
    two = Path(shutil.copytree(one, tmp_path / "two"))
    given = ("--only", "pictures", "--clip", clip_folder, "--picture-batch-size", 4)
    more = (*given, "--device", "cpu", "--threads", 1)
    run("score", one, *more)
    said = run("score", two, *more, "--engine", "ray", "--actors", 2)
    assert "2 parts read; 0 features were in none of them" in said
    for name in ("pictures.json", "pictures.parquet", "pairs.parquet", "verdicts.jsonl"):
        assert (two / "scores" / name).read_bytes() == (one / "scores" / name).read_bytes()
    assert "--actors needs --engine ray" in run("score", two, *more, "--actors", 2, status=2)
