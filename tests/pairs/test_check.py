"""Checks of single texts, and of files and folders of pairs."""

import json
from pathlib import Path

import pytest

from promptlift.errors import InputError
from promptlift.pairs.check import check_text, same_text
from promptlift.pairs.load import find_files, load_pairs
from promptlift.records import Pair
from promptlift.tables import Fault


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (" a ", "is too short"),
        ("word " * 401, "is too long: 401 words"),
        ("a caf\u00c3\u00a9", "encoding damage at character 6"),
        ("don\u00e2\u20ac\u2122t", "encoding damage"),
        ("what \N{REPLACEMENT CHARACTER}", "encoding damage"),
    ],
)
def test_says_what_is_wrong(text: str, problem: str) -> None:
    assert problem in (check_text(text) or "")


@pytest.mark.parametrize("text", ["a cat", "São Paulo", "Ål", "日本の城", "un âne à Âcre", "Â cat"])
def test_leaves_other_languages_alone(text: str) -> None:
    assert check_text(text + " here") is None


def test_same_text_ignores_case_blanks_and_the_full_stop() -> None:
    assert same_text("A  cat.", "a cat")
    assert not same_text("a cat", "a cat, 4k")


def test_every_faulty_row_is_named_and_columns_are_said(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    rows = [{"x": "a cat", "y": "a cat, oil on canvas"}, {"x": "", "y": "b c d"},
            {"x": "a dog", "y": "A dog."}, {"x": "a fox", "y": 7}]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    said: list[str] = []
    found = list(load_pairs(path, check=True, report=said.append))
    assert found == [
        Pair(source="a cat", target="a cat, oil on canvas"),
        Fault(2, "`x` is empty"),
        Fault(3, "`x` equals `y`: nothing to learn"),
        Fault(4, "`y` is int, not text"),
    ]
    assert said == [f"{path}: source is column 'x', target is column 'y'"]


def test_finds_the_files_of_a_split_as_the_hub_lays_them_out(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    names = ("data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet",
             "data/test-00000-of-00001.parquet", "README.md")  # fmt: skip
    for name in names:
        (tmp_path / name).write_bytes(b"")
    found = find_files(str(tmp_path))
    assert [file.name for file in found] == [Path(name).name for name in names[:2]]
    assert [file.name for file in find_files(str(tmp_path), "test")] == [Path(names[2]).name]
    with pytest.raises(InputError, match="no split 'dev'; it has: test, train"):
        find_files(str(tmp_path), "dev")


def test_files_without_a_split_are_to_train_on(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("x,y\n")
    assert find_files(str(tmp_path)) == [tmp_path / "mine.csv"]
    assert find_files(str(tmp_path / "mine.csv"), "test") == [tmp_path / "mine.csv"]


@pytest.mark.parametrize("name", ["missing.jsonl", "no/such/folder", "/no/such"])
def test_what_is_neither_file_nor_name_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="no file, no folder"):
        find_files(name)


def test_a_hub_name_that_is_not_cached_gives_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InputError, match="data set groloch/nothing is not in the cache"):
        find_files("groloch/nothing", offline=True)
