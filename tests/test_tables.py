"""Rows of every format, with their faults."""

import csv
import io
import itertools
import json
import sys
import tracemalloc
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from promptlift.errors import ConfigError, InputError, MissingExtraError
from promptlift.pairs.load import load_pairs, load_prompts, write_pairs
from promptlift.records import Pair
from promptlift.tables import Fault, Row, read_rows, write_rows
from promptlift.text_files import STDIN

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
    assert first == Row(2, {"a": "x\ny", "b": "1"})
    assert second == Fault(4, "not valid UTF-8")
    assert third == Fault(5, "1 fields where the header has 2")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.xlsx", "", "'.xlsx' is not known; these are: .jsonl"),
        ("a.json", "7", "must hold a list"),
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
    with pytest.raises(ConfigError, match="cannot be written"):
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


def rows_of(path: Path, content: bytes) -> list[Row | Fault]:
    return list(read_rows(write(path, content)))


def faults(rows: Iterable[Row | Fault]) -> list[int]:
    return [row.number for row in rows if isinstance(row, Fault)]


def test_text_is_a_prompt_a_line_and_blank_lines_count(tmp_path: Path) -> None:
    found = rows_of(tmp_path / "a.txt", b"\xef\xbb\xbfa cat\r\n\r\n caf\xc3\xa9 \n{a|b} cat")
    assert found == [Row(1, "a cat"), Row(3, " café "), Row(4, "{a|b} cat")]


def test_a_broken_line_of_text_does_not_stop_the_rest(tmp_path: Path) -> None:
    found = rows_of(tmp_path / "a.txt", b"one\nt\xffwo\nth\0ree\nfour\n")
    assert [row.number for row in found] == [1, 2, 3, 4]
    assert faults(found) == [2, 3]
    assert found[1] == Fault(2, "not valid UTF-8: byte 0xff at 1")


def test_jsonl_holds_objects_and_strings(tmp_path: Path) -> None:
    lines = ['{"prompt": "a cat"}', "", '"a dog"', "[1]", '{"prompt": "to', "[" * 100_000, "7"]
    found = rows_of(tmp_path / "a.jsonl", "\n".join(lines).encode())
    assert [row for row in found if isinstance(row, Row)] == [
        Row(1, {"prompt": "a cat"}),
        Row(3, "a dog"),
    ]
    assert faults(found) == [4, 5, 6, 7]


def test_json_is_a_list(tmp_path: Path) -> None:
    found = rows_of(tmp_path / "a.json", b'\xef\xbb\xbf["a cat", {"x": "a dog"}, 3]')
    assert found[:2] == [Row(1, "a cat"), Row(2, {"x": "a dog"})]
    assert faults(found) == [3]


@pytest.mark.parametrize("content", [b"7", b"[1", b"\xff", b"[" * 100_000, b'{"a": 1'])
def test_other_json_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(InputError, match=r"a\.json"):
        rows_of(tmp_path / "a.json", content)


@pytest.mark.parametrize(("ending", "delimiter"), [(".csv", ","), (".tsv", "\t")])
def test_delimited_rows_carry_the_line_they_begin_on(
    tmp_path: Path, ending: str, delimiter: str
) -> None:
    content = '\ufeffa,b\r\n"one, or\r\ntwo",2\r\n\r\nonly one\r\nx,y\r\n'.replace(",", delimiter)
    found = rows_of(tmp_path / f"a{ending}", content.encode())
    assert found == [
        Row(2, {"a": f"one{delimiter} or\r\ntwo", "b": "2"}),
        Fault(5, "1 fields where the header has 2"),
        Row(6, {"a": "x", "b": "y"}),
    ]


def test_broken_cells_are_faults(tmp_path: Path) -> None:
    found = rows_of(tmp_path / "a.csv", b"a\nb\xffd\nn\0l\nfine\n")
    assert faults(found) == [2, 3]
    assert found[2] == Row(4, {"a": "fine"})


def test_a_field_may_be_long_but_not_endless(tmp_path: Path) -> None:
    long = "x" * 200_000
    assert rows_of(tmp_path / "a.csv", f"a\n{long}\n".encode()) == [Row(2, {"a": long})]
    swallowed = b'a\n"never closed\n' + b"x" * (1 << 24) + b"\nfine\n"
    found = rows_of(tmp_path / "a.csv", swallowed)
    assert faults(found) == [2]


def test_a_quote_never_closed_is_told_with_the_lines_it_takes(tmp_path: Path) -> None:
    rows = "".join(f"a cat {number},a cat in oil {number}\n" for number in range(40))
    content = 'x,y\n"one\ntwo",b\na cat,"a cat, oil painting\n' + rows
    assert rows_of(tmp_path / "a.csv", content.encode()) == [
        Row(2, {"x": "one\ntwo", "y": "b"}),
        Fault(
            4,
            "not valid CSV: the quote opened on line 4 is never closed; "
            "41 lines are lost (4 to 44)",
        ),
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'x,y\n"one\r\ntwo","three\r\nfour', "line 3 is never closed; 3 lines are lost (2 to 4)"),
        (b'x,y\na,"', "line 2 is never closed; line 2 is lost"),
        (b'x,y\n"a" b,"c', "line 2 is never closed; line 2 is lost"),
    ],
)
def test_a_quote_is_named_by_the_line_it_opens_on(
    tmp_path: Path, content: bytes, message: str
) -> None:
    (fault,) = rows_of(tmp_path / "a.csv", content)
    assert isinstance(fault, Fault) and fault.number == 2 and fault.message.endswith(message)


def test_a_quote_closed_by_a_later_one_is_told_and_the_rest_goes_on(tmp_path: Path) -> None:
    found = rows_of(tmp_path / "a.csv", b'x,y\na,"b\nc,d\ne,"f"\ng,h\n"i" ,"j"k\n')
    assert found == [
        Fault(
            2,
            "not valid CSV: text follows the quote closed on line 4; 3 lines are lost (2 to 4)",
        ),
        Row(5, {"x": "g", "y": "h"}),
        Row(6, {"x": "i ", "y": "jk"}),
    ]


def test_a_long_cell_of_lines_names_the_lines_it_takes(tmp_path: Path) -> None:
    found = rows_of(tmp_path / "a.csv", b'a\n"never closed\n' + b"x" * (1 << 24) + b"\nfine\n")
    assert isinstance(found[0], Fault) and "2 lines are lost (2 to 3)" in found[0].message
    assert found[1:] == [Row(4, {"a": "fine"})]
    (single,) = rows_of(tmp_path / "a.csv", b"a\n" + b"x" * (1 << 24 | 1) + b"\n")
    assert isinstance(single, Fault) and "limit" in single.message


@pytest.mark.parametrize("content", [b'"a,b\nc,d\n', b"source,source,target\na,b,c\n"])
def test_headers_that_say_too_little_are_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(InputError, match=r"line 1 is never closed|more than one column 'source'"):
        rows_of(tmp_path / "a.csv", content)


def test_columns_without_a_name_may_be_many(tmp_path: Path) -> None:
    assert rows_of(tmp_path / "a.csv", b"a,,\n1,,\n") == [Row(2, {"a": "1", "": ""})]


def test_doubled_columns_of_parquet_are_refused(tmp_path: Path) -> None:
    table = pa.table([pa.array(["a"]), pa.array(["b"])], names=["x", "x"])
    pq.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(InputError, match="more than one column 'x'"):
        list(read_rows(tmp_path / "a.parquet"))


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe\n\0", b"a\0\n"])
def test_a_table_needs_a_header_in_utf8(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(InputError, match=r"a\.csv"):
        rows_of(tmp_path / "a.csv", content)


def test_parquet_rows_are_numbered_across_batches(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    prompts = [f"prompt {number}" for number in range(5000)]
    pq.write_table(pa.table({"prompt": prompts}), path)
    found = list(read_rows(path))
    assert found == [Row(number, {"prompt": text}) for number, text in enumerate(prompts, 1)]


def test_a_parquet_cell_that_is_no_text_is_a_fault(tmp_path: Path) -> None:
    offsets = pa.py_buffer(b"".join(n.to_bytes(4, "little") for n in (0, 1, 2, 3)))
    broken = pa.StringArray.from_buffers(3, offsets, pa.py_buffer(b"a\xffb"))
    pq.write_table(pa.table({"prompt": broken}), tmp_path / "a.parquet")
    assert list(read_rows(tmp_path / "a.parquet")) == [
        Row(1, {"prompt": "a"}),
        Fault(2, "not valid UTF-8"),
        Row(3, {"prompt": "b"}),
    ]


def test_parquet_names_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"promptlift\[parquet\]"):
        write_rows(tmp_path / "a.parquet", [], ["a"])
    with pytest.raises(MissingExtraError, match=r"promptlift\[parquet\]"):
        rows_of(tmp_path / "a.parquet", b"")


def test_standard_input_mixes_text_and_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = b'a cat\n {"prompt": "a dog"}\n{red|blue} cat\n{"prompt": \n{}\n'
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
    found = list(read_rows(STDIN))
    assert faults(found) == [4]
    assert [row.value for row in found if isinstance(row, Row)] == [
        "a cat",
        {"prompt": "a dog"},
        "{red|blue} cat",
        {},
    ]


def test_reading_holds_one_line_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'"a cat"\n' * 10 + b"\xff")
    assert len(list(itertools.islice(read_rows(path), 3))) == 3


ENDINGS = [".jsonl", ".csv", ".tsv", ".parquet"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_no_rows_make_a_file_without_rows(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a{ending}"
    write_rows(path, [], ["a", "b"])
    assert list(read_rows(path)) == []


def test_parquet_takes_types_from_all_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    first: list[dict[str, Any]] = [{"error": "broken", "phrases": []}] * 10_000
    last = {"count": 3, "phrases": ["mist"]}
    write_rows(path, [*first, last], ["count", "phrases", "error", "never"])
    schema = pq.read_schema(path)
    assert schema.names == ["count", "phrases", "error", "never"]
    assert schema.types == [pa.int64(), pa.list_(pa.string()), pa.string(), pa.string()]
    *_, final = read_rows(path)
    assert final == Row(10_001, {"count": 3, "phrases": ["mist"], "error": None, "never": None})


def test_nested_values_become_json_in_tables_of_text(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.csv", [{"a": ["é", "b"], "b": None, "c": 1}], ["a", "b", "c"])
    assert list(read_rows(tmp_path / "a.csv")) == [Row(2, {"a": '["é", "b"]', "b": "", "c": "1"})]


texts = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12
)


@pytest.mark.parametrize("ending", ENDINGS)
@given(rows=st.lists(st.fixed_dictionaries({"source": texts, "target": texts}), max_size=5))
@settings(max_examples=30, deadline=None)
def test_what_is_written_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, ending: str, rows: list[dict[str, str]]
) -> None:
    path = tmp_path_factory.getbasetemp() / f"round{ending}"
    write_rows(path, rows, ["source", "target"])
    assert [row.value for row in read_rows(path) if isinstance(row, Row)] == rows


@given(
    mark=st.sampled_from([b"", b"\xff\xfe", b"\xfe\xff", b"\xff\xfe\0\0", b"sep=;\n", b"a;b\n"]),
    content=st.binary(max_size=60),
    ending=st.sampled_from([".txt", ".jsonl", ".csv", ".json"]),
)
@settings(deadline=None)
def test_any_bytes_give_rows_or_a_clear_error(
    tmp_path_factory: pytest.TempPathFactory, mark: bytes, content: bytes, ending: str
) -> None:
    path = tmp_path_factory.getbasetemp() / f"any{ending}"
    try:
        found = rows_of(path, mark + content)
    except InputError as error:
        assert path.name in str(error)
        return
    numbers = [row.number for row in found]
    assert numbers == sorted(set(numbers))
    json.dumps([row.value for row in found if isinstance(row, Row)]).encode()


# Kind L of issue 20: encodings. UTF-16 with a byte-order mark is what Windows calls Unicode.
CONTENTS = {
    ".txt": "a café\r\n\r\na 😀 cat\r\n",
    ".jsonl": '"a café"\n{"prompt": "a 😀 cat"}\n',
    ".json": '["a café", {"prompt": "a 😀 cat"}]',
    ".csv": 'prompt,seed\na café,1\n"a 😀 cat",2\n',
    ".tsv": "prompt\tseed\na café\t1\na 😀 cat\t2\n",
}


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("ending", CONTENTS)
def test_l_utf_16_and_32_with_a_byte_order_mark_are_decoded(
    tmp_path: Path, ending: str, encoding: str
) -> None:
    content = CONTENTS[ending]
    plain = rows_of(tmp_path / f"plain{ending}", content.encode())
    assert len(plain) == 2 and not faults(plain)
    assert rows_of(tmp_path / f"a{ending}", ("\ufeff" + content).encode(encoding)) == plain


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-8"])
def test_l_standard_input_is_decoded(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    given = ('\ufeffa café\r\n{"prompt": "a cat"}\r\n').encode(encoding)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given)))
    assert list(read_rows(STDIN)) == [Row(1, "a café"), Row(2, {"prompt": "a cat"})]


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("ending", CONTENTS)
def test_l_utf_16_without_a_mark_is_refused_once(
    tmp_path: Path, ending: str, encoding: str
) -> None:
    with pytest.raises(InputError, match=rf"a\{ending} looks like UTF-16 .* Save it as UTF-8"):
        rows_of(tmp_path / f"a{ending}", CONTENTS[ending].encode(encoding))


def test_l_standard_input_without_a_mark_is_refused_once(monkeypatch: pytest.MonkeyPatch) -> None:
    given = io.BytesIO("a cat\na dog\n".encode("utf-16-le"))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(given))
    with pytest.raises(InputError, match="standard input looks like UTF-16"):
        list(read_rows(STDIN))


def test_l_broken_utf_16_is_a_fault_of_its_line(tmp_path: Path) -> None:
    broken = (
        "\ufeffa cat\na ".encode("utf-16-le") + b"\x00\xd8" + " dog\na fox\n".encode("utf-16-le")
    )
    assert rows_of(tmp_path / "a.txt", broken + b"x") == [
        Row(1, "a cat"),
        Fault(2, "not valid UTF-16"),
        Row(3, "a fox"),
        Fault(4, "not valid UTF-16"),
    ]


def test_l_utf_16_is_read_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with path.open("w", encoding="utf-16", newline="") as file:
        file.writelines(f"a cat number {number}\n" for number in range(200_000))
    tracemalloc.start()
    try:
        assert sum(isinstance(row, Row) for row in read_rows(path)) == 200_000
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


# Kind K of issue 20: files as spreadsheets and old editors leave them.
@pytest.mark.parametrize("ending", [".txt", ".jsonl", ".csv", ".json"])
def test_k_lines_may_end_with_cr_alone(tmp_path: Path, ending: str) -> None:
    content = {
        ".txt": "a cat\ra dog\r",
        ".jsonl": '"a cat"\r"a dog"\r',
        ".csv": "prompt\ra cat\ra dog\r",
        ".json": '"a cat"\r"a dog"\r',
    }[ending]
    found = rows_of(tmp_path / f"a{ending}", content.encode())
    texts = [row.value if isinstance(row.value, str) else row.value["prompt"]
             for row in found if isinstance(row, Row)]  # fmt: skip
    assert texts == ["a cat", "a dog"] and not faults(found)
    first = 2 if ending == ".csv" else 1
    assert [row.number for row in found] == [first, first + 1]


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        ("prompt;seed\na cat;1\n", [{"prompt": "a cat", "seed": "1"}]),
        ("prompt;seed\na cat, in oil;1\na dog;2\n",
         [{"prompt": "a cat, in oil", "seed": "1"}, {"prompt": "a dog", "seed": "2"}]),
        ("prompt|seed\na cat|1\n", [{"prompt": "a cat", "seed": "1"}]),
        ("prompt\tseed\na cat, 4k\t1\n", [{"prompt": "a cat, 4k", "seed": "1"}]),
        ('id;"the; prompt"\n1;"a; cat"\n', [{"id": "1", "the; prompt": "a; cat"}]),
        ("id;a, b\n1;a cat, in oil, 4k\n", [{"id": "1", "a, b": "a cat, in oil, 4k"}]),
        ("sep=;\nprompt;seed\na cat;1\n", [{"prompt": "a cat", "seed": "1"}]),
        ("prompt,seed\na cat; a dog | x,1\n", [{"prompt": "a cat; a dog | x", "seed": "1"}]),
        ("prompt\na cat; a dog\na fox; an owl\n",
         [{"prompt": "a cat; a dog"}, {"prompt": "a fox; an owl"}]),
    ],
)  # fmt: skip
def test_k_csv_the_delimiter_is_found(
    tmp_path: Path, content: str, rows: list[dict[str, str]]
) -> None:
    found = rows_of(tmp_path / "a.csv", content.encode())
    assert [row.value for row in found if isinstance(row, Row)] == rows
    assert not faults(found)
    assert found[-1].number == content.count("\n")


@given(
    rows=st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=60),
    delimiter=st.sampled_from(",;\t|"),
)
@settings(max_examples=60, deadline=None)
def test_k_csv_any_table_is_read_whatever_separates_its_columns(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], delimiter: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "separated.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows([("prompt", "seed"), *rows])
    found = list(read_rows(path))
    assert [row.value for row in found if isinstance(row, Row)] == [
        {"prompt": prompt, "seed": seed} for prompt, seed in rows
    ]


def test_k_csv_lines_are_counted_from_the_first_of_the_file(tmp_path: Path) -> None:
    found = rows_of(tmp_path / "a.csv", b'sep=;\nprompt;seed\na cat;1\n"a dog;2\na fox;3\n')
    assert found == [
        Row(3, {"prompt": "a cat", "seed": "1"}),
        Fault(
            4,
            "not valid CSV: the quote opened on line 4 is never closed; 2 lines are lost (4 to 5)",
        ),
    ]


def test_k_csv_one_faulty_row_changes_no_delimiter(tmp_path: Path) -> None:
    content = "prompt;seed\na cat;1\na dog\na fox;3\n"
    assert rows_of(tmp_path / "a.csv", content.encode()) == [
        Row(2, {"prompt": "a cat", "seed": "1"}),
        Fault(3, "1 fields where the header has 2"),
        Row(4, {"prompt": "a fox", "seed": "3"}),
    ]


@pytest.mark.parametrize("sign", [";", "|", "\t"])
def test_k_csv_a_delimiter_of_the_header_alone_is_refused(tmp_path: Path, sign: str) -> None:
    content = f"prompt{sign}seed\na cat, 1\na dog, 2\n"
    with pytest.raises(
        InputError, match=r"a\.csv: .* first line into 2 columns.* Save it with ','"
    ):
        rows_of(tmp_path / "a.csv", content.encode())


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        ('{"prompt": "a cat"}\n{"prompt": "a dog"}\n', [1, 2]),
        ('\n{"prompt": "a cat"}\n\n{"prompt": "a dog"}', [2, 4]),
        ('"a cat"\n"a dog"', [1, 2]),
        ('{"prompt": "a cat"}', [1]),
        ('{\n  "prompt": "a cat"\n}\n', [1]),
    ],
)
def test_k_json_holds_objects_a_line_or_one(tmp_path: Path, content: str, rows: list[int]) -> None:
    found = rows_of(tmp_path / "a.json", content.encode())
    assert [row.number for row in found] == rows and not faults(found)


def test_k_json_lines_in_json_are_read_one_at_a_time(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", b'{"prompt": "a cat"}\n' * 10 + b"\xff\n[1]\n")
    found = list(read_rows(path))
    assert len(found) == 12 and faults(found) == [11, 12]
