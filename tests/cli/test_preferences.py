"""`promptlift preferences`."""

import json
import sqlite3
from pathlib import Path

import pytest

from promptlift.judging.collecting.study import Study
from promptlift.judging.config import JudgingConfig
from tests.cli.conftest import Run, error_line
from tests.judging.runs import draw_run, vote_all


def judged(folder: Path, prompts: int) -> Path:
    study = Study.open([draw_run(folder, prompts)], JudgingConfig(raters=("ada",)))
    vote_all(study, 0.9)
    return folder


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return judged(tmp_path_factory.mktemp("votes") / "run", 12)


def test_the_set_has_the_columns_of_trl(run: Run, many: Path, tmp_path: Path) -> None:
    result = run("preferences", many, "-o", tmp_path / "set.jsonl")
    assert result.exit_code == 0, result.stderr
    rows = [json.loads(line) for line in (tmp_path / "set.jsonl").read_text().splitlines()]
    assert len(rows) == 12
    again = run("preferences", many, "-o", tmp_path / "set.jsonl")
    assert again.exit_code == 2 and "exists. Pass --overwrite" in error_line(again)
    assert all({row["chosen"], row["rejected"]} == {row["prompt"], row["prompt"] + ", sharp focus"}
               for row in rows)  # fmt: skip


def test_votes_of_a_program_are_told_as_such(run: Run, tmp_path: Path) -> None:
    folder = judged(tmp_path / "run", 8)
    connection = sqlite3.connect(folder / "judging" / "votes.sqlite")
    with connection:
        connection.execute("UPDATE raters SET kind = 'simulated'")
    connection.close()
    assert run("preferences", folder).exit_code == 1
    result = run("preferences", folder, "--kind", "simulated")
    assert result.exit_code == 0 and "by a program, not by people" in result.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--kind", "cat"], "must be person or simulated"),
        (["--question", "cat"], "must be match or picture"),
    ],
)
def test_wrong_usage_is_one_line(run: Run, many: Path, options: list[str], said: str) -> None:
    result = run("preferences", many, *options)
    assert result.exit_code == 2 and said in result.stderr and "Traceback" not in result.stderr
