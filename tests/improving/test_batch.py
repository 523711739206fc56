"""Files of prompts: faults, journals, and going on after a kill."""

import json
from pathlib import Path
from typing import Any

import pytest

from promptlift.errors import ConfigError, InputError
from promptlift.improving.batch import (
    Job,
    count_lines,
    improve_items,
    input_identity,
    journal_of,
    read_items,
    seed_of_journal,
)
from promptlift.improving.improver import Improver
from promptlift.tables import STDIN, read_rows

OPTIONS: dict[str, Any] = {"n": 2, "mode": "extend"}


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.jsonl"
    lines = [json.dumps({"prompt": f"castle {number}"}) for number in range(10)]
    lines[3], lines[6] = '{"prompt": ""}', "{broken"
    path.write_text("\n".join(lines) + "\n")
    return path


def run(
    improver: Improver, prompts: Path, output: Path, stop: int | None = None, **flags: bool
) -> None:
    header = {
        "options": OPTIONS, "seed": 4, "model": improver.model_id,
        "input": input_identity([], [prompts], None),
    }  # fmt: skip
    job = Job(
        output, header, resume=flags.get("resume", False), overwrite=flags.get("overwrite", False)
    )
    items = list(read_items([], [prompts], None))[job.done :]
    for count in job.run(improve_items(improver, items, seed=4, max_new_tokens=6, **OPTIONS)):
        if count == stop:
            raise KeyboardInterrupt


def test_faulty_rows_do_not_stop_the_rest(
    improver: Improver, prompts: Path, tmp_path: Path
) -> None:
    run(improver, prompts, tmp_path / "out.jsonl")
    rows = [row.value for row in read_rows(tmp_path / "out.jsonl")]  # type: ignore[union-attr]
    assert len(rows) == 2 * 8 + 2
    faults = [row for row in rows if "error" in row]
    assert [(row["index"], row["line"]) for row in faults] == [(3, 4), (6, 7)]  # type: ignore[index]
    assert "empty" in faults[0]["error"] and "JSON" in faults[1]["error"]  # type: ignore[index]
    assert not journal_of(tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize("ending", ["jsonl", "csv", "tsv", "parquet"])
@pytest.mark.parametrize("stop", [1, 5, 9])
def test_a_stopped_job_ends_with_the_same_bytes(
    improver: Improver, prompts: Path, tmp_path: Path, ending: str, stop: int
) -> None:
    whole, parts = tmp_path / f"whole.{ending}", tmp_path / f"parts.{ending}"
    run(improver, prompts, whole)
    with pytest.raises(KeyboardInterrupt):
        run(improver, prompts, parts, stop=stop)
    assert not parts.exists()
    # A kill in the middle of a write leaves half a line.
    with journal_of(parts).open("a") as file:
        file.write('{"index": 9, "sour')
    run(improver, prompts, parts, resume=True)
    assert parts.read_bytes() == whole.read_bytes()


def test_a_journal_of_another_job_is_refused(
    improver: Improver, prompts: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.csv"
    with pytest.raises(KeyboardInterrupt):
        run(improver, prompts, output, stop=2)
    assert seed_of_journal(output) == 4
    with pytest.raises(ConfigError, match="--resume to go on"):
        run(improver, prompts, output)
    prompts.write_text("castle\n")
    with pytest.raises(ConfigError, match="was begun with input"):
        run(improver, prompts, output, resume=True)


def test_an_output_is_kept_unless_forced(improver: Improver, prompts: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    output.write_text("mine")
    with pytest.raises(ConfigError, match="--overwrite"):
        run(improver, prompts, output)
    assert output.read_text() == "mine"
    run(improver, prompts, output, overwrite=True)
    assert output.read_text() != "mine"


def test_standard_input_cannot_be_resumed() -> None:
    with pytest.raises(ConfigError, match="cannot be resumed"):
        input_identity([], [STDIN], None, resume=True)
    assert input_identity([], [STDIN], None)["standard_input"]


def test_lines_are_counted_where_that_is_quick(prompts: Path, tmp_path: Path) -> None:
    assert count_lines([prompts]) == 10
    assert count_lines([prompts, STDIN]) is None


def test_a_job_that_never_began_leaves_no_journal(improver: Improver, tmp_path: Path) -> None:
    path = tmp_path / "prompts.csv"
    path.write_text("text,other\na cat,1\n")
    header = {
        "options": OPTIONS, "seed": 4, "model": improver.model_id,
        "input": input_identity([], [path], "txt"),
    }  # fmt: skip
    job = Job(tmp_path / "out.jsonl", header, resume=False, overwrite=False)
    items = read_items([], [path], "txt")
    with pytest.raises(InputError, match="Did you mean 'text'"):
        list(job.run(improve_items(improver, items, seed=4, **OPTIONS)))
    assert list(tmp_path.iterdir()) == [path]


def test_files_of_one_name_are_told_apart(tmp_path: Path) -> None:
    paths = [tmp_path / name / "p.txt" for name in "ab"]
    for path in paths:
        path.parent.mkdir()
        path.write_text(path.parent.name)
    assert input_identity([], paths, None) != input_identity([], paths[::-1], None)
    assert len(input_identity([], paths, None)["files"]) == 2
