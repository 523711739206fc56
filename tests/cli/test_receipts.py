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
from promptlift.png_text import write_png_text
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
        ('{"schema_version": 4}', "lacks 'source'"),
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
    again = run("stamp", picture, "--receipt", single, "-o", single)
    assert again.exit_code == 2 and "exists. Pass --overwrite" in error_line(again)
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
        "tool": "A1111",
        "notes": [],
    }


def carrying(path: Path, **texts: str) -> Path:
    """A PNG with texts, or a JPEG or WebP whose user comment is `parameters`."""
    if path.suffix == ".png":
        Image.new("RGB", (8, 8)).save(path)
        write_png_text(path, texts)
    else:
        exif = Image.Exif()
        comment = texts.get("parameters", "").encode("utf-16-be")
        exif[0x8769] = {0x9286: b"UNICODE\0" + comment}
        Image.new("RGB", (8, 8)).save(path, exif=exif if comment else b"")
    return path


SWARMUI = json.dumps({"sui_image_params": {"prompt": "a cat", "negativeprompt": "blurry"}})
FOOOCUS = json.dumps({"prompt": "a cat", "negative_prompt": "blurry", "version": "Fooocus v2"})


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp"])
@pytest.mark.parametrize(
    ("text", "tool"),
    [
        (SWARMUI, "SwarmUI"),
        (FOOOCUS, "Fooocus"),
        ("a cat\nNegative prompt: blurry\nSteps: 20, Seed: 5, Size: 8x8", "A1111"),
        (json.dumps({"prompt": "a cat", "uc": "blurry", "app": "DreamBox"}), "DreamBox"),
    ],
)
def test_i_show_reads_what_each_tool_wrote(
    run: Run, tmp_path: Path, name: str, text: str, tool: str
) -> None:
    path = carrying(tmp_path / name, parameters=text)
    shown = run("show", path)
    assert shown.exit_code == 0, shown.stderr
    assert f"{tool:<9} a cat\nnegative  blurry\n" in shown.stdout
    found = json.loads(run("show", path, "--json").stdout)
    assert found["parameters"]["tool"] == tool and found["receipt"] is None


@pytest.mark.parametrize(
    ("name", "texts", "line"),
    [
        ("a.png", {"parameters": '{"steps": 20}'}, "is JSON of an unknown tool"),
        ("a.jpg", {"parameters": '{"steps": 20, "app": "DreamBox"}'}, "`UserComment` is JSON of D"),
        ("a.jpg", {"parameters": "Screenshot"}, "carries neither a receipt nor a prompt of A1111"),
        ("a.png", {"prompt": '{"3": {"class_type": "X", "inputs": {}}}'}, "ComfyUI's graph does"),
        ("a.png", {"workflow": '{"nodes": []}'}, "ComfyUI's workflow is there"),
        ("a.png", {"Software": "gimp"}, "carries neither a receipt nor a prompt of A1111"),
        ("a.jpg", {}, "carries neither a receipt nor a prompt of A1111"),
        ("a.webp", {}, "carries neither a receipt nor a prompt of A1111"),
    ],
)
def test_i_a_picture_without_a_prompt_gives_one_clear_line(
    run: Run, tmp_path: Path, name: str, texts: dict[str, str], line: str
) -> None:
    result = run("show", carrying(tmp_path / name, **texts))
    assert result.exit_code == 1 and result.stdout == ""
    assert line in error_line(result)


def test_i_show_says_what_a_graph_does_not(run: Run, tmp_path: Path) -> None:
    sampler = {"model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0], "seed": 5}
    graph = {
        "3": {"class_type": "KSampler", "inputs": sampler},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": ["8", 0]}},
        "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "blurry"}},
        "8": {"class_type": "Ollama", "inputs": {"prompt": "a cat"}},
    }
    shown = run("show", carrying(tmp_path / "a.png", prompt=json.dumps(graph))).stdout
    assert shown.startswith("ComfyUI   a cat\nnegative  blurry\n          seed: 5\n")
    assert "note      the text went through a node that may have changed it: Ollama" in shown


def test_parameters_are_written_as_they_are_read() -> None:
    record = Improvement(
        source="a", prompt="a cat, 4k", additions=("4k",), clip_tokens=4, seed=0, variant=0,
        mode="extend", model="m@0", negative="blurry",
    )  # fmt: skip
    settings = {"Steps": "20", "Sampler": "a, b", "Size": "8x8", "Model": 'the "best"'}
    text = a1111_parameters(record, settings)
    assert parse_a1111_parameters(text) == ("a cat, 4k", "blurry", settings)
