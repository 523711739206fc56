"""Checks of single texts, and of files and folders of pairs."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from promptlift.errors import InputError
from promptlift.pairs.check import check_text, same_text
from promptlift.pairs.datasets import find_files
from promptlift.pairs.load import load_pairs, load_prompts
from promptlift.records import Pair
from promptlift.tables import Fault, Row


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


def misread(text: str) -> str:
    """UTF-8 read as Windows-1252; bytes it leaves open become control characters."""
    return "".join(
        bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in text.encode("utf-8")
    )


@pytest.mark.parametrize(
    "text",
    ["École", "ß straße", "cœur", "don’t", "😀 cat", "Привет мир", "日本の城", "酒の城", "łódź",
     "«oui»", "à vélo", "€5", "Ő", "ελλάς"],
)  # fmt: skip
def test_finds_utf8_read_in_another_encoding(text: str) -> None:
    assert check_text(text + " here") is None
    assert "encoding damage" in (check_text(misread(text) + " here") or "")
    latin = text.encode().decode("latin-1")
    assert "encoding damage" in (check_text(latin + " here") or "")


def test_finds_windows_1252_read_as_latin_1() -> None:
    assert "encoding damage" in (check_text("it\x92s a cat") or "")


@pytest.mark.parametrize(
    "text",
    ["naïve café", "Ærøskøbing", "Ã", "« oui »", "«\xa0café\xa0»", "«\xa0voilà\xa0»", "»CAFÉ«",
     "„Das macht Spaß“", "VÝŠKA", "Ø½ inch", "NESCAFÉ®", "CAFÉ—ÉCOLE", "café…”", "“MAÇÃ”", "ÀÉÎÕÜ"],
)  # fmt: skip
def test_leaves_letters_beside_marks_alone(text: str) -> None:
    assert check_text(text + " here") is None


# A single letter so read may be a real one before a closing mark, as "É»" is; two are not.
@given(st.text(st.characters(categories=["L"], min_codepoint=0x80), min_size=2, max_size=20))
def test_letters_of_any_script_read_as_latin_1_are_found(letters: str) -> None:
    damaged = letters.encode().decode("latin-1")
    assert "encoding damage" in (check_text(f"a {damaged} cat") or "")


SCRIPTS = [(0x370, 0x3FF), (0x400, 0x4FF), (0x5D0, 0x64A), (0x900, 0x97F), (0x3040, 0x30FF),
           (0x4E00, 0x9FFF), (0xAC00, 0xD7A3)]  # fmt: skip
LIVING = st.one_of(
    [
        st.characters(categories=["L"], min_codepoint=first, max_codepoint=last)
        for first, last in SCRIPTS
    ]
)


@given(st.text(LIVING, min_size=1, max_size=20), st.sampled_from("«»“”’…–—"))
def test_letters_of_other_scripts_are_sound(letters: str, mark: str) -> None:
    assert check_text(f"a {letters}{mark} cat") is None


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


HALF = '"a \\ud800 cat"'  # JSON can say it, UTF-8 cannot


@pytest.mark.parametrize("check", [False, True])
def test_half_a_surrogate_pair_is_a_fault(tmp_path: Path, check: bool) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(f'{{"x": {HALF}, "y": "a cat, 4k"}}\n{{"x": "a dog", "y": "a fox"}}\n')
    fault = "is no valid Unicode: half a surrogate pair at character 3: '\\ud800'"
    assert list(load_pairs(path, check=check)) == [
        Fault(1, f"`x` {fault}"),
        Pair(source="a dog", target="a fox"),
    ]
    path.write_text(f'{{"prompt": {HALF}}}\n{HALF}\n"a cat"\n')
    assert list(load_prompts(path)) == [Fault(1, fault), Fault(2, fault), Row(3, "a cat")]


def test_odd_rows_of_jsonl_do_not_stop_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    rows = ["{}", '{"x": "a bird"}', '"a cat"', '{"x": "a", "y": "b"}', "7", '{"y": "c"}']
    path.write_text("\n".join(rows))
    found = list(load_pairs(path))
    assert [item.number for item in found if isinstance(item, Fault)] == [1, 2, 3, 5, 6]
    assert found[3] == Pair(source="a", target="b")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", '{"z": "a"}\n{}\n"b"\n', "has columns z, and a pair needs source and target"),
        ("a.jsonl", '"a"\n', "a line of text is no pair"),
        ("a.txt", "a cat\n", "line 1: a line of text is no pair"),
        ("a.csv", "x,z\na,b\n", "has columns x, z"),
    ],
)
def test_a_file_without_any_pair_is_refused(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        list(load_pairs(tmp_path / name))


@pytest.mark.parametrize(
    ("header", "source", "target"),
    [
        ("Source,Target,Mode", None, None),
        ("X,Y,mode", None, None),
        ("x,y,mode", "x", None),
        ("x,y,mode", None, "y"),
        ("plain,target,mode", "plain", None),
        ("x,target,mode", "x", None),
    ],
)
def test_known_columns_are_found_in_any_case_and_by_their_partner(
    tmp_path: Path, header: str, source: str | None, target: str | None
) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{header}\na,b,extend\n")
    found = list(load_pairs(path, source=source, target=target))
    assert found == [Pair(source="a", target="b", mode="extend")]


def test_one_column_is_not_both_sides(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("x,y\na,b\n")
    with pytest.raises(InputError, match="one column 'x' for both"):
        list(load_pairs(path, source="x", target="X"))
    with pytest.raises(InputError, match="no column 'target'"):
        list(load_pairs(path, source="y"))


def test_prompts_are_found_in_any_case(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("Prompt,id\na cat,1\n")
    assert list(load_prompts(path)) == [Row(2, "a cat")]


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


@pytest.mark.parametrize("word", ["test", "testing", "eval", "evaluation"])
def test_a_split_may_stand_anywhere_in_a_name(tmp_path: Path, word: str) -> None:
    names = ["prompts_train.jsonl", f"prompts_{word}.jsonl", "my.dev.v2.csv", "latest.csv"]
    (tmp_path / ".cache").mkdir()
    for name in [*names, ".cache/train.json", "dataset_infos.json", "state.json"]:
        (tmp_path / name).write_bytes(b"")
    assert find_files(str(tmp_path)) == [tmp_path / names[0]]
    assert find_files(str(tmp_path), "test") == [tmp_path / names[1]]
    assert find_files(str(tmp_path), "valid") == [tmp_path / names[2]]


def test_files_about_the_data_hold_no_rows(tmp_path: Path) -> None:
    for name in ("data.jsonl", "dataset_infos.json", "dataset_info.json", ".hidden.json"):
        (tmp_path / name).write_bytes(b"")
    assert find_files(str(tmp_path)) == [tmp_path / "data.jsonl"]


@pytest.mark.parametrize("name", ["missing.jsonl", "data/pairs.txt", "data/pairs.CSV", "a/b.gz"])
def test_a_name_with_the_ending_of_a_file_is_a_path(name: str) -> None:
    with pytest.raises(InputError, match="does not exist"):
        find_files(name)


def test_files_without_a_split_are_to_train_on(tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text("x,y\n")
    assert find_files(str(tmp_path)) == [tmp_path / "mine.csv"]
    assert find_files(str(tmp_path / "mine.csv"), "test") == [tmp_path / "mine.csv"]


@pytest.mark.parametrize("name", ["missing", "no/such/folder", "/no/such"])
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
