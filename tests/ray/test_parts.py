"""Parts hold every row of the input once, and files of parts are whole."""

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from promptlift.errors import InputError
from promptlift.ray.parts import Folder, cut, files_of, storage


def write(path: Path, rows: range, group: int = 1000) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(pa.table({"row": list(rows)}), path, row_group_size=group)
    return path


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    sizes=st.lists(st.integers(0, 40), min_size=1, max_size=4),
    group=st.integers(1, 30),
    rows=st.integers(1, 50),
)
def test_every_row_is_in_one_part(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], group: int, rows: int
) -> None:
    folder, first = tmp_path_factory.mktemp("input"), 0
    for place, size in enumerate(sizes):
        write(folder / f"{place}.parquet", range(first, first + size), group)
        first += size
    parts = cut(list(files_of([str(folder)])), rows)
    assert [part.number for part in parts] == list(range(len(parts)))
    read = [(part.index, part.read()["row"].to_pylist()) for part in parts]
    assert [row for _, found in read for row in found] == list(range(first))
    for part, (index, found) in zip(parts, read, strict=True):
        assert found == list(range(index, index + part.rows))
        assert 0 < part.rows <= rows


def test_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "in/b.parquet", range(2))
    write(tmp_path / "in/a.parquet", range(3))
    write(tmp_path / "in/deep/c.parquet", range(4))
    write(tmp_path / "in/_left/d.parquet", range(5))
    write(tmp_path / "in/.e.parquet", range(6))
    (tmp_path / "in/notes.txt").write_text("none of ours")
    monkeypatch.chdir(tmp_path)

    def rows(*inputs: str) -> list[int]:
        return [file.rows for file in files_of(inputs)]

    assert (
        rows("in") == rows(f"file://{tmp_path}/in") == rows(f"local://{tmp_path}/in") == [3, 2, 4]
    )
    assert rows("in/*.parquet", "in/deep/c.parquet") == [3, 2, 4]
    assert rows(f"file://{tmp_path}/in/[ab].parquet") == [3, 2]
    assert rows("in/") == rows(f"file://{tmp_path}/in/") == [3, 2, 4]
    write(tmp_path / "two words/f.parquet", range(7))
    [spaced] = files_of([f"file://{tmp_path}/two%20words/"])
    assert cut([spaced], 10)[0].read().num_rows == 7
    [file] = files_of([f"local://{tmp_path}/in/a.parquet"])
    assert cut([file], 10)[0].read()["row"].to_pylist() == [0, 1, 2]
    for wrong, said in (
        ("nothing", "no Parquet file"),
        ("in/x*.parquet", "no Parquet file"),
        ("in/notes.txt", "cannot be read"),
        ("nowhere://bucket/x", "nowhere"),
    ):
        with pytest.raises(InputError, match=said):
            rows(wrong)


def test_a_file_in_memory(tmp_path: Path) -> None:
    """A file system that only fsspec knows, whose paths are no part of a disk."""
    folder = Folder("memory://bucket/in/")
    folder.write_table("a.parquet", pa.table({"row": [1, 2, 3]}))
    [file] = files_of(["memory://bucket/in/"])
    assert cut([file], 2)[1].read()["row"].to_pylist() == [3]


def test_another_file_has_another_mark(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", range(1000))
    [first] = files_of([str(path)])
    assert [first] == list(files_of([str(path)]))
    write(path, range(1, 1001))
    [other] = files_of([str(path)])
    assert other.rows == first.rows and other.mark != first.mark


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", range(1000))
    [part] = cut(list(files_of([str(path)])), 1000)
    content = bytearray(path.read_bytes())
    content[4:100] = b"x" * 96
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"a\.parquet rows 0 to 1000 cannot be read"):
        part.read()


@pytest.mark.parametrize("scheme", ["", "file://", "local://"])
def test_files_of_a_folder_are_whole(tmp_path: Path, scheme: str) -> None:
    folder = Folder(f"{scheme}{tmp_path}/out/deep")
    table = pa.table({"row": [1, 2]})
    assert folder.read("_notes.json") is None
    folder.write("_notes.json", b"{}")
    folder.write_table("part-000000.parquet", table)
    folder.write_table("part-000000.parquet", table)
    assert folder.names() == {"_notes.json", "part-000000.parquet"}
    assert folder.read("_notes.json") == b"{}"
    system, path = storage(folder.address)
    assert parquet.read_table(f"{path}/part-000000.parquet", filesystem=system).equals(table)
    folder.remove(["_notes.json"])
    assert folder.names() == {"part-000000.parquet"}
