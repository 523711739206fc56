"""`promptlift improve`: prompts in, improved prompts out."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from promptlift.cli import app
from promptlift.errors import ModelError
from promptlift.improving.improver import Improver
from tests.cli.conftest import Run, command, error_line, objects

FIELDS = ["index", "source", "prompt", "additions", "clip_tokens", "seed", "variant", "mode",
          "model", "dropped", "notes", "negative", "checks", "settings",
          "schema_version"]  # fmt: skip


def test_prints_a_prompt_a_line(improve: Run, improver: Improver) -> None:
    result = improve("a cat in armor", "a lighthouse", "--seed", 5)
    expected = improver.improve(["a cat in armor", "a lighthouse"], seed=5, max_new_tokens=6)
    assert result.exit_code == 0
    assert result.stdout == "".join(record.prompt + "\n" for [record] in expected)
    assert result.stderr == ""


def test_json_holds_the_record_of_each_variant(improve: Run, improver: Improver) -> None:
    result = improve("a cat", "a dog", "-n", 3, "--seed", 1, "--json")
    found = objects(result.stdout)
    assert [list(item) for item in found] == [FIELDS] * 6
    assert [(item["index"], item["variant"]) for item in found] == [
        (index, variant) for index in range(2) for variant in range(3)
    ]
    assert {item["schema_version"] for item in found} == {4}
    expected = improver.improve(["a cat", "a dog"], n=3, seed=1, max_new_tokens=6)
    records = [record.to_dict() for variants in expected for record in variants]
    assert [{key: item[key] for key in records[0]} for item in found] == records


def test_a_drawn_seed_is_recorded_and_repeats_the_result(improve: Run) -> None:
    first = improve("a cat", "--json")
    [item] = objects(first.stdout)
    assert improve("a cat", "--json", "--seed", item["seed"]).stdout == first.stdout


def test_options_reach_the_library(improve: Run, improver: Improver) -> None:
    flags: dict[str, Any] = {
        "temperature": 0.7, "top_k": 9, "top_p": 0.8, "min_new_tokens": 2,
        "repetition_penalty": 1.3, "no_repeat_ngram_size": 2, "max_prompt_tokens": 40,
    }  # fmt: skip
    given = [text for name, value in flags.items()
             for text in (f"--{name.replace('_', '-')}", str(value))]  # fmt: skip
    result = improve("a cat", "--mode", "rewrite", "--seed", 3, "--json", "--no-guards", *given)
    [record] = improver.improve(
        "a cat", mode="rewrite", seed=3, max_new_tokens=6, guards=False, **flags
    )
    assert objects(result.stdout)[0]["prompt"] == record.prompt
    greedy = {improve("a cat", "--greedy", "--seed", seed).stdout for seed in range(3)}
    assert len(greedy) == 1
    paper = improve("a cat", "--preset", "paper", "--seed", 0, "--min-new-tokens", 6, "--json")
    [record] = improver.improve("a cat", preset="paper", seed=0, min_new_tokens=6, max_new_tokens=6)
    assert objects(paper.stdout)[0]["prompt"] == record.prompt


def test_the_batch_size_changes_nothing(improve: Run) -> None:
    prompts = [f"castle number {number}" for number in range(9)]
    whole = improve(*prompts, "--seed", 2, "--json").stdout
    assert improve(*prompts, "--seed", 2, "--json", "--batch-size", 2).stdout == whole


def test_line_breaks_stay_as_they_are_written(improve: Run) -> None:
    """A comment ends with its line, and infotext is known by its lines."""
    prompt = "a cat # red\nin armor\x85at dusk"
    assert improve(prompt, "--seed", 0).stdout.startswith("a cat # red\nin armor\x85at dusk")
    assert improve(prompt, "--seed", 0).stdout.count("\n") == 2
    assert objects(improve(prompt, "--seed", 0, "--json").stdout)[0]["source"] == prompt


def test_reads_standard_input(improve: Run) -> None:
    result = improve("--input", "-", "--json", input="a cat\n\n{a|b} cat\n")
    assert [item["source"] for item in objects(result.stdout)] == ["a cat", "{a|b} cat"]
    lines = '{"text": "a cat"}\nno object\n'
    result = improve("--input", "-", "--column", "text", "--json", input=lines)
    assert result.exit_code == 1
    good, bad = objects(result.stdout)
    assert good["source"] == "a cat"
    assert bad == {
        "index": 1, "line": 2, "schema_version": 4,
        "error": "a line of text, which has no column 'text'",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", "a cat\na dog\n"),
        ("a.jsonl", '{"prompt": "a cat"}\n"a dog"\n'),
        ("a.json", '["a cat", {"prompt": "a dog"}]'),
        ("a.csv", 'prompt,n\n"a cat",1\na dog,2\n'),
        ("a.tsv", "words\na cat\na dog\n"),
    ],
)
def test_reads_files(improve: Run, tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    result = improve("an owl", "--input", tmp_path / name, "--json")
    assert [item["source"] for item in objects(result.stdout)] == ["an owl", "a cat", "a dog"]
    assert [item["index"] for item in objects(result.stdout)] == [0, 1, 2]


def test_a_faulty_line_does_not_stop_the_rest(improve: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    rows = ['{"prompt": "a cat"}', "{broken", '{"prompt": " "}', '{"promt": "x"}', '"\\ud800"']
    path.write_text("\n".join([*rows, '{"prompt": 3}', '"an owl"']) + "\n")
    result = improve("--input", path, "--json", "--seed", 0)
    assert result.exit_code == 1
    found = objects(result.stdout)
    assert [item["index"] for item in found] == list(range(7))
    faults = [item for item in found if "error" in item]
    assert [set(item) for item in faults] == [{"index", "line", "error", "schema_version"}] * 5
    assert [item["line"] for item in faults] == [2, 3, 4, 5, 6]
    for item, words in zip(
        faults,
        ["not valid JSON", "is empty", "Did you mean 'promt'", "Unicode", "int"],
        strict=True,
    ):
        assert words in item["error"]
    plain = improve("--input", path, "--seed", 0)
    assert plain.exit_code == 1
    assert len(plain.stdout.splitlines()) == 2
    assert [line.split(": ")[1] for line in plain.stderr.splitlines()] == [
        f"line {number}" for number in range(2, 7)
    ]


def test_h_a_json_prompt_on_standard_input_is_improved(improve: Run) -> None:
    given = '{"subject": "cat", "style": "photo"}'
    result = improve("--input", "-", "--json", input=given + "\n")
    assert result.exit_code == 0 and result.stderr == ""
    [item] = objects(result.stdout)
    assert item["source"] == given
    improved = json.loads(item["prompt"])
    assert list(improved) == ["subject", "style"]
    assert improved["subject"].startswith("cat") and improved["style"] == "photo"


def test_k_csv_is_read_as_spreadsheets_write_it(improve: Run, tmp_path: Path) -> None:
    path = tmp_path / "prompts.csv"
    path.write_bytes(b"Text;seed\r\na cat, in oil;1\r\n")
    result = improve("--input", path, "--json")
    assert [item["source"] for item in objects(result.stdout)] == ["a cat, in oil"]
    assert result.stderr == f"promptlift: {path}: prompts are column 'Text'\n"
    path.write_text("a cat in oil\na dog\n")
    refused = improve("--input", path)
    assert refused.exit_code == 1 and refused.stdout == ""
    assert "Add a line `prompt` above it" in error_line(refused)


def test_l_utf_16_reads_as_utf_8_does(improve: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("a cat\na café\n", encoding="utf-16")
    result = improve("--input", path, "--json")
    assert [item["source"] for item in objects(result.stdout)] == ["a cat", "a café"]
    path.write_text("a cat\na dog\n", encoding="utf-16-le")
    refused = improve("--input", path)
    assert refused.exit_code == 1 and "Save it as UTF-8." in error_line(refused)


def test_an_empty_prompt_is_told(improve: Run) -> None:
    result = improve("", "a cat", "--json")
    assert result.exit_code == 1
    assert "the prompt is empty" in objects(result.stdout)[0]["error"]
    assert objects(result.stdout)[1]["source"] == "a cat"


def test_a_missing_column_names_the_nearest(improve: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("prompt,notes\na cat,x\n")
    result = improve("--input", path, "--column", "promt")
    assert result.exit_code == 1
    assert "it has: prompt, notes. Did you mean 'prompt'?" in error_line(result)


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ([], "nothing to improve"),
        (["a cat", "--temperature", "0"], "temperature is 0.0"),
        (["a cat", "--mode", "shorten"], "it has: extend, rewrite"),
        (["a cat", "--preset", "papr"], "there is: paper"),
        (["a cat", "-n", "0"], "n is 0"),
        (["a cat", "--batch-size", "0"], "batch_size is 0"),
        (["a cat", "--resume"], "belong to --output"),
        (["a cat", "--overwrite"], "belong to --output"),
    ],
)
def test_wrong_usage_ends_with_2(improve: Run, args: list[str], words: str) -> None:
    result = improve(*args)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert words in error_line(result)


@pytest.mark.parametrize("args", [["--no-such-option"], ["a cat", "--top-k", "many"]])
def test_what_cannot_be_parsed_ends_with_2(improve: Run, args: list[str]) -> None:
    assert improve(*args).exit_code == 2


def test_a_missing_model_or_file_is_one_line(run: Run, improve: Run, tmp_path: Path) -> None:
    result = run("improve", "a cat", "--model", tmp_path / "absent")
    assert result.exit_code == 1
    assert "absent" in error_line(result)
    result = improve("--input", tmp_path / "absent.txt")
    assert result.exit_code == 1
    assert "does not exist" in error_line(result)
    result = run("--debug", "improve", "a cat", "--model", tmp_path / "absent")
    assert isinstance(result.exception, ModelError)


def test_a_closed_pipe_is_quiet(exported: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("a cat that sleeps on a warm roof\n" * 2000)
    args = ["improve", "--input", path, "--json", "--model", exported, "--max-new-tokens", 1]
    writer = subprocess.Popen(
        command(*args, "--threads", 1), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    assert writer.stderr is not None
    assert json.loads(writer.stdout.readline())["index"] == 0
    writer.stdout.close()
    assert writer.stderr.read() == ""
    writer.stderr.close()
    assert writer.wait() == 141


@pytest.mark.skipif(sys.platform == "win32", reason="a terminal is opened as Unix does")
def test_added_words_stand_out_on_a_terminal(exported: Path) -> None:
    import pty

    plain = ["improve", "a cat", "-n", 3, "--model", exported, "--seed", 0, "--max-new-tokens", 24]
    environment = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    environment |= {"TERM": "xterm-256color", "COLUMNS": "40"}
    ours, theirs = pty.openpty()
    done = subprocess.run(
        command(*plain, "--threads", 1),
        stdout=theirs, stderr=subprocess.PIPE, env=environment, timeout=60,
    )  # fmt: skip
    os.close(theirs)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert done.returncode == 0
    piped = subprocess.run(
        command(*plain, "--json", "--threads", 1), capture_output=True, text=True, timeout=60
    )
    records = objects(piped.stdout)
    lines = shown.replace("\r\n", "\n").splitlines()
    assert "\x1b[" in shown
    for line, record in zip(lines, records, strict=True):
        # Long lines are left to the terminal, so that a copy of them has no breaks in it.
        meter = f"{record['clip_tokens']}/75"
        prompt, bar = re.sub(r"\x1b\[[0-9;]*m", "", line).rsplit("  ", 1)
        assert (prompt, bar.split()[-1]) == (record["prompt"], meter)
        styled = re.findall(r"\x1b\[1;32m(.*?)\x1b\[0m", line)
        assert styled == record["additions"]


def test_a_dash_among_the_prompts_reads_standard_input(exported: Path) -> None:
    result = CliRunner().invoke(
        app, ["improve", "an owl", "-", "--model", str(exported), "--json"], input="a cat\n"
    )
    assert [json.loads(line)["source"] for line in result.stdout.splitlines()] == [
        "an owl",
        "a cat",
    ]


def test_a_model_with_one_mode_needs_no_mode(run: Run, paper_folder: Path, tmp_path: Path) -> None:
    tail = ("--model", paper_folder, "--max-new-tokens", 3, "--seed", 1)
    [item] = objects(run("improve", "a cat", "--json", *tail).stdout)
    assert item["mode"] == "rewrite"
    output = tmp_path / "improved.jsonl"
    assert run("improve", "a cat", "-o", output, *tail).exit_code == 0
    assert objects(output.read_text()) == [item]
    assert run("replay", output, "--model", paper_folder).exit_code == 0
    refused = run("improve", "a cat", "--mode", "extend", *tail)
    assert "has not learned mode 'extend'; it has: rewrite" in error_line(refused)


def test_a_form_is_written_or_refused(
    run: Run, improve: Run, writer_folder: Path, tmp_path: Path
) -> None:
    tail = ("--model", writer_folder, "--form", "paragraph", "--max-new-tokens", 9, "--seed", 1)
    output = tmp_path / "improved.jsonl"
    assert run("improve", "a cat", "-o", output, *tail).exit_code == 0
    [item] = objects(output.read_text())
    assert item["settings"]["form"] == "paragraph"
    assert run("replay", output, "--model", writer_folder).exit_code == 0
    for form, line in (
        ("paragraph", "has not learned form 'paragraph'; it has: tags"),
        ("prose", "form is 'prose' and must be tags, paragraph or json"),
    ):
        refused = improve("--form", form, "--input", tmp_path / "no-such-file.txt")
        assert refused.exit_code == 2
        assert line in error_line(refused)


@pytest.mark.parametrize(
    ("name", "held"),
    [("a.txt", ""), ("a.txt", "\n\n"), ("a.jsonl", ""), ("a.json", "[]"), ("a.csv", "prompt\n")],
)
def test_an_input_without_a_prompt_is_an_error(
    improve: Run, name: str, held: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_text(held)
    for options in ((), ("-o", tmp_path / "out.jsonl")):
        result = improve("-i", path, *options)
        assert result.exit_code == 1 and f"{name} holds no prompt" in error_line(result)
    assert [*tmp_path.iterdir()] == [path]


def test_an_empty_standard_input_is_an_error(improve: Run) -> None:
    result = improve("--input", "-", input="")
    assert result.exit_code == 1 and "standard input holds no prompt" in error_line(result)
