"""`promptlift improve --output`: files, journals, and jobs that were stopped."""

import json
import signal
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from promptlift import tables
from promptlift.improving import batch, journal
from promptlift.tables import Row, read_rows
from tests.cli.conftest import Run, error_line, objects, spawn

_WINDOW = 24  # instead of 256, so that few prompts fill a few
# The journal goes to disk once a window. Both ways to stop act at the second time.
KILLED = f"""
import os, signal
import promptlift.improving.batch as batch
import promptlift.improving.journal as journal
batch._WINDOW = journal._WINDOW = {_WINDOW}
real, calls = journal._to_disk, 0
def dying(file):
    global calls
    real(file)
    calls += 1
    if calls == 2:
        file.write('{{"index": 48, "sou')
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)
journal._to_disk = dying
"""


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prompts for a few windows, of several lengths, two of them faulty."""
    path = tmp_path_factory.mktemp("many") / "prompts.jsonl"
    lines = [json.dumps({"prompt": f"castle {number} " * (1 + number % 3)}) for number in range(60)]
    lines[10], lines[55] = '{"prompt": ""}', "{broken"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(autouse=True)
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "_WINDOW", _WINDOW)
    monkeypatch.setattr(journal, "_WINDOW", _WINDOW)
    monkeypatch.setattr(tables, "_BATCH_ROWS", 40)  # instead of 4096


def rows_of(path: Path) -> int:
    return sum(isinstance(row, Row) for row in read_rows(path))


@pytest.mark.parametrize("ending", ["jsonl", "csv", "tsv", "parquet"])
def test_writes_a_file_by_its_ending(improve: Run, tmp_path: Path, ending: str) -> None:
    output = tmp_path / "new" / f"out.{ending}"
    result = improve("a cat", "a dog", "-n", 2, "--output", output)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == ""
    assert rows_of(output) == 4
    assert list(output.parent.iterdir()) == [output]


def test_the_file_holds_what_json_prints(improve: Run, tmp_path: Path, many: Path) -> None:
    printed = improve("--input", many, "--json", "--seed", 1)
    written = improve("--input", many, "--output", tmp_path / "out.jsonl", "--seed", 1)
    assert (printed.exit_code, written.exit_code) == (1, 1)
    assert objects((tmp_path / "out.jsonl").read_text()) == objects(printed.stdout)
    assert "2 of them failed" in written.stderr


def test_a_column_that_fills_late_keeps_its_type(improve: Run, tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("a cat\n\xff\n", encoding="latin-1")
    prompts = ["a dog"] * 50
    output = tmp_path / "out.parquet"
    result = improve(*prompts, "--input", path, "--output", output, "--max-new-tokens", 1)
    assert result.exit_code == 1
    rows = pq.read_table(output).to_pylist()
    assert len(rows) == 52
    assert rows[-1]["line"] == 2
    assert "UTF-8" in rows[-1]["error"]


def test_an_existing_file_needs_force(improve: Run, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    output.write_text("mine")
    result = improve("a cat", "--output", output)
    assert result.exit_code == 2
    assert "--overwrite" in error_line(result)
    assert output.read_text() == "mine"
    assert improve("a cat", "--output", output, "--overwrite").exit_code == 0
    assert rows_of(output) == 1


def test_an_ending_that_cannot_be_written_is_told_first(improve: Run, tmp_path: Path) -> None:
    result = improve("a cat", "--output", tmp_path / "out.docx")
    assert result.exit_code == 2
    assert "these can: .jsonl" in error_line(result)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_a_killed_job_goes_on_to_the_same_bytes(
    improve: Run, tiny: list[str], many: Path, tmp_path: Path, ending: str
) -> None:
    whole, parts = tmp_path / f"whole.{ending}", tmp_path / f"parts.{ending}"
    args = ["--input", many, "-n", 2]
    killed = spawn("improve", *args, *tiny, "--output", parts, before=KILLED)
    assert killed.returncode == -signal.SIGKILL
    assert not parts.exists()
    journal = parts.with_name(parts.name + ".part")
    header = json.loads(journal.read_text().split("\n", 1)[0])
    # Without --resume nothing is touched, and with other options it is another job.
    kept = journal.read_bytes()
    result = improve(*args, "--output", parts)
    assert result.exit_code == 2
    assert "--resume" in error_line(result)
    result = improve("--input", many, "-n", 3, "--output", parts, "--resume")
    assert result.exit_code == 2
    assert "begun with n 2, now it is 3" in error_line(result)
    assert journal.read_bytes() == kept
    # No seed was given: the journal's is used again.
    result = improve(*args, "--output", parts, "--resume")
    assert result.exit_code == 1
    assert "48 rows are done already" in result.stderr
    assert not journal.exists()
    improve(*args, "--output", whole, "--seed", header["seed"])
    assert parts.read_bytes() == whole.read_bytes()


KILLED_AT_THE_END = """
import os, signal
from pathlib import Path
Path.unlink = lambda *given, **options: os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_a_job_killed_between_its_output_and_the_end_of_its_journal_goes_on(
    improve: Run, tiny: list[str], many: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out.jsonl"
    args = ["--input", many, "--seed", 1, "--output", output]
    killed = spawn("improve", *args, *tiny, before=KILLED_AT_THE_END)
    assert killed.returncode == -signal.SIGKILL
    whole = output.read_bytes()
    assert rows_of(output) == 60 and len([*tmp_path.iterdir()]) == 2
    assert improve(*args, "--resume").exit_code == 1
    assert output.read_bytes() == whole
    assert [*tmp_path.iterdir()] == [output]


def test_a_journal_without_a_whole_header_is_begun_anew(improve: Run, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    journal.journal_of(output).write_text('{"input": {"fi')  # a full disk, or a kill
    result = improve("a cat", "--output", output)
    assert result.exit_code == 2 and "--resume" in error_line(result)
    assert improve("a cat", "--output", output, "--resume").exit_code == 0
    assert rows_of(output) == 1


def test_ctrl_c_says_how_to_go_on(
    improve: Run, many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(file: object) -> None:
        raise KeyboardInterrupt

    output = tmp_path / "out.jsonl"
    with monkeypatch.context() as patch:
        patch.setattr(journal, "_to_disk", interrupted)
        result = improve("--input", many, "--output", output, "--seed", 3)
    assert result.exit_code == 130
    assert "--resume" in result.stderr
    result = improve("--input", many, "--output", output, "--seed", 3, "--resume")
    assert result.exit_code == 1
    assert rows_of(output) == 60


def test_resume_without_a_journal_begins(improve: Run, tmp_path: Path) -> None:
    output = tmp_path / "out.csv"
    assert improve("a cat", "--output", output, "--resume").exit_code == 0
    assert rows_of(output) == 1


def test_progress_has_rate_and_time_left(
    improve: Run, many: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("promptlift.progress.EVERY_S", 0.0)
    result = improve("--input", many, "--output", tmp_path / "out.csv")
    lines = result.stderr.splitlines()
    assert lines[30].startswith("30 of 60 rows, ")
    assert lines[-2].startswith("60 of 60 rows, ") and lines[-2].endswith("0.0 min left")
    assert result.stdout == ""


@pytest.mark.parametrize("ending", ["jsonl", "parquet"])
def test_parts_are_joined_to_what_one_machine_writes(
    improve: Run, run: Run, many: Path, tmp_path: Path, ending: str
) -> None:
    whole, joined = tmp_path / f"whole.{ending}", tmp_path / f"joined.{ending}"
    options = ("-i", many, "--seed", 3, "-n", 2)
    assert improve(*options, "-o", whole).exit_code == 1  # two prompts are faulty
    parts = [tmp_path / f"{number}.{ending}" for number in (1, 2, 3)]
    for number, part in enumerate(parts, 1):
        improve(*options, "--shard", f"{number}/3", "-o", part)
    join = ("join", *reversed(parts), "-i", many, "-o")
    result = run(*join, joined)
    assert result.exit_code == 0, result.stderr
    if ending == "jsonl":
        assert joined.read_bytes() == whole.read_bytes()
    else:
        found, expected = (pq.read_table(path).to_pylist() for path in (joined, whole))
        assert found == expected
    assert run(*join, joined).exit_code == 2  # it is there


def test_what_is_missing_double_or_another_is_said(improve: Run, run: Run, tmp_path: Path) -> None:
    prompts, other = tmp_path / "prompts.txt", tmp_path / "other.txt"
    prompts.write_text("a cat\na dog\na fox\na hen\n")
    other.write_text("a cat\na cow\na fox\na hen\n")
    parts = [tmp_path / name for name in ("1.jsonl", "2.jsonl", "cow.jsonl", "seed.jsonl")]
    for part, given, shard, seed in zip(parts, (prompts, prompts, other, prompts),
                                        ("1/2", "2/2", "2/2", "2/2"), (3, 3, 3, 4),
                                        strict=True):  # fmt: skip
        result = improve("-i", given, "--seed", seed, "--shard", shard, "-o", part)
        assert result.exit_code == 0, result.stderr
    one, two, cow, reseeded = parts
    torn, foreign = tmp_path / "torn.jsonl", tmp_path / "foreign.jsonl"
    torn.write_text(two.read_text()[:-20])
    foreign.write_text('{"prompt": "a cat"}\n')
    cases: list[tuple[tuple[Path, ...], str]] = [
        ((one,), "2 prompts are in no part: prompt 1 (line 2), prompt 3 (line 4)"),
        ((one, two, two), "prompt 1 (line 2) is double, in"),
        ((one, cow), "has another prompt in the place of prompt 1 (line 2)"),
        ((one, reseeded), "seed.jsonl was made with seed 4, other parts with 3"),
        ((one, torn), "torn.jsonl line 2: not valid JSON"),
        ((one, foreign), "foreign.jsonl line 1 is no row that promptlift improve wrote"),
        ((one, prompts), "parts to join are .jsonl or .parquet files"),
    ]
    for files, said in cases:
        result = run("join", *files, "-i", prompts, "-o", tmp_path / "all.jsonl")
        assert result.exit_code != 0
        assert said in error_line(result)
    short = tmp_path / "short.txt"
    short.write_text("a cat\na dog\n")
    result = run("join", one, two, "-i", short, "-o", tmp_path / "all.jsonl")
    assert "has prompt 2, and the input has no such prompt" in error_line(result)
    assert not (tmp_path / "all.jsonl").exists()


@pytest.mark.parametrize("shard", ["0/2", "3/2", "2", "a/b", "1/0", ""])
def test_parts_that_are_none_are_refused(improve: Run, tmp_path: Path, shard: str) -> None:
    result = improve("a cat", "--seed", 1, "--shard", shard or " ", "-o", tmp_path / "out.jsonl")
    assert result.exit_code == 2
    assert "must be as 2/8" in error_line(result)


def test_a_part_needs_a_seed_and_a_file(improve: Run, tmp_path: Path) -> None:
    for name, value in (("--seed", 1), ("-o", tmp_path / "out.jsonl")):
        result = improve("a cat", "--shard", "1/2", name, value)
        assert "--shard needs --output" in error_line(result)


def test_more_parts_than_prompts(improve: Run, run: Run, tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("a cat\n")
    parts = [tmp_path / f"{number}.parquet" for number in (1, 2)]
    for number, part in enumerate(parts, 1):
        result = improve("-i", prompts, "--seed", 1, "--shard", f"{number}/2", "-o", part)
        assert result.exit_code == 0, result.stderr
    joined = tmp_path / "all.parquet"
    assert run("join", *parts, "-i", prompts, "-o", joined).exit_code == 0
    assert rows_of(joined) == 1
