"""`promptlift compare`."""

import json
from pathlib import Path

import pytest

from promptlift.reporting.wording import interval
from tests.cli.conftest import Run, error_line
from tests.reporting.conftest import METRICS, begin_run, write_evaluation


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    found = []
    for seed, name in enumerate(("one", "two")):
        folder = begin_run(tmp_path / name, seed=seed)
        write_evaluation(
            folder, 6, [f"light {n} {name}" for n in range(10)], seed=seed, metrics=METRICS[:2]
        )
        found.append(folder)
    return found


def test_compare_says_what_sets_runs_apart(run: Run, runs: list[Path]) -> None:
    result = run("compare", *runs, "--examples", 2)
    assert result.exit_code == 0, result.output
    assert "training, seed" in result.stdout
    found = json.loads(run("compare", *runs, "--json").stdout)
    for row in found["figures"]:
        for score in row["scores"]:
            assert interval(score) in result.stdout
    for test in found["tests"]:
        assert interval({**test, "value": test["difference"]}) in result.stdout
    assert "corrected for 2 tests by Holm" in result.stdout
    assert result.stdout.count("\nsource: ") == 2
    assert "two: light 0 two" in result.stdout


def test_compare_writes_a_page(run: Run, runs: list[Path], tmp_path: Path) -> None:
    result = run("compare", *runs, "-o", tmp_path / "page", "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == json.loads((tmp_path / "page/comparison.json").read_text())
    assert (tmp_path / "page" / "index.html").exists()
    again = run("compare", *runs, "-o", tmp_path / "page")
    assert again.exit_code == 2 and "index.html exists. Pass --overwrite" in error_line(again)
    assert run("compare", *runs, "-o", tmp_path / "page", "--overwrite").exit_code == 0


def test_compare_says_why_there_is_no_test(run: Run, runs: list[Path]) -> None:
    write_evaluation(runs[1], 6, ["light"] * 9)
    result = run("compare", *runs)
    assert result.exit_code == 0
    assert "No paired test: one and two were measured on different pairs (10 and 9" in result.stdout


def test_wrong_use_gives_one_line(run: Run, runs: list[Path], tmp_path: Path) -> None:
    result = run("compare", runs[0])
    assert result.exit_code == 2 and "two or more" in error_line(result)
    result = run("compare", *runs, "--examples", -1)
    assert result.exit_code == 2 and "--examples is -1" in error_line(result)
    result = run("compare", runs[0], tmp_path)
    assert result.exit_code == 1 and "is no run folder" in error_line(result)
    result = run("compare", runs[0], tmp_path / "none")
    assert result.exit_code == 1 and "none does not exist" in error_line(result)
