"""Drawing into a run folder: what is written, and going on after anything."""

import json
import os
import random
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from promptlift import ConfigError, Illustrator, PromptliftError
from promptlift.files import sha256_of_file, write_json
from promptlift.illustrating.job import IllustrationJob
from promptlift.improving.receipts import read_receipts
from promptlift.png_text import read_png_text
from promptlift.runs import Run
from promptlift.tables import Row, read_rows
from tests.conftest import CopyOf, another_process
from tests.illustrating.models import DIFFUSERS_WARNS
from tests.illustrating.single_file import save_single_file
from tests.waiting import Said

pytestmark = DIFFUSERS_WARNS
TINY: dict[str, Any] = {"num_inference_steps": 1, "width": 16, "height": 16}
Draw = Callable[..., list[str]]


@pytest.fixture(scope="module")
def illustrator(sdxl: Path) -> Illustrator:
    return Illustrator.load(sdxl, seeds=2, **TINY)


@pytest.fixture
def improvements(tmp_path: Path) -> Path:
    """Two prompts, the first with two variants."""
    rows = [("a cat", "a cat, 猫"), ("a cat", "a cat, oil on canvas"), ("a dog", "a dog, 4k")]
    path = tmp_path / "improvements.jsonl"
    lines = [json.dumps({"source": source, "prompt": prompt}) for source, prompt in rows]
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def draw(tmp_path: Path, improvements: Path, illustrator: Illustrator) -> Draw:
    """Runs the job to its end, and gives the names of what it drew; `said` collects reports."""

    def call(said: list[str] | None = None, other: Illustrator | None = None) -> list[str]:
        job = IllustrationJob(
            Run.open(tmp_path / "run"),
            improvements,
            other or illustrator,
            report=(said if said is not None else []).append,
        )
        return [item.picture.file for item in job]

    return call


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: sha256_of_file(path) for path in folder.glob("*.png")}


def index(folder: Path) -> list[dict[str, Any]]:
    rows = [row for row in read_rows(folder / "index.parquet") if isinstance(row, Row)]
    return [dict(row.value) for row in rows if not isinstance(row.value, str)]


def test_pictures_index_and_manifest(draw: Draw, tmp_path: Path, illustrator: Illustrator) -> None:
    drawn = draw()
    pictures = tmp_path / "run" / "pictures"
    assert drawn == [
        f"{prompt}-s{seed}-{side}.png"
        for prompt, sides in (
            ("000000", ("original", "improved-v0", "improved-v1")),
            ("000001", ("original", "improved-v0")),
        )
        for seed in (0, 1)
        for side in sides
    ]
    rows = index(pictures)
    assert [row["file"] for row in rows] == drawn
    assert {row["file"]: row["sha256"] for row in rows} == hashes(pictures)
    first, second = rows[:2]
    assert (first["prompt"], first["side"], first["variant"]) == ("a cat", "original", None)
    assert (second["prompt"], second["source"], second["variant"]) == ("a cat, 猫", "a cat", 0)
    assert json.loads(first["settings"]) == illustrator.settings()
    assert json.loads(first["model"]) == illustrator.describe_model()
    assert all(row["seconds"] > 0 and row["width"] == 16 for row in rows)
    stage = Run.open(tmp_path / "run").stage("illustrating")
    assert (stage["state"], stage["results"]["pictures"]) == ("done", 10)


def test_a_picture_carries_its_receipt(draw: Draw, tmp_path: Path) -> None:
    draw()
    path = tmp_path / "run" / "pictures" / "000000-s1-improved-v0.png"
    [receipt] = read_receipts(path)
    assert (receipt.source, receipt.prompt) == ("a cat", "a cat, 猫")
    texts = read_png_text(path)
    drawing = json.loads(texts["promptlift"])["drawing"]
    assert (drawing["seed"], drawing["side"], drawing["width"]) == (1, "improved", 16)
    assert drawing["settings"]["num_inference_steps"] == 1
    assert texts["parameters"].splitlines()[-1].startswith("Steps: 1, Sampler: Euler")
    assert "Seed: 1, Size: 16x16" in texts["parameters"]
    [original] = read_receipts(path.with_name("000000-s1-original.png"))
    assert (original.prompt, original.mode) == ("a cat", "original")


def test_pictures_are_those_of_the_library(
    draw: Draw, tmp_path: Path, illustrator: Illustrator
) -> None:
    draw()
    with Image.open(tmp_path / "run" / "pictures" / "000001-s1-improved-v0.png") as image:
        assert image.tobytes() == illustrator.draw("a dog, 4k", seed=1).image.tobytes()


def test_only_what_is_missing_or_broken_is_drawn_again(draw: Draw, tmp_path: Path) -> None:
    drawn = draw()
    pictures = tmp_path / "run" / "pictures"
    before = hashes(pictures)
    assert draw() == []
    gone, cut, flipped, foreign = (pictures / name for name in (drawn[1], *drawn[4:7]))
    gone.unlink()
    cut.write_bytes(cut.read_bytes()[:-20])
    data = bytearray(flipped.read_bytes())
    data[len(data) // 2] ^= 1
    flipped.write_bytes(data)
    Image.new("RGB", (16, 16)).save(foreign)
    (pictures / ".000000-s0-original.png.abc.png").write_bytes(b"half")
    (pictures / ".mine.png").write_bytes(b"of the user")
    said: list[str] = []
    assert draw(said) == [drawn[1], *drawn[4:7]]
    assert {name for name in hashes(pictures) if name.startswith(".")} == {".mine.png"}
    (pictures / ".mine.png").unlink()
    assert hashes(pictures) == before
    assert len(said) == 3 and all("drawing it again" in line for line in said)
    assert "ends in the middle" in said[0] and "checksum" in said[1]


def test_other_settings_are_refused_and_more_seeds_are_not(
    draw: Draw, tmp_path: Path, sdxl: Path
) -> None:
    draw()
    other = Illustrator.load(sdxl, **{**TINY, "num_inference_steps": 2})
    with pytest.raises(ConfigError, match="num_inference_steps was 1, now 2"):
        draw(other=other)
    more = Illustrator.load(sdxl, seeds=3, **TINY)
    assert draw(other=more) == [
        "000000-s2-original.png",
        "000000-s2-improved-v0.png",
        "000000-s2-improved-v1.png",
        "000001-s2-original.png",
        "000001-s2-improved-v0.png",
    ]
    assert len(index(tmp_path / "run" / "pictures")) == 15


def test_another_model_config_is_another_model(
    draw: Draw, tmp_path: Path, sd15: Path, copy_of: CopyOf
) -> None:
    pipeline = Illustrator.load(sd15).diffusers.pipelines.base
    path = save_single_file(pipeline, tmp_path / "model.safetensors")
    folder = copy_of(sd15)

    def load() -> Illustrator:
        return Illustrator.load(path, model_config=str(folder), offline=True, **TINY)

    first = load()
    drawn = draw(other=first)
    assert len(drawn) == 5 and draw(other=first) == []
    scheduler = folder / "scheduler" / "scheduler_config.json"
    scheduler.write_text(json.dumps({**json.loads(scheduler.read_text()), "beta_end": 0.02}))
    second = load()
    with pytest.raises(ConfigError, match="model_config"):
        draw(other=second)
    manifest = tmp_path / "run" / "manifest.json"
    manifest.unlink()  # where only the pictures know
    write_json(manifest, {"schema_version": 1, "stages": {}})
    assert draw(other=second) == drawn


def test_stopping_is_noted_and_nothing_is_doubled(
    draw: Draw, tmp_path: Path, improvements: Path, illustrator: Illustrator
) -> None:
    job = iter(IllustrationJob(Run.open(tmp_path / "run"), improvements, illustrator))
    for _ in range(3):
        next(job)
    job.close()  # type: ignore[attr-defined]
    assert Run.open(tmp_path / "run").stage("illustrating")["state"] == "interrupted"
    pictures = tmp_path / "run" / "pictures"
    before = hashes(pictures)
    assert len(before) == 3 and not (pictures / "index.parquet").exists()
    assert len(draw()) == 7
    after = hashes(pictures)
    assert {name: after[name] for name in before} == before and len(after) == 10


def test_a_second_process_is_told_who_draws(
    draw: Draw, tmp_path: Path, improvements: Path, illustrator: Illustrator
) -> None:
    second = (
        "import sys; from pathlib import Path; from promptlift.runs import Run\n"
        "with Run.open(Path(sys.argv[1])).alone('drawn'): pass"
    )
    line = [sys.executable, "-c", second, str(tmp_path / "run")]
    job = iter(IllustrationJob(Run.open(tmp_path / "run"), improvements, illustrator))
    next(job)
    done = subprocess.run(line, capture_output=True, text=True)
    assert f"is being drawn by another process (pid {os.getpid()})" in done.stderr
    job.close()  # type: ignore[attr-defined]
    assert subprocess.run(line).returncode == 0
    with (
        another_process(tmp_path / "run", "drawn"),
        pytest.raises(PromptliftError, match="by another process"),
    ):
        draw()
    assert len(draw()) == 9


@pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")
def test_a_full_disk_is_one_line_and_loses_nothing(draw: Draw, tmp_path: Path) -> None:
    draw()
    pictures = tmp_path / "run" / "pictures"
    (pictures / "000001-s1-original.png").unlink()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    kept = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    begin = Run.begin

    def begin_and_fill_the_disk(self: Run, *given: Any) -> None:
        begin(self, *given)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # a picture has 1,900 bytes

    try:
        with (
            pytest.MonkeyPatch.context() as patch,
            pytest.raises(PromptliftError, match="cannot be written: File too large") as caught,
        ):
            patch.setattr(Run, "begin", begin_and_fill_the_disk)
            draw()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, kept)
    assert "the same command goes on" in str(caught.value)
    assert len(hashes(pictures)) == 9
    assert not list(pictures.glob(".*.png"))
    assert draw() == ["000001-s1-original.png"]


KILLED = """
import sys
from pathlib import Path
from promptlift.illustrating.illustrator import Illustrator
from promptlift.illustrating.job import IllustrationJob
from promptlift.runs import Run
folder, improvements, model = map(Path, sys.argv[1:])
illustrator = Illustrator.load(model, num_inference_steps=1, width=16, height=16)
for item in IllustrationJob(Run.open(folder), improvements, illustrator):
    print(item.picture.file, flush=True)
"""


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_with_the_same_files(tmp_path: Path, sdxl: Path) -> None:
    improvements = tmp_path / "improvements.jsonl"
    rows = [{"source": f"a cat {n}", "prompt": f"a cat {n}, soft light"} for n in range(20)]
    improvements.write_text("".join(json.dumps(row) + "\n" for row in rows))

    def start(folder: Path) -> subprocess.Popen[str]:
        line = [sys.executable, "-W", "ignore", "-c", KILLED, folder, improvements, sdxl]
        return subprocess.Popen(list(map(str, line)), stdout=subprocess.PIPE, text=True)

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    printed, _ = start(whole).communicate()
    expected = hashes(whole / "pictures")
    assert len(printed.split()) == len(expected) == 40
    for pictures in random.Random(0).sample(range(1, 12), 3):
        with start(killed) as process:
            Said(process.stdout).until(".png", pictures)  # and the next one is being drawn
            process.kill()
    before = hashes(killed / "pictures")
    printed, _ = start(killed).communicate()
    done = {name for name in before if before[name] == expected.get(name)}
    assert {*printed.split()} == {*expected} - done
    assert hashes(killed / "pictures") == expected
    assert [row["sha256"] for row in index(killed / "pictures")] == [
        row["sha256"] for row in index(whole / "pictures")
    ]
