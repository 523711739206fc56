"""Which column holds the prompts, what has no header, and what of JSON is a prompt."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from promptlift.errors import InputError
from promptlift.pairs.load import load_pairs, load_prompts
from promptlift.records import Pair
from promptlift.tables import Fault, Row
from promptlift.text_files import STDIN


def prompts(path: Path, content: str, column: str | None = None) -> tuple[list[str], list[str]]:
    """The prompts of a file with this content, and the lines that were reported."""
    path.write_bytes(content.encode())
    said: list[str] = []
    rows = list(load_prompts(path, column=column, report=said.append))
    assert not [row for row in rows if isinstance(row, Fault)]
    return [str(row.value) for row in rows if isinstance(row, Row)], said


@pytest.mark.parametrize(
    ("content", "column"),
    [
        ("prompt;seed\na cat;1\n", None),
        ("Prompt|seed\na cat|1\n", None),
        ("text,seed\na cat,1\n", "text"),
        ("seed\tCaption\n1\ta cat\n", "Caption"),
        ("seed;Positive Prompt\n1;a cat\n", "Positive Prompt"),
        ("words\na cat\n", "words"),
        ("image caption\na cat\n", "image caption"),
    ],
)
def test_k_csv_the_column_taken_is_named(tmp_path: Path, content: str, column: str | None) -> None:
    path = tmp_path / "prompts.csv"
    expected = [f"{path}: prompts are column {column!r}"] if column else []
    assert prompts(path, content) == (["a cat"], expected)


def test_k_csv_a_column_that_was_named_is_not_named_again(tmp_path: Path) -> None:
    assert prompts(tmp_path / "a.csv", "text,seed\na cat,1\n", "text") == (["a cat"], [])


@pytest.mark.parametrize(
    "content",
    [
        "a cat\na dog\n",
        '"a cat, oil on canvas"\n"a dog, ink"\n',
        "a photo of a text in neon\n",
        f"{'masterpiece' * 5}\na dog\n",
        "a cat; a dog\na fox\nan owl; a hen; a pig\n",
    ],
)
def test_k_csv_one_column_without_a_header_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(InputError, match=r"a\.csv: the first line seems to be a prompt") as error:
        prompts(tmp_path / "a.csv", content)
    assert "Add a line `prompt` above it, save the file as .txt, or name" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "content",
    [
        "a cat, oil on canvas\na dog, ink\n",
        "a cat;1\na dog;2\n",
        "1\ta cat in oil\n2\ta dog\n",
        "a cat, oil, soft light\na dog\na fox, ink\n",  # not one row has as many fields
    ],
)
def test_k_csv_several_columns_without_a_header_are_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(InputError, match=r"has no column 'prompt'; .*seems to be no header: add"):
        prompts(tmp_path / "a.csv", content)


def test_k_csv_names_that_are_no_prompts_are_just_unknown(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no column 'prompt'; it has: id, url\.$"):
        prompts(tmp_path / "a.csv", "id,url\n1,x\n")


@pytest.mark.parametrize(
    "content",
    [
        "source;target\na cat;a cat, in oil\n",
        "x|y\na cat|a cat, in oil\n",
        'basic,detailed\r"a cat","a cat, in oil"\r',
        "sep=;\r\nPrompt;Improved\r\na cat;a cat, in oil\r\n",
    ],
)
def test_k_csv_of_pairs_is_read_as_one_of_prompts(tmp_path: Path, content: str) -> None:
    path = tmp_path / "pairs.csv"
    path.write_bytes(content.encode())
    assert list(load_pairs(path)) == [Pair(source="a cat", target="a cat, in oil")]


@pytest.mark.parametrize("content", ["a cat;a cat, in oil\n", "a cat,a cat in oil\n", "a cat\n"])
def test_k_csv_of_pairs_without_a_header_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "pairs.csv"
    path.write_bytes(content.encode() * 3)
    with pytest.raises(InputError, match=r"line 1: has columns a cat.*no header: add one above it"):
        list(load_pairs(path))


@pytest.mark.parametrize("read", [load_prompts, load_pairs])
def test_names_with_line_breaks_are_told_in_a_line(tmp_path: Path, read: Any) -> None:
    (tmp_path / "a.csv").write_text('"one\ntwo",three\na,b\n')
    with pytest.raises(InputError, match=r"one two, ?three") as error:
        list(read(tmp_path / "a.csv"))
    assert "\n" not in str(error.value)


JSON_PROMPTS = [
    '{"subject": "cat", "style": "photo"}',
    '{"scene": "a beach", "camera": {"angle": "low"}}',
    '{"high_level_description": "a red poster", "text": "SALE"}',
    '{"subjects": [{"description": "a fox", "pose": "running"}], "mood": "calm"}',
    '{"description": "a cat", "lighting": "soft",  "seed": 1}',
    '{"subject": "cat"} --ar 16:9',
]
RECORDS = {
    '{"prompt": "a cat"}': "a cat",
    '{"prompt": "a cat", "style": "photo"}': "a cat",
    '{"Prompt": "a cat", "style": "photo", "mood": "calm"}': "a cat",
    '{"text": "a cat", "id": 1}': "a cat",
    '{"caption": "a cat", "url": "x"}': "a cat",
    '{"description": "a cat"}': "a cat",
    '{"words": "a cat"}': "a cat",
}


def from_standard_input(monkeypatch: pytest.MonkeyPatch, text: str) -> list[Row | Fault]:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    return list(load_prompts(STDIN))


@pytest.mark.parametrize("text", JSON_PROMPTS)
def test_h_a_json_prompt_on_standard_input_is_no_record(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    found = from_standard_input(monkeypatch, f"a dog\n{text}\n")
    assert found == [Row(1, "a dog"), Row(2, text)]


@pytest.mark.parametrize("text", RECORDS)
def test_h_a_record_on_standard_input_stays_one(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    assert from_standard_input(monkeypatch, text) == [Row(1, RECORDS[text])]


def test_h_records_and_json_prompts_may_be_mixed(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ['{"prompt": "a dog"}', JSON_PROMPTS[0], '{"id": 1}', '{"prompt": "a fox"}']
    found = from_standard_input(monkeypatch, "\n".join(lines))
    assert [row.number for row in found if isinstance(row, Fault)] == [3]
    assert [row.value for row in found if isinstance(row, Row)] == [
        "a dog", JSON_PROMPTS[0], "a fox"]  # fmt: skip


@pytest.mark.parametrize("ending", [".txt", ".jsonl", ".json"])
def test_h_a_json_prompt_in_a_file_keeps_its_text(tmp_path: Path, ending: str) -> None:
    assert prompts(tmp_path / f"a{ending}", JSON_PROMPTS[0] + "\n") == ([JSON_PROMPTS[0]], [])


def test_h_a_json_prompt_may_be_a_whole_file_or_in_a_list(tmp_path: Path) -> None:
    written = json.dumps(json.loads(JSON_PROMPTS[0]), indent=2)
    assert prompts(tmp_path / "a.json", written + "\n") == ([written], [])
    assert prompts(tmp_path / "b.json", f"[{written}]") == ([JSON_PROMPTS[0]], [])


def test_h_a_named_column_makes_a_record(tmp_path: Path) -> None:
    assert prompts(tmp_path / "a.jsonl", JSON_PROMPTS[0], "subject") == (["cat"], [])


def test_h_what_could_be_either_is_said_once(tmp_path: Path) -> None:
    path, lines = tmp_path / "a.jsonl", '{"text": "a cat", "style": "photo"}\n' * 2
    found, said = prompts(path, lines)
    assert found == lines.splitlines()
    assert said == [f"{path} line 1: all of it is the prompt; --column takes a field"]
    assert prompts(path, lines, "text") == (["a cat", "a cat"], [])


def test_k_the_exact_name_of_a_column_comes_first(tmp_path: Path) -> None:
    path = tmp_path / "prompts.csv"
    path.write_text("Prompt,prompt\na cat,a dog\n", "utf-8")
    assert [row.value for row in load_prompts(path) if isinstance(row, Row)] == ["a dog"]
