"""The command as users run it: streams, exit statuses, odd input."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from promptlift.cli import app
from promptlift.tables import read_rows

RUNNER = CliRunner()


def run(*arguments: object, stdin: str | bytes | None = None) -> Result:
    return RUNNER.invoke(app, [str(argument) for argument in arguments], input=stdin)


@pytest.fixture
def improve(exported: Path):  # type: ignore[no-untyped-def]
    def call(*arguments: object, stdin: str | bytes | None = None) -> Result:
        fast = ("--max-new-tokens", 6, "--threads", 1)
        return run("improve", "--model", exported, *fast, *arguments, stdin=stdin)

    return call


def test_prints_a_line_a_prompt_and_variant(improve) -> None:  # type: ignore[no-untyped-def]
    result = improve("a cat", "a lighthouse", "-n", 2, "--seed", 1)
    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert [line.startswith(start) for line, start in zip(
        lines, ["a cat", "a cat", "a lighthouse", "a lighthouse"], strict=True
    )] == [True] * 4  # fmt: skip
    assert "\x1b" not in result.stdout


def test_json_has_the_records_fields_and_index(improve) -> None:  # type: ignore[no-untyped-def]
    result = improve("a cat", "a lighthouse", "--json", "--seed", 3)
    first, second = map(json.loads, result.stdout.splitlines())
    assert (first["index"], second["index"]) == (0, 1)
    assert set(first) == {
        "index", "source", "prompt", "additions", "clip_tokens", "seed", "variant", "mode",
        "model", "schema_version",
    }  # fmt: skip
    assert improve("a lighthouse", "--json", "--seed", 3).stdout.splitlines() == [
        json.dumps({**second, "index": 0}, ensure_ascii=False)
    ]


def test_standard_input_and_faulty_lines(improve) -> None:  # type: ignore[no-untyped-def]
    stdin = b'a cat\n\n{"prompt": "an owl"}\n{"prompt": 3}\n\xff\n{"prompt": ""}\n'
    result = improve("--input", "-", "--json", stdin=stdin)
    objects = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 1
    assert [item.get("source") for item in objects] == ["a cat", "an owl", None, None, None]
    assert [item["line"] for item in objects if "error" in item] == [4, 5, 6]
    plain = improve("--input", "-", stdin=stdin)
    assert len(plain.stdout.splitlines()) == 2
    assert "line 4: `prompt` is int, not text" in plain.stderr


def test_files_with_a_column(improve, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "prompts.csv"
    path.write_text('\ufefftext,other\r\n"a ""big"" cat",1\r\nowl,2,3\r\n', encoding="utf-8")
    result = improve("--input", path, "--column", "text", "--json")
    first, second = map(json.loads, result.stdout.splitlines())
    assert first["source"] == 'a "big" cat'
    assert second["error"] == "3 fields where the header has 2"
    wrong = improve("--input", path, "--column", "txt")
    assert wrong.exit_code == 1
    assert "it has: text, other. Did you mean 'text'?" in wrong.stderr


@pytest.mark.parametrize("ending", ["jsonl", "csv", "tsv", "parquet"])
def test_writes_files_by_their_ending(improve, tmp_path: Path, ending: str) -> None:  # type: ignore[no-untyped-def]
    output = tmp_path / "new" / f"out.{ending}"
    result = improve("a cat", "--output", output, "--seed", 1)
    assert (result.exit_code, result.stdout) == (0, "")
    [row] = read_rows(output)
    assert row.value["source"] == "a cat"  # type: ignore[union-attr, index]


def test_wrong_usage_is_told_in_one_line(improve, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    for arguments, message in (
        ((), "nothing to improve"),
        (("a cat", "--mode", "expand"), "it has: extend, rewrite"),
        (("a cat", "-n", 0), "n is 0"),
        (("a cat", "--temperature", 0), "temperature is 0.0"),
        (("a cat", "--preset", "x"), "there is: paper"),
        (("a cat", "--resume"), "belong to --output"),
    ):
        result = improve(*arguments)
        assert result.exit_code == 2, result.output
        assert message in result.stderr
        assert "Traceback" not in result.stderr
        assert len(result.stderr.splitlines()) == 1
    assert improve("a cat", "--output", tmp_path / "x.doc").exit_code == 1
    assert improve("--input", tmp_path / "none.txt").exit_code == 1
    assert improve("a cat", "--no-such-option").exit_code == 2


def test_debug_shows_the_traceback(exported: Path) -> None:
    result = run("--debug", "improve", "a cat", "--model", exported, "-n", 0)
    assert type(result.exception).__name__ == "ConfigError"


def test_additions_stand_out_on_a_terminal(exported: Path) -> None:
    command = [sys.executable, "-m", "promptlift", "improve", "[red]a cat[/red]", "--seed", "1",
               "--model", str(exported)]  # fmt: skip
    environment = {**os.environ, "TERM": "xterm-256color"}
    environment.pop("NO_COLOR")
    leader, follower = pty.openpty()
    subprocess.run(command, stdout=follower, check=True, env=environment)
    os.close(follower)
    shown = os.read(leader, 100_000).decode()
    os.close(leader)
    assert shown.startswith("[red]a cat[/red]")
    assert "\x1b[1;32m" in shown


def test_a_reader_that_goes_away_is_no_error(exported: Path, tmp_path: Path) -> None:
    path = tmp_path / "many.txt"
    path.write_text("a cat\n" * 2000)
    command = (
        f"{sys.executable} -m promptlift improve --model {exported} --max-new-tokens 2 "
        f"--input {path} | head -1"
    )
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.stdout.startswith("a cat")
    assert done.stderr == ""


@pytest.mark.slow
def test_a_killed_job_resumes_to_the_same_bytes(exported: Path, tmp_path: Path) -> None:
    path = tmp_path / "prompts.txt"
    path.write_text("".join(f"castle {number}\n" for number in range(3000)))

    def command(output: str, *more: str) -> list[str]:
        return [sys.executable, "-m", "promptlift", "improve", "--model", str(exported), "--input",
                str(path), "--output", str(tmp_path / output), "--seed", "1", *more]  # fmt: skip

    subprocess.run(command("whole.jsonl"), check=True)
    with subprocess.Popen(command("parts.jsonl")) as process:
        journal = tmp_path / "parts.jsonl.part"
        while process.poll() is None and not (journal.exists() and journal.stat().st_size > 9000):
            pass
        process.kill()
    assert journal.exists()
    subprocess.run(command("parts.jsonl", "--resume"), check=True)
    assert (tmp_path / "parts.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()


def test_pairs_build(tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.jsonl"
    rows = [
        {"prompt": "a painting of a cat, soft light, by greg rutkowski, 4k", "source": "a"},
        {"prompt": "left, out, of, it", "source": "b"},
        {"prompt": None, "source": "a"},
    ]
    prompts.write_text("".join(json.dumps(row) + "\n" for row in rows))
    output = tmp_path / "pairs.csv"
    result = run("pairs", "build", prompts, "--output", output, "--exclude-source", "b")
    assert result.exit_code == 0
    assert "line 3: `prompt` is NoneType, not text" in result.stderr
    assert "1 to rewrite" in result.stderr and "1 faulty rows" in result.stderr
    assert "rutkowski" not in output.read_text().split("\n")[1]


def test_export_reports_figures_and_refuses(t5_folder: Path, tmp_path: Path) -> None:
    result = run("export", t5_folder, "--output", tmp_path / "out", "--precision", "fp32")
    assert result.exit_code == 0, result.stderr
    assert "in PyTorch" in result.stderr
    again = run("export", t5_folder, "--output", tmp_path / "out")
    assert (again.exit_code, "--force" in again.stderr) == (2, True)


def test_train_reads_faults_of_its_pairs(tmp_path: Path) -> None:
    pairs = tmp_path / "pairs.csv"
    pairs.write_text("x,y\na cat,\n")
    result = run("train", "--pairs", pairs, "--output", tmp_path / "run")
    assert result.exit_code == 1
    assert "pairs.csv line 2: `y` is empty" in result.stderr


def test_doctor_says_what_is_there() -> None:
    found = json.loads(run("doctor", "--json").stdout)
    assert found["packages"]["numpy"]
    assert found["stages"]["train"] == {"ready": True, "missing": [], "command": None}
    text = run("doctor").stdout
    assert "ready    export" in text
