"""`promptlift score` of a run with pictures."""

import json
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.conftest import Run, command, error_line, spawn
from tests.scoring.clip_models import draw_run, make_clip
from tests.waiting import Said


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("models") / "clip")


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    return draw_run(tmp_path / "run", prompts=3)


def test_the_table_has_every_metric_its_baseline_and_the_verdict(
    run: Run, clip: Path, drawn: Path
) -> None:
    result = run("score", drawn, "--clip", clip, "--metrics", "clip", "--metrics",
                 "measures")  # fmt: skip
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["original", "improved", "difference", "[95%]", "p", "won-lost-tied"]
    assert lines[1].startswith("CLIPScore (original prompt)")
    assert lines[2].startswith("  with shuffled captions")
    assert [line for line in lines if line.startswith("Near-blank pictures")]
    assert [line for line in lines if line.startswith("Directional similarity: ")]
    assert "12 pictures of 3 prompts, 6 pairs, 0 left out; intervals over prompts" in lines
    assert [line for line in lines if line.startswith("better left alone: ")]
    assert result.stderr == f"promptlift: scores in {drawn / 'scores' / 'pictures.json'}\n"


def test_what_pictures_show_of_the_wants_is_a_metric(run: Run, clip: Path, drawn: Path) -> None:
    result = run("score", drawn, "--clip", clip, "--metrics", "wants")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[1].startswith("Wants shown (original prompt)")
    found = json.loads((drawn / "scores" / "pictures.json").read_text())
    assert found["settings"]["wants"] == "clip"
    assert found["models"]["wants_shown"].startswith("clip@")


def test_json_is_the_file(run: Run, clip: Path, drawn: Path) -> None:
    result = run("score", drawn, "--clip", clip, "--metrics", "clip", "--json")
    assert result.exit_code == 0, result.stderr
    [found] = json.loads(result.stdout).values()
    assert found == json.loads((drawn / "scores" / "pictures.json").read_text())
    assert found["schema_version"] == 1
    assert found["models"]["clip"].startswith("clip@")


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--clip", "./nowhere"], 1, "model './nowhere' is not a folder"),
        (["--offline"], 1, "openai/clip-vit-base-patch16 is not on this machine. Download it"),
        (["--metrics", "clap"], 2, "metric 'clap' is not known; there is: clip, measures"),
        (["--metrics", "wants", "--wants", "./nowhere"], 1, "model './nowhere' is not a folder"),
        (["--picture-batch-size", "0"], 2, "batch_size is 0 and must be 1 or more"),
        (["--metrics", "aesthetic", "--aesthetic", "no.pth"], 1, "no.pth does not exist"),
    ],
)
def test_errors_are_one_line(
    arguments: list[str], status: int, said: str, run: Run, drawn: Path
) -> None:
    result = run("score", drawn, *arguments)
    assert result.exit_code == status
    assert said in error_line(result)


def test_only_one_part_is_scored_on_request(run: Run, clip: Path, drawn: Path) -> None:
    result = run("score", drawn, "--only", "texts")
    assert result.exit_code == 1
    assert "has no validation.jsonl" in error_line(result)
    result = run("score", drawn, "--only", "sounds")
    assert result.exit_code == 2
    assert "must be texts or pictures" in error_line(result)
    result = run("score", drawn, "--only", "pictures", "--pairs", "pairs.jsonl")
    assert result.exit_code == 2
    assert "--only pictures needs a run folder" in error_line(result)


def test_a_run_without_pictures_says_what_to_do(run: Run, tmp_path: Path) -> None:
    result = run("score", tmp_path, "--only", "pictures")
    assert result.exit_code == 1
    assert "promptlift illustrate RUN" in error_line(result)


@pytest.mark.parametrize("holds", ["pictures", "improvements.jsonl", "manifest.json"])
def test_a_run_whose_drawing_has_not_finished_says_so(run: Run, tmp_path: Path, holds: str) -> None:
    if holds == "pictures":
        (tmp_path / holds).mkdir()
    else:
        stages = {"schema_version": 1, "stages": {"illustrating": {"state": "interrupted"}}}
        (tmp_path / holds).write_text(json.dumps(stages) if holds == "manifest.json" else "")
    result = run("score", tmp_path)
    assert result.exit_code == 1
    assert "drawing has not finished" in error_line(result)


def test_help_loads_nothing_heavy() -> None:
    heavy = {"torch", "transformers", "numpy", "PIL", "pyarrow"}
    before = f"import atexit, sys; atexit.register(lambda: print({heavy} & set(sys.modules)))"
    done = spawn("score", "--help", before=before)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "set()"


@pytest.mark.parametrize("absent", ["torch", "PIL"])
def test_a_missing_extra_is_named(absent: str, drawn: Path) -> None:
    done = spawn("score", drawn, before=f"import sys; sys.modules[{absent!r}] = None")
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert "pip install 'promptlift[score]'" in line


# It says how far it is after each batch, and not every ten seconds.
EVERY_BATCH = "import promptlift.progress as progress; progress.EVERY_S = 0"


@pytest.mark.slow
def test_killed_at_any_moment_it_goes_on_to_the_same_scores(clip: Path, tmp_path: Path) -> None:
    whole = draw_run(tmp_path / "whole", prompts=16, seeds=range(12))
    killed = Path(shutil.copytree(whole, tmp_path / "killed"))
    options = [
        "--clip",
        clip,
        "--metrics",
        "clip",
        "--metrics",
        "measures",
        "--picture-batch-size",
        "4",
    ]
    line = command("score", killed, *options, before=EVERY_BATCH)
    database = killed / "scores" / "cache" / "features.sqlite"
    kept = [0]
    for pictures in (4, 120, 260):
        with subprocess.Popen(
            line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as process:
            Said(process.stderr).until(f"{pictures} of 384 pictures scored")
            process.kill()
        kept.append(count_features(database))
    assert kept[1] > 0
    assert kept == sorted(set(kept))
    done = spawn("score", killed, *options, "--json")
    assert done.returncode == 0, done.stderr
    expected = spawn("score", whole, *options, "--json")
    assert json.loads(done.stdout) == json.loads(expected.stdout)
    assert not list((killed / "scores").glob(".*"))


def count_features(database: Path) -> int:
    """Number of features kept so far."""
    if not database.is_file():
        return 0
    # To write too: only so can SQLite undo what a killed process had half written.
    with closing(sqlite3.connect(f"file:{database}?mode=rw", uri=True, timeout=60)) as connection:
        try:
            return int(connection.execute("SELECT count(*) FROM features").fetchone()[0])
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):  # not yet made
                return 0
            raise


def test_parts_are_scored_and_put_together(run: Run, clip: Path, drawn: Path) -> None:
    options = ["--clip", clip, "--metrics", "clip", "--threads", "1", "--picture-batch-size", "4"]
    for part in ("1/2", "2/2"):
        result = run("score", drawn, *options, "--shard", part)
        assert result.exit_code == 0, result.stderr
        assert not result.stdout and f"part {part}: " in result.stderr
    result = run("score", drawn, *options)
    assert result.exit_code == 0, result.stderr
    assert "2 parts read; 0 features were in none of them" in result.stderr
    assert result.stdout.startswith("  ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--shard", "3/2"], "shard is '3/2' and must be as 2/8"),
        (["--shard", "1/2", "--only", "texts"], "--shard is for the pictures of a run"),
        (["--shard", "1/2", "--pairs", "pairs.jsonl"], "--shard is for the pictures of a run"),
    ],
)
def test_parts_that_cannot_be(arguments: list[str], said: str, run: Run, drawn: Path) -> None:
    result = run("score", drawn, *arguments)
    assert result.exit_code == 2
    assert said in error_line(result)
