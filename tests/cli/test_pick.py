"""`promptlift pick`."""

import json
import subprocess
from pathlib import Path

import pytest

from promptlift.pairs.load import load_pairs
from promptlift.records import Pair
from tests.cli.conftest import Run, command, error_line, objects, spawn
from tests.illustrating.models import DIFFUSERS_WARNS, save_sdxl
from tests.scoring.clip_models import make_clip
from tests.waiting import Said

pytestmark = DIFFUSERS_WARNS


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    root = tmp_path_factory.mktemp("models")
    return save_sdxl(root / "sdxl"), make_clip(root / "clip")


@pytest.fixture
def tiny_models(folders: tuple[Path, Path]) -> list[str]:
    """Options that choose a tiny SDXL and a tiny CLIP, and keep them quick."""
    return [
        *("--picture-model", str(folders[0]), "--steps", "1", "--width", "16", "--height", "16"),
        *("--clip", str(folders[1]), "--offline", "-n", "2", "--seeds", "2"),
    ]


@pytest.mark.slow
def test_prompts_go_to_stdout_and_evidence_to_stderr(
    run: Run, tiny_models: list[str], tmp_path: Path
) -> None:
    output, pairs = tmp_path / "run", tmp_path / "pairs.jsonl"
    options = ["a cat", "a lighthouse", "-o", output, *tiny_models]
    result = run("pick", *options, "--always", "--confirm-seeds", "2", "--pairs", pairs)
    assert result.exit_code == 0, result.stderr
    rows = objects((output / "picks.jsonl").read_text())
    assert result.stdout.splitlines() == [row["prompt"] for row in rows]
    assert all(row["prompt"].startswith(row["source"] + ", ") for row in rows)
    said = result.stderr.splitlines()
    for row in rows:
        [line] = [line for line in said if line.startswith(f"promptlift: {row['source']}: ")]
        assert f"variant {row['variant']}, best of 2, {row['gain']:+.3g}" in line
        assert f"from 2 fresh seeds {row['confirmation']['gain']:+.3g}" in line
    assert said[-2].startswith("promptlift: 2 of 2 prompts improved, ")
    assert said[-1] == f"promptlift: pairs in {pairs}: 2"
    found = [pair for pair in load_pairs(pairs) if isinstance(pair, Pair)]
    assert [(pair.source, pair.mode) for pair in found] == [
        ("a cat", "extend"), ("a lighthouse", "extend")
    ]  # fmt: skip
    unclear = run("pick", *options, "--tie", "1000", "--json", "--pairs", pairs)
    assert unclear.exit_code == 0, unclear.stderr
    assert objects(unclear.stdout) == objects((output / "picks.jsonl").read_text())
    assert [row["prompt"] for row in objects(unclear.stdout)] == ["a cat", "a lighthouse"]
    assert pairs.read_text() == ""
    kept = run("pick", *options, "--tie", "1000")
    assert "a cat: original kept, no clear gain (variant " in kept.stderr
    changed = run("pick", *options, "--diversity", "0.5")
    assert "diversity was None, now 0.5" in error_line(changed)


def test_a_prompt_that_asks_for_nothing_is_kept(
    run: Run, tiny_models: list[str], tmp_path: Path
) -> None:
    given = ("a red cat left of a dog", "8k, masterpiece", "--metric", "wants", "--always")
    result = run("pick", *given, "-o", tmp_path / "run", *tiny_models)
    assert result.exit_code == 0, result.stderr
    asking, not_asking = objects((tmp_path / "run" / "picks.jsonl").read_text())
    assert asking["metric"]["name"] == "wants_shown" and asking["choice"] == "improved"
    assert all(0 <= value <= 1 for values in asking["scores"].values() for value in values)
    assert not_asking["reason"] == "nothing in the prompt that wants_shown could judge by"
    assert (not_asking["choice"], not_asking["scores"]) == ("original", None)


def test_a_faulty_line_gives_exit_status_1(
    run: Run, tiny_models: list[str], tmp_path: Path
) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text('{"text": "a cat"}\n{"text": null}\n')
    given = ("--input", path, "--column", "text", "--force", "--artists", "0.5", "--avoid", "4k")
    result = run("pick", *given, "-o", tmp_path / "run", *tiny_models)
    assert result.exit_code == 1
    assert "`text` is NoneType, not text" in result.stderr
    [row] = objects((tmp_path / "run" / "picks.jsonl").read_text())
    assert result.stdout == row["prompt"] + "\n"
    improved = objects((tmp_path / "run" / "improvements.jsonl").read_text())[0]
    assert improved["settings"]["artists"] == 0.5 and improved["settings"]["avoid"] == ["4k"]


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ([], 2, "nothing to pick for"),
        (["a cat"], 2, "--output RUN"),
        (["a cat", "-o", "run", "-n", "0"], 2, "n is 0 and must be 1 or more"),
        (["a cat", "-o", "run", "--mode", "anew"], 2, "mode is 'anew' and must be extend or"),
        (["a cat", "-o", "run", "--metric", "clap"], 2, "'clap' is not known; there is: clip, "),
        (["a cat", "-o", "run", "--seeds", "0"], 2, "seeds is 0 and must be 1 or more"),
        (["a cat", "-o", "run", "--tie", "-1"], 2, "tie is -1.0 and must be 0 or more"),
        (["a cat", "-o", "run", "--pairs", "pairs.docx"], 2, "'.docx' cannot be written"),
        (["a cat", "-o", "run", "--diversity", "2"], 2, "diversity is 2.0 and must be from 0 to 1"),
        (["a cat", "-o", "run", "--picture-model", "./nowhere"], 1, "./nowhere"),
        (["a cat", "-o", "run", "--clip", "./nowhere"], 1, "model './nowhere' is not a folder"),
        (["--input", "nowhere.txt", "-o", "run"], 1, "nowhere.txt does not exist"),
        (["--input", "-", "-o", "run"], 2, "standard input cannot be resumed"),
    ],
)
def test_errors_are_one_line(
    arguments: list[str],
    status: int,
    said: str,
    run: Run,
    tiny_models: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("pick", *tiny_models, *arguments)
    assert result.exit_code == status
    assert said in error_line(result)
    assert not (tmp_path / "run" / "pictures").exists()


def test_missing_weights_are_told_with_their_command(run: Run, tmp_path: Path) -> None:
    result = run("pick", "a cat", "-o", tmp_path / "run", "--offline", "--picture-model", "sdxl")
    assert result.exit_code == 1 and result.stdout == ""
    last = result.stderr.splitlines()[-1]
    assert last.startswith("promptlift: error: ")
    assert "hf download stabilityai/stable-diffusion-xl-base-1.0" in last


def test_help_loads_nothing_heavy() -> None:
    heavy = {"torch", "transformers", "diffusers", "numpy", "PIL", "pyarrow"}
    before = f"import atexit, sys; atexit.register(lambda: print({heavy} & set(sys.modules)))"
    done = spawn("pick", "--help", before=before)
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "set()"


# It says how far it is after each picture, and not every ten seconds.
EVERY_PICTURE = "import promptlift.progress as progress; progress.EVERY_S = 0"


@pytest.mark.slow
def test_a_killed_command_ends_with_the_same_picks(tiny_models: list[str], tmp_path: Path) -> None:
    options = ["a cat", "a lighthouse", "old castle", "--always", "--confirm-seeds", "2"]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    # Each in a process of its own: scores are the same only with as many threads.
    assert spawn("pick", *options, *tiny_models, "-o", whole).returncode == 0
    line = command("pick", *options, *tiny_models, "-o", parts, before=EVERY_PICTURE)
    # In the pictures to choose by, twice, and in the confirmation.
    for part in ("1 of 18 pictures", "10 of 18 pictures", "2 of 12 pictures"):
        with subprocess.Popen(
            line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as process:
            Said(process.stderr).until(part)
            process.kill()
    assert spawn("pick", *options, *tiny_models, "-o", parts).returncode == 0
    for path in [whole / "picks.jsonl", whole / "improvements.jsonl", *whole.rglob("*.png")]:
        assert (parts / path.relative_to(whole)).read_bytes() == path.read_bytes(), path.name
    assert json.loads((parts / "manifest.json").read_text())["stages"]["picking"]["state"] == "done"
