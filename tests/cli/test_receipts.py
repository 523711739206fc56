"""`promptlift replay`, `show` and `stamp`."""

import json
from pathlib import Path

import pytest
from PIL import Image

from promptlift.improving.receipts import (
    a1111_parameters,
    parse_a1111_parameters,
    receipt_text,
)
from promptlift.records import Improvement
from tests.cli.conftest import Run, error_line


@pytest.fixture
def receipts(improve: Run, tmp_path: Path) -> Path:
    options = ("-n", 2, "--seed", 3, "--diversity", 0.5, "--avoid", "mist", "--negative", "blurry")
    result = improve("a cat", "<lora:x:1> old castle --ar 1:1", "鸟", *options, "--json")
    path = tmp_path / "receipts.jsonl"
    path.write_text(result.stdout)
    return path


def test_replay_makes_every_result_again(run: Run, receipts: Path, exported: Path) -> None:
    result = run("replay", receipts, "--model", exported)
    assert result.exit_code == 0, result.stderr
    prompts = [json.loads(line)["prompt"] for line in receipts.read_text().splitlines()]
    assert result.stdout.splitlines() == [f"same: {prompt}" for prompt in prompts]


def test_replay_of_a_rewriting(run: Run, improve: Run, exported: Path, tmp_path: Path) -> None:
    path = tmp_path / "receipt.json"
    text = improve("a cat", "--mode", "rewrite", "--json").stdout
    path.write_text(json.dumps(json.loads(text), indent=2))
    result = run("replay", path, "--model", exported)
    assert (result.exit_code, result.stdout[:5]) == (0, "same:"), result.stderr


def test_replay_says_what_is_different(
    run: Run, receipts: Path, exported: Path, tmp_path: Path
) -> None:
    receipt = json.loads(receipts.read_text().splitlines()[0])
    receipt["prompt"] += ", fog"
    receipt["settings"]["versions"]["numpy"] = "1.0"
    path = tmp_path / "changed.json"
    path.write_text(json.dumps(receipt))
    result = run("replay", path, "--model", exported)
    assert result.exit_code == 1
    assert result.stdout.startswith("DIFFERENT: a cat")
    assert "recorded:  " in result.stdout
    assert "numpy was 1.0" in result.stderr
    found = json.loads(run("replay", path, "--model", exported, "--json").stdout)
    assert found["same"] is False


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("cat\n", "line 1 is no receipt"),
        ("[]", "is no receipt"),
        ('{"schema_version": 3}', "lacks 'source'"),
        ('{"schema_version": 9}', "version 9"),
    ],
)
def test_what_is_no_receipt_is_refused_in_one_line(
    run: Run, exported: Path, tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "receipt.json"
    path.write_text(text)
    result = run("replay", path, "--model", exported)
    assert result.exit_code == 1
    assert message in error_line(result)


def test_replay_names_the_model_that_is_needed(run: Run, receipts: Path) -> None:
    result = run("replay", receipts)
    assert result.exit_code == 1
    assert "the receipt is of talking@" in error_line(result)


def test_a_picture_carries_its_receipt(
    run: Run, receipts: Path, exported: Path, tmp_path: Path
) -> None:
    picture, single = tmp_path / "a.png", tmp_path / "single.json"
    Image.new("RGB", (8, 8)).save(picture)
    result = run("stamp", picture, "--receipt", receipts)
    assert "holds 6 receipts" in error_line(result)
    assert "neither" in error_line(run("show", picture))
    single.write_text(receipts.read_text().splitlines()[-1])
    assert run("stamp", picture, "--receipt", single).exit_code == 0
    with Image.open(picture) as image:
        image.load()
        lines = image.text["parameters"].split("\n")
    assert lines[:2] == ["鸟", "Negative prompt: blurry"]
    assert lines[2].startswith("Seed: 3, promptlift source: 鸟, promptlift model: talking@")
    shown = run("show", picture)
    assert shown.exit_code == 0, shown.stderr
    for line in ("prompt    鸟", "negative  blurry", "note      left alone: it looks like"):
        assert line in shown.stdout
    found = json.loads(run("show", picture, "--json").stdout)
    assert found["receipt"]["source"] == found["parameters"]["prompt"] == "鸟"
    assert run("replay", picture, "--model", exported).stdout == "same: 鸟\n"


@pytest.mark.parametrize(
    ("prompt", "negative"),
    [
        ("(aa:1.2), (bb:1.3), (cc:1.1)", None),
        ("(aa:1.2), (bb:1.3), (cc:1.1)", "x: 1, y: 2, z: 3"),
        ("a cat\nNegative prompt: with a hat", "blurry"),
        ("Steps: 20, Sampler: Euler a, Seed: 5", None),
        ('{"subject": "cat", "style": "photo"}', "a\n\nb"),
    ],
)
def test_e_what_stamp_writes_show_reads(
    run: Run, tmp_path: Path, prompt: str, negative: str | None
) -> None:
    picture, single = tmp_path / "a.png", tmp_path / "single.json"
    Image.new("RGB", (8, 8)).save(picture)
    record = Improvement(
        source=prompt, prompt=prompt, additions=(), clip_tokens=4, seed=0, variant=0,
        mode="extend", model="m@0", negative=negative,
    )  # fmt: skip
    single.write_text(receipt_text(record))
    assert run("stamp", picture, "--receipt", single).exit_code == 0
    found = json.loads(run("show", picture, "--json").stdout)["parameters"]
    assert (found["prompt"], found["negative"]) == (prompt, negative or "")
    assert found["settings"]["promptlift model"] == "m@0"


def test_parameters_that_a_tool_wrote_stay(run: Run, receipts: Path, tmp_path: Path) -> None:
    from PIL import PngImagePlugin

    picture, single, other = tmp_path / "a.png", tmp_path / "single.json", tmp_path / "b.png"
    text = "a cat\nNegative prompt: bad\nhands\nSteps: 20, Sampler: Euler a, CFG scale: 7"
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", text)
    Image.new("RGB", (8, 8)).save(picture, pnginfo=info)
    before = picture.read_bytes()
    single.write_text(receipts.read_text().splitlines()[0])
    assert run("stamp", picture, "--receipt", single, "-o", other).exit_code == 0
    assert picture.read_bytes() == before
    found = json.loads(run("show", other, "--json").stdout)
    assert found["parameters"] == {
        "prompt": "a cat",
        "negative": "bad\nhands",
        "settings": {"Steps": "20", "Sampler": "Euler a", "CFG scale": "7"},
    }


def test_parameters_are_written_as_they_are_read() -> None:
    record = Improvement(
        source="a", prompt="a cat, 4k", additions=("4k",), clip_tokens=4, seed=0, variant=0,
        mode="extend", model="m@0", negative="blurry",
    )  # fmt: skip
    settings = {"Steps": "20", "Sampler": "a, b", "Size": "8x8", "Model": 'the "best"'}
    text = a1111_parameters(record, settings)
    assert parse_a1111_parameters(text) == ("a cat, 4k", "blurry", settings)
