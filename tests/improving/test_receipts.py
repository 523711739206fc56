"""Receipts as text for other tools."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from promptlift.errors import InputError
from promptlift.illustrating.inputs import Entry, read_entries
from promptlift.improving.config import ControlConfig
from promptlift.improving.improver import Improver
from promptlift.improving.journal import COLUMNS
from promptlift.improving.receipts import (
    KEYWORD,
    a1111_parameters,
    a1111_text,
    parse_a1111_parameters,
    parse_receipt,
    read_receipts,
    receipt_text,
    replay,
)
from promptlift.png_text import write_png_text
from promptlift.records import Improvement
from promptlift.schema import ADDED, OPTIONS
from promptlift.tables import write_rows


def test_a1111_reads_back_what_is_pasted(bundled: Improver) -> None:
    source = "a cat, (in armor:1.2)"
    [result] = bundled.improve(source, seed=3, negative="blurry, text")
    prompt, negative, settings = parse_a1111_parameters(a1111_text(result))
    assert (prompt, negative) == (result.prompt, "blurry, text")
    assert (settings["Seed"], settings["promptlift source"]) == ("3", source)


def record(prompt: str, negative: str | None = None) -> Improvement:
    return Improvement(
        source="a", prompt=prompt, additions=(), clip_tokens=4, seed=7, variant=0, mode="extend",
        model="m@0", negative=negative,
    )  # fmt: skip


# What A1111 would take for something else, and how its lines may be mixed.
PIECES = [
    "Negative prompt: ", "Negative prompt:", "Steps: 20, Sampler: Euler a, Seed: 5", "\n", "\n\n",
    "(aa:1.2), (bb:1.3), (cc:1.1)", 'promptlift prompt: "x", a: 1, b: 2', '"', "\\", ", ", ": ",
    "\r", "\t ", "猫", "\x1f", "\u2028", '{"subject": "cat"}', "a cat",
]  # fmt: skip
TEXTS = st.text() | st.lists(st.sampled_from(PIECES) | st.text(max_size=3)).map("".join)


@given(prompt=TEXTS, negative=st.none() | TEXTS, few=st.booleans())
@example("(aa:1.2), (bb:1.3), (cc:1.1)", None, False)
@example("a\nNegative prompt: b", "c\nNegative prompt: d\nA: 1, B: 2, C: 3", True)
def test_e_round_trip_of_any_prompt_and_negative(
    prompt: str, negative: str | None, few: bool
) -> None:
    def stripped(text: str) -> str:
        """The one thing that A1111's form does not carry: blanks around lines, and around all."""
        return "\n".join(line.strip() for line in text.strip().split("\n"))

    text = a1111_parameters(record(prompt, negative), {"Seed": 7, "Size": "8x8"} if few else None)
    read = parse_a1111_parameters(text)
    assert read[:2] == (stripped(prompt), stripped(negative or ""))
    assert len(read[2]) >= 3 and read[2]["Seed"] == "7"


@pytest.mark.parametrize(
    "prompt",
    [
        "(aa:1.2), (bb:1.3), (cc:1.1)", "aa:1.2, bb:1.3, cc:1.1", "[aa:bb:0.5], [c:0.1], [d:0.2]",
        "a cat, (aa: 1.2), (bb: 1.3), (cc: 1.1)", "<lora:a:1>, <lora:b:1>, <lora:c:1>",
        "masterpiece, style: oil, mood: dark, light: soft", "a photo\n(aa:1.2),(bb:1.3),(cc:1.1)",
    ],
)  # fmt: skip
def test_e_a_last_line_of_weights_is_no_line_of_settings(prompt: str) -> None:
    assert parse_a1111_parameters(prompt) == (prompt, "", {})
    assert parse_a1111_parameters(a1111_text(record(prompt)))[0] == prompt
    assert parse_a1111_parameters(f"cat\nNegative prompt: {prompt}") == ("cat", prompt, {})
    assert "promptlift prompt" not in a1111_text(record(prompt))


@pytest.mark.parametrize(
    "negative",
    ["blurry", "a: 1, b: 2, c: 3", "Steps: 1, Size: 2x2, Seed: 3", "(aa:1.2), (bb:1.3), (c:1)", ""],
)
def test_e_a_last_line_that_begins_the_negative_prompt_is_no_line_of_settings(
    negative: str,
) -> None:
    text = f"a cat\nNegative prompt: {negative}"
    assert parse_a1111_parameters(text) == ("a cat", negative, {})


@pytest.mark.parametrize(
    ("line", "settings"),
    [
        ("Steps: 20, Sampler: Euler a, Seed: 5", {"Sampler": "Euler a"}),
        ('Steps: 20, Lora hashes: "a: 1, b: 2", Seed: 5', {"Lora hashes": "a: 1, b: 2"}),
        ('Steps: 4, Seed: 5, Size: 8x8, Hashes: {"model": "ab", "vae": "cd"}', {"Size": "8x8"}),
        ("Steps: 4, Hires, Seed: 5, Version: v1.10, ", {"Seed": "5", "Version": "v1.10"}),
    ],
)
def test_e_lines_of_settings_are_still_read(line: str, settings: dict[str, str]) -> None:
    prompt, negative, found = parse_a1111_parameters(f"a cat\nNegative prompt: bad\n{line}")
    assert (prompt, negative) == ("a cat", "bad")
    assert found.items() >= settings.items()


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
    assert json.loads(receipt_text(receipt))["schema_version"] == 4


def test_a_receipt_without_an_option_that_came_later_reads_it_as_off(bundled: Improver) -> None:
    [made] = bundled.improve("a lighthouse", seed=1, coherent=False)
    record = json.loads(receipt_text(made))
    for name in ADDED:
        del record["settings"][name]
    older = parse_receipt(json.dumps({**record, "schema_version": 3}), "here")
    assert older.settings["coherent"] is False and older.settings.keys() == made.settings.keys()
    assert replay(older, bundled).same


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
    for version in (1, 5, None, "2"):
        text = json.dumps({**json.loads(receipt_text(OLD[0])), "schema_version": version})
        with pytest.raises(InputError, match="a receipt of version"):
            parse_receipt(text, "here")
