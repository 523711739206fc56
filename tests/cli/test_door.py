"""Errors become one line and an exit status, whatever the command."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from promptlift.cli import door
from promptlift.errors import ConfigError, InputError, MissingExtraError, ModelError
from tests.cli.conftest import Run, spawn


@pytest.fixture(autouse=True)
def no_debug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "debug", False)


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (InputError("a row is broken"), 1, "error: a row is broken"),
        (ModelError("no model"), 1, "error: no model"),
        (MissingExtraError("Parquet", "parquet"), 1, "pip install 'promptlift[parquet]'"),
        (ConfigError("n is 0"), 2, "error: n is 0"),
        (PermissionError(13, "Permission denied", "out.csv"), 1, "out.csv: Permission denied"),
        (KeyboardInterrupt(), 130, "go on"),
    ],
)
def test_each_error_has_its_status(
    error: BaseException, status: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as caught, door.guarded("go on"):
        raise error
    assert caught.value.exit_code == status
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("error", [InputError("broken"), OSError(5, "Input/output error")])
def test_debug_shows_the_traceback(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "debug", True)
    with pytest.raises(type(error)), door.guarded():
        raise error


def test_our_own_mistakes_are_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError), door.guarded():
        print(1 / 0)


def test_help_and_version(run: Run) -> None:
    assert run("--version").stdout == "promptlift 0.2.0\n"
    for args in ([], ["improve"], ["train"], ["export"], ["doctor"], ["pairs", "build"]):
        result = run(*args, "--help")
        assert result.exit_code == 0
        assert "Usage: promptlift" in result.stdout
    assert 'promptlift improve "a cat in armor" "a lighthouse"' in run("improve", "-h").stdout


def test_runs_as_a_module() -> None:
    line = [sys.executable, "-m", "promptlift", "--version"]
    done = subprocess.run(line, capture_output=True, text=True, check=True)
    assert done.stdout == "promptlift 0.2.0\n"


LOADING = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background ignores it
class Interrupt:
    def find_spec(self, name, *given):
        if name == "promptlift.cli.judge":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupt())
from promptlift.__main__ import main
main()
"""


def test_ctrl_c_while_the_commands_load_is_one_line() -> None:
    done = subprocess.run([sys.executable, "-c", LOADING], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (130, "promptlift: interrupted\n")


def test_a_pipe_that_lacks_a_letter_gets_a_question_mark(exported: Path) -> None:
    done = spawn(
        "improve", "a café 猫", "--model", exported, "--threads", 1, "--max-new-tokens", 1,
        env={**os.environ, "PYTHONIOENCODING": "latin-1"}, encoding="latin-1",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("a café ?")


STREAMS = [  # what a shell does to the streams, the arguments, the only line on stderr
    ("<&-", "improve --input -", "standard input is closed"),
    ("<&-", "score --output x --pairs -", "standard input is closed"),
    (">&-", "improve cat", "standard output: Bad file descriptor"),
    (">&-", "doctor", "standard output: Bad file descriptor"),
    (">&-", "improve --help", "standard output: Bad file descriptor"),
    (">/dev/full", "improve cat", "standard output: No space left on device"),
    (">/dev/full", "doctor --json", "standard output: No space left on device"),
    (">/dev/full", "--version", "standard output: No space left on device"),
]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(("streams", "args", "said"), STREAMS)
def test_streams_that_are_closed_or_full_are_one_line(
    streams: str, args: str, said: str, unbuffered: str, tmp_path: Path
) -> None:
    line = f"{sys.executable} -m promptlift {args} {streams}"
    done = subprocess.run(
        line, shell=True, cwd=tmp_path, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
    )  # fmt: skip
    assert done.returncode == 1
    [told] = done.stderr.splitlines()
    assert told.startswith("promptlift: error: ") and said in told


@pytest.mark.slow
def test_without_stderr_results_alone_go_to_stdout(tmp_path: Path) -> None:
    prompt, command = "a cat", f"{sys.executable} -m promptlift improve"
    done, failed = (
        subprocess.run(f"{line} 2>&-", shell=True, stdout=subprocess.PIPE, text=True)
        for line in (f"{command} '{prompt}' --threads 1", command)
    )
    assert done.returncode == 0 and done.stdout.startswith(prompt)
    assert failed.returncode == 2 and failed.stdout == ""


@pytest.mark.slow
def test_a_reader_that_leaves_is_no_error() -> None:
    for args in ("--help", "doctor", "improve a b c --json --threads 1"):
        line = f"{sys.executable} -m promptlift {args} | true"
        done = subprocess.run(line, shell=True, stderr=subprocess.PIPE, text=True)
        assert (done.returncode, done.stderr) == (0, "")


FULL = [  # a command that writes more than it may, and the file that it names
    ("improve --input prompts.txt -o out.jsonl --threads 1 --max-new-tokens 1", "out.jsonl.part"),
    ("world pairs --count 300 -o pairs.jsonl", "pairs.jsonl"),
    ("pairs build prompts.txt -o built.csv", "built.csv"),
    ("pairs describe some.csv -o described", "described/page.html"),
]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs ulimit")
@pytest.mark.parametrize(("args", "file"), FULL)
def test_a_full_disk_is_said_with_the_path(args: str, file: str, tmp_path: Path) -> None:
    lines = "".join(f"a cat {n}, soft light, oil on canvas, misty morning\n" for n in range(300))
    (tmp_path / "prompts.txt").write_text(lines)
    (tmp_path / "some.csv").write_text("source,target\n" + "a cat,a red cat\n" * 9)
    line = f"ulimit -f 8; exec {sys.executable} -m promptlift {args}"
    done = subprocess.run(["bash", "-c", line], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"promptlift: error: {file}: File too large"
    assert not (tmp_path / file).exists() or file.endswith(".part")
