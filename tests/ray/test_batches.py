"""Batches of rows give what `Improver` gives, whatever they are cut into."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from promptlift import Improver
from promptlift.errors import ConfigError, InputError
from promptlift.ray import ImproveBatch
from promptlift.ray.batches import renamed

PROMPTS = ["a cat in armor", "a red fox", "two dogs on a beach", "a bowl of ramen"]


@pytest.fixture
def improve(exported: Path) -> ImproveBatch:
    return ImproveBatch(seed=7, model=exported)


def test_results_are_those_of_the_improver(exported: Path, improver: Improver) -> None:
    found = ImproveBatch(seed=7, model=exported, n=2)(pa.table({"prompt": PROMPTS})).to_pylist()
    expected = [one for several in improver.improve(PROMPTS, seed=7, n=2) for one in several]
    assert len(found) == len(expected) == 8
    for row, one in zip(found, expected, strict=True):
        own = {**row, **{name: json.loads(row[name]) for name in ("dropped", "checks", "settings")}}
        assert {name: own[name] for name in one.to_dict()} == one.to_dict()
        assert row["error"] is None


def test_a_result_does_not_depend_on_its_batch(improve: ImproveBatch) -> None:
    table = pa.table({"prompt": PROMPTS})
    alone = pa.concat_tables(improve(table.slice(place, 1)) for place in range(4))
    assert alone.equals(improve(table))
    backwards = improve(table.take([3, 2, 1, 0]))
    assert backwards.take([3, 2, 1, 0]).equals(alone)


@pytest.mark.parametrize("kind", ["arrow", "numpy", "pandas"])
def test_batches_of_every_kind(improve: ImproveBatch, kind: str) -> None:
    table = pa.table({"text": PROMPTS[:2], "place": [1, 2]})
    batch = {
        "arrow": table,
        "numpy": {name: table[name].to_numpy() for name in table.column_names},
        "pandas": table.to_pandas(),
    }[kind]
    found = improve(batch)
    assert found["source"].to_pylist() == PROMPTS[:2]
    assert found["place"].to_pylist() == [1, 2]


def test_columns_of_the_input_are_kept(improve: ImproveBatch) -> None:
    table = pa.table({"seed": [5], "prompt": ["a fox"], "input_seed": ["x"], "pixels": [b"\xff"]})
    found = improve(table).to_pylist()[0]
    assert found["input_input_seed"] == 5  # `input_seed` is a column of the input
    assert found["input_seed"] == "x"
    assert found["input_prompt"] == found["source"] == "a fox"
    assert found["seed"] == 7
    assert found["pixels"] == b"\xff"


def test_rows_without_a_prompt_say_why(improve: ImproveBatch) -> None:
    broken = pa.StringArray.from_buffers(  # "a fox", null, "", bytes that are no UTF-8
        4, pa.py_buffer(b"\0\0\0\0\5\0\0\0\5\0\0\0\5\0\0\0\6\0\0\0"), pa.py_buffer(b"a fox\xff"),
        pa.py_buffer(b"\x0d"),
    )  # fmt: skip
    found = improve(pa.table({"prompt": broken}))
    assert [bool(error) for error in found["error"].to_pylist()] == [False, True, True, True]
    assert found["error"].to_pylist()[3] == "not valid UTF-8"
    assert found["source"].to_pylist()[0] == "a fox"


def test_rows_have_ids(exported: Path, improve: ImproveBatch) -> None:
    table = pa.table({"prompt": ["a fox", "a cat", "a fox"], "place": [1, 2, 1]})
    first, second, third = improve(table)["id"].to_pylist()
    assert first == third != second
    assert len(first) == 32
    assert improve(table.append_column("id", [["a", "b", "c"]]))["id"].to_pylist() == list("abc")
    named = ImproveBatch(seed=7, model=exported, id_column="place")(table)
    assert "id" not in named.column_names
    with pytest.raises(InputError, match="there is no column 'key' for --id-column"):
        ImproveBatch(seed=7, model=exported, id_column="key")(table)
    with pytest.raises(ConfigError, match="results have a column of that name"):
        ImproveBatch(seed=7, model=exported, id_column="seed")(
            table.append_column("seed", [[1] * 3])
        )


def test_a_batch_without_prompts_is_refused(improve: ImproveBatch) -> None:
    with pytest.raises(InputError, match="no column 'prompt'"):
        improve(pa.table({"a": [1], "b": [2]}))


def test_all_columns_are_named_once() -> None:
    names = ["a", "input_a", "input_input_a"]
    found = renamed(names, {"a"})
    assert len({*found}) == 3
    assert found[1:] == names[1:]
