"""Receipts as text for other tools."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from PIL import Image

from promptlift.errors import InputError
from promptlift.illustrating.inputs import Entry, read_entries
from promptlift.improving.config import ControlConfig
from promptlift.improving.improver import Improver
from promptlift.improving.journal import COLUMNS
from promptlift.improving.receipts import (
    KEYWORD,
    a1111_text,
    parse_a1111_parameters,
    parse_receipt,
    read_receipts,
    receipt_text,
    replay,
)
from promptlift.png_text import write_png_text
from promptlift.records import Improvement
from promptlift.schema import OPTIONS
from promptlift.tables import write_rows


def test_a1111_reads_back_what_is_pasted(bundled: Improver) -> None:
    source = "a cat, (in armor:1.2)"
    [result] = bundled.improve(source, seed=3, negative="blurry, text")
    prompt, negative, settings = parse_a1111_parameters(a1111_text(result))
    assert (prompt, negative) == (result.prompt, "blurry, text")
    assert (settings["Seed"], settings["promptlift source"]) == ("3", source)


# Made before options were renamed, by the bundled model of today.
FILE = Path(__file__).parent / "receipts-2.jsonl"
OLD = read_receipts(FILE)


@pytest.mark.parametrize("receipt", OLD, ids=lambda receipt: f"{receipt.source}-{receipt.variant}")
def test_receipts_of_version_2_replay_under_the_new_names(
    bundled: Improver, receipt: Improvement
) -> None:
    result = replay(receipt, bundled)
    assert result.same, (result.again.prompt, receipt.prompt)
    assert {**result.again.settings, "versions": 0} == {**receipt.settings, "versions": 0}
    assert json.loads(receipt_text(receipt))["schema_version"] == 3


def test_the_old_receipts_try_every_renamed_option() -> None:
    defaults = asdict(ControlConfig())
    for name in OPTIONS.values():
        default = [*defaults[name]] if name == "include" else defaults[name]
        assert any(one.settings[name] != default for one in OLD), name


def test_rows_and_pictures_of_version_2_are_read_under_the_new_names(tmp_path: Path) -> None:
    lines = FILE.read_text("utf-8").splitlines()
    picture = tmp_path / "old.png"
    Image.new("RGB", (2, 2)).save(picture)
    write_png_text(picture, {KEYWORD: lines[0]})
    assert read_receipts(picture) == OLD[:1]
    rows = tmp_path / "old.csv"
    write_rows(rows, map(json.loads, lines), COLUMNS)
    found = [
        variant
        for entry in read_entries(rows)
        if isinstance(entry, Entry)
        for variant in entry.variants
    ]
    assert [one.settings for one in found] == [one.settings for one in OLD]


def test_a_version_of_a_receipt_that_nobody_knows_is_refused() -> None:
    for version in (1, 4, None, "2"):
        text = json.dumps({**json.loads(receipt_text(OLD[0])), "schema_version": version})
        with pytest.raises(InputError, match="a receipt of version"):
            parse_receipt(text, "here")
