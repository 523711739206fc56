"""`promptlift prefer`."""

import json
import sqlite3
from pathlib import Path

import pytest

from promptlift.judging.collecting.study import Study
from promptlift.judging.config import JudgingConfig
from promptlift.tables import Row, read_rows, write_rows
from tests.cli.conftest import Run
from tests.judging.runs import draw_run
from tests.judging.statistics.test_results import vote_all


def judged(folder: Path, prompts: int) -> Path:
    study = Study.open([draw_run(folder, prompts)], JudgingConfig(raters=("ada",)))
    vote_all(study, 0.9)
    return folder


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return judged(tmp_path_factory.mktemp("votes") / "run", 60)


def variants(path: Path) -> Path:
    rows = [
        {"source": "a barn", "prompt": prompt}
        for prompt in ("a barn", "a barn, sharp focus", "a barn, fog")
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_set_has_the_columns_of_trl(run: Run, many: Path, tmp_path: Path) -> None:
    result = run("prefer", many, "-o", tmp_path / "set.jsonl")
    assert result.exit_code == 0, result.stderr
    rows = [json.loads(line) for line in (tmp_path / "set.jsonl").read_text().splitlines()]
    assert len(rows) == 60
    assert all({row["chosen"], row["rejected"]} == {row["prompt"], row["prompt"] + ", sharp focus"}
               for row in rows)  # fmt: skip
    assert "on held-out prompts the preferred text is found in" in result.stdout
    kept = json.loads((many / "judging" / "reranker.json").read_text())
    assert kept["kind"] == "person" and kept["held_out"]["prompts"] == 60


def test_what_is_only_length_puts_nothing_in_order(run: Run, many: Path, tmp_path: Path) -> None:
    best = tmp_path / "best.jsonl"
    result = run("prefer", many, "--rerank", variants(tmp_path / "n.jsonl"), "--best", best)
    assert result.exit_code == 1 and not best.exists()
    assert "or than taking the longer text" in result.stdout
    assert "cannot put variants in order" in result.stderr


def test_variants_are_put_in_order_when_asked(run: Run, tmp_path: Path) -> None:
    """Raters who like improved prompts but those that add "fog"."""
    folder = draw_run(tmp_path / "run", 80)
    index = folder / "pictures" / "index.parquet"
    rows = [
        dict(row.value)
        for row in read_rows(index)
        if isinstance(row, Row) and not isinstance(row.value, str)
    ]
    for row in rows:
        if row["side"] == "improved" and row["prompt_index"] % 2:
            row["prompt"] = f"{row['source']}, fog"
    write_rows(index, rows, list(rows[0]))
    study = Study.open([folder], JudgingConfig(raters=("ada",), repeats=0.0))
    vote_all(study, lambda pair: 0.1 if pair.prompt_index % 2 else 0.95)
    best = tmp_path / "best.jsonl"
    result = run("prefer", folder, "--rerank", variants(tmp_path / "n.jsonl"), "--best", best)
    assert result.exit_code == 0, result.stderr + result.stdout
    ordered = [json.loads(line)["prompt"] for line in best.read_text().splitlines()]
    assert ordered == ["a barn, sharp focus", "a barn", "a barn, fog"]


def test_few_votes_make_a_set_but_no_order(run: Run, tmp_path: Path) -> None:
    folder = judged(tmp_path / "run", 8)
    result = run(
        "prefer", folder, "--rerank", variants(tmp_path / "n.jsonl"), "--best", tmp_path / "b.jsonl"
    )
    assert result.exit_code == 1 and "cannot put variants in order" in result.stderr
    assert (folder / "judging" / "preferences.jsonl").is_file()
    assert not (tmp_path / "b.jsonl").exists()
    assert not (folder / "judging" / "reranker.json").exists()


def test_votes_of_a_program_are_told_as_such(run: Run, tmp_path: Path) -> None:
    folder = judged(tmp_path / "run", 8)
    connection = sqlite3.connect(folder / "judging" / "votes.sqlite")
    with connection:
        connection.execute("UPDATE raters SET kind = 'simulated'")
    connection.close()
    assert run("prefer", folder).exit_code == 1
    result = run("prefer", folder, "--kind", "simulated")
    assert result.exit_code == 0 and "by a program, not by people" in result.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--kind", "cat"], "must be person or simulated"),
        (["--question", "cat"], "must be match or picture"),
        (["--best", "x.jsonl"], "belong together"),
    ],
)
def test_wrong_usage_is_one_line(run: Run, many: Path, options: list[str], said: str) -> None:
    result = run("prefer", many, *options)
    assert result.exit_code == 2 and said in result.stderr and "Traceback" not in result.stderr
