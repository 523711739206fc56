"""Rows of every format, with their faults."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from promptlift.errors import InputError
from promptlift.pairs.load import load_pairs, load_prompts, write_pairs
from promptlift.records import Pair
from promptlift.tables import Fault, Row, read_rows, write_rows

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(str.strip)


@pytest.mark.parametrize("ending", ["jsonl", "csv", "tsv", "parquet"])
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pairs=st.lists(st.builds(Pair, source=TEXT, target=TEXT), min_size=1, max_size=4))
def test_pairs_come_back_as_written(tmp_path: Path, ending: str, pairs: list[Pair]) -> None:
    path = tmp_path / f"pairs.{ending}"
    write_pairs(path, pairs)
    assert list(load_pairs(path)) == pairs


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_faults_carry_their_line_and_the_rest_goes_on(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", b'{"prompt": "a"}\r\n\n[1]\n{oops\n\xff\n"text"\n')
    rows = list(read_rows(path))
    assert rows[0] == Row(1, {"prompt": "a"})
    assert [row.number for row in rows[1:]] == [3, 4, 5, 6]
    assert all(isinstance(row, Fault) for row in rows[1:4])
    assert rows[4] == Row(6, "text")


def test_text_drops_the_mark_of_byte_order_and_keeps_blanks(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", b"\xef\xbb\xbfa cat\r\n  two \n\n")
    assert list(read_rows(path)) == [Row(1, "a cat"), Row(2, "  two ")]


def test_delimited_rows_may_hold_line_breaks_and_faults(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", b'a,b\n"x\ny",1\n\xff,2\nz\n')
    first, second, third = read_rows(path)
    assert first == Row(3, {"a": "x\ny", "b": "1"})
    assert second == Fault(4, "not valid UTF-8")
    assert third == Fault(5, "1 fields where the header has 2")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.xlsx", "", "'.xlsx' is not known; these are: .jsonl"),
        ("a.json", "{}", "must hold a list"),
        ("a.json", "[", "not valid JSON"),
        ("a.csv", "", "no header line"),
        ("a.parquet", "nonsense", "no readable Parquet file"),
    ],
)
def test_unusable_files_are_told_in_a_line(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        list(read_rows(write(tmp_path / name, content)))


def test_missing_files_and_unknown_endings(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        list(read_rows(tmp_path / "none.txt"))
    with pytest.raises(InputError, match="cannot be written"):
        write_rows(tmp_path / "out.txt", [], ["a"])


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = write(tmp_path / "out.csv", "old")

    def rows() -> Any:
        yield {"a": 1}
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_rows(path, rows(), ["a"])
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["out.csv"]


def test_parquet_of_errors_first_or_of_nothing(tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    write_rows(path, [{"error": "x"}, {"error": None}], ["additions", "error"])
    assert [row.value for row in read_rows(path)] == [  # type: ignore[union-attr]
        {"additions": None, "error": "x"},
        {"additions": None, "error": None},
    ]
    write_rows(path, [], ["a"])
    assert list(read_rows(path)) == []


@pytest.mark.parametrize("names", [("x", "y"), ("basic", "detailed"), ("prompt", "improved")])
def test_columns_of_pairs_are_found(tmp_path: Path, names: tuple[str, str]) -> None:
    row = {names[0]: "a cat", names[1]: "a cat, 4k", "id": 1}
    path = write(tmp_path / "a.jsonl", json.dumps(row) + "\n")
    assert list(load_pairs(path)) == [Pair(source="a cat", target="a cat, 4k")]


def test_columns_of_pairs_may_be_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "plain,rich,mode\na,b,extend\n,b,\na,b,expand\n")
    good, empty, mode = load_pairs(path, source="plain", target="rich")
    assert good == Pair(source="a", target="b", mode="extend")
    assert empty == Fault(3, "`plain` is empty")
    assert isinstance(mode, Fault) and "'expand'" in mode.message
    with pytest.raises(InputError, match="has columns plain, rich, mode"):
        list(load_pairs(path))
    with pytest.raises(InputError, match="Did you mean 'plain'"):
        list(load_pairs(path, source="plane"))


def test_prompts_of_one_column_need_no_name(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", "caption\na cat\n")
    assert list(load_prompts(path)) == [Row(2, "a cat")]
