"""`promptlift steer`, as it is typed."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from promptlift.pictures import read_index
from promptlift.png_text import read_png_text
from tests.cli.conftest import Run
from tests.illustrating.models import DIFFUSERS_WARNS

pytestmark = DIFFUSERS_WARNS
FAST = ("--num-inference-steps", "2", "--threads", "1")


def sides(folder: Path) -> list[tuple[str, int]]:
    return [(one.side, one.variant) for one in read_index(folder / "pictures")]


def pixels(folder: Path, name: str) -> np.ndarray:
    with Image.open(folder / "pictures" / name) as picture:
        return np.asarray(picture)


def test_the_way_between_two_prompts(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "way"
    given = ("steer", "blend", "red star", "red star, 8k", "--steps", "3", *FAST, "-o", folder)
    result = run(*given)
    assert result.exit_code == 0, result.stderr
    assert sides(folder) == [("original", 0), *(("improved", place) for place in range(3))]
    first, second = (
        pixels(folder, f"000000-s0-{side}.png") for side in ("original", "improved-v0")
    )
    np.testing.assert_array_equal(first, second)
    for place, said in enumerate(("instead of these words", "50% of the way to these words")):
        file = folder / "pictures" / f"000000-s0-improved-v{place}.png"
        assert f"Drawn from: an embedding {said}" in read_png_text(file)["parameters"]
    times = (folder / "pictures" / "times.jsonl").read_text()
    assert run(*given).exit_code == 0
    assert (folder / "pictures" / "times.jsonl").read_text() == times  # nothing was drawn again
    other = run("steer", "blend", "red star", "blue star", "--steps", "3", *FAST, "-o", folder)
    assert other.exit_code == 2
    assert "begun with other settings" in other.stderr


def test_what_was_optimised_is_judged_on_other_seeds(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "sharp"
    given = (
        "steer", "optimise", "red star", "--metric", "sharpness", "--iterations", "2",
        "--improved", "red star, crisp", "--unseen", "2", *FAST, "-o", folder,
    )  # fmt: skip
    result = run(*given)
    assert result.exit_code == 0, result.stderr
    assert "sharpness on 2 seeds" in result.stderr
    assert "improved prompt" in result.stderr and "optimised, " in result.stderr
    assert "better than the improved prompt on" in result.stderr
    assert {one.seed for one in read_index(folder / "pictures")} == {1000, 1001}

    other = run(*given, "--seed", "5")  # another embedding would come of it
    assert other.exit_code == 2 and "seed was 0, now 5" in other.stderr

    drawn = tmp_path / "drawn"
    file = folder / "embeddings" / "01.safetensors"
    again = run("illustrate", "--embedding", file, "--seed", "1000", *FAST, "-o", drawn)
    assert again.exit_code == 0, again.stderr
    np.testing.assert_array_equal(
        pixels(drawn, "000000-s1000-improved-v0.png"),
        pixels(folder, "000000-s1000-improved-v1.png"),
    )


def test_nothing_optimised_does_not_hold(run: Run, tmp_path: Path) -> None:
    result = run(
        "steer", "optimise", "red star", "--metric", "sharpness", "--iterations", "0",
        "--improved", "red star, night sky", "--unseen", "2", *FAST, "-o", tmp_path / "run",
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert "it does not hold: better than the improved prompt on 0 of 2" in result.stderr


def test_negative_prompts_are_kept(run: Run, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), "red").save(tmp_path / "star.png")
    Image.new("L", (64, 64), 255).save(tmp_path / "mask.png")
    given = ("steer", "redraw", tmp_path / "star.png", tmp_path / "mask.png", "blue ring", *FAST)
    found = []
    for name, more in (("a", ()), ("b", ("--negative", "blue, sea"))):
        assert run(*given, *more, "-o", tmp_path / f"{name}.png").exit_code == 0
        with Image.open(tmp_path / f"{name}.png") as picture:
            found.append(np.asarray(picture).astype(int))
    assert np.abs(found[0] - found[1]).max() > 4


def test_the_least_strength_redraws_something(run: Run, tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), "red").save(tmp_path / "star.png")
    Image.new("L", (64, 64), 255).save(tmp_path / "mask.png")
    found = []
    for words in ("blue ring", "green square"):
        result = run("steer", "redraw", tmp_path / "star.png", tmp_path / "mask.png", words,
                     "--strength", "0.1", "--overwrite", *FAST)  # fmt: skip
        assert result.exit_code == 0, result.stderr
        with Image.open(tmp_path / "star-redrawn.png") as picture:
            found.append(np.asarray(picture))
    assert (found[0] != found[1]).any()


def test_improvements_of_another_run_are_neither_drawn_nor_lost(run: Run, tmp_path: Path) -> None:
    folder, other = tmp_path / "mine", tmp_path / "way"
    folder.mkdir()
    prompts = folder.parent / "p.jsonl"
    prompts.write_text('{"source": "red star", "prompt": "red star, 8k"}\n')
    assert run("illustrate", "--prompts", prompts, *FAST, "-o", folder).exit_code == 0
    kept = (folder / "improvements.jsonl").read_bytes()
    way = ("steer", "blend", "red star", "blue star", "--steps", "2", *FAST)
    assert run(*way, "-o", other).exit_code == 0
    file = other / "embeddings" / "00.safetensors"
    for given in (way, ("illustrate", "--embedding", file, *FAST)):
        refused = run(*given, "-o", folder)
        assert refused.exit_code == 2
        assert "holds other improvements" in refused.stderr
    assert (folder / "improvements.jsonl").read_bytes() == kept


def test_one_picture_from_any_seed_and_its_words(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "same"
    result = run(
        "steer", "same", "red star", "--iterations", "1", "--depth", "1", "--unseen", "2",
        *FAST, "-o", folder,
    )  # fmt: skip
    assert result.exit_code == 0, result.stderr
    assert "likeness of pictures of different seeds" in result.stderr
    file = folder / "embeddings" / "00.safetensors"
    words = run("steer", "words", file, "-n", "2", "--top", "2", *FAST)
    assert words.exit_code == 0, words.stderr
    first, second = (line.split("\t") for line in words.stdout.splitlines())
    assert float(first[0]) <= float(second[0])
    assert first[1].startswith("red star")


def test_a_part_is_drawn_anew(run: Run, tmp_path: Path) -> None:
    for name, picture in (("star.png", Image.new("RGB", (64, 64), "red")),
                          ("mask.png", Image.new("L", (64, 64), 255))):  # fmt: skip
        picture.save(tmp_path / name)
    given = ("steer", "redraw", tmp_path / "star.png", tmp_path / "mask.png", "blue ring", *FAST)
    result = run(*given)
    assert result.exit_code == 0, result.stderr
    with Image.open(tmp_path / "star-redrawn.png") as redrawn:
        assert redrawn.size == (64, 64)
    assert run(*given).exit_code == 2  # it is there
    assert run(*given, "--overwrite").exit_code == 0


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("blend", "a", "b", "--steps", "1"), "steps is 1 and must be 2 or more"),
        (("optimise", "a", "--metric", "entropy"), "entropy counts grey levels"),
        (("optimise", "a", "--metric", "wants"), "wants has no gradient"),
        (("optimise", "a", "--through", "99"), "through is 99"),
        (("same", "a", "--unseen", "1"), "unseen is 1 and must be 2 or more"),
        (("blend", "a", "b", "--offload", "model", "--backend", "comfyui"), "No such option"),
    ],
)
def test_what_cannot_be_done_is_one_line(
    run: Run, tmp_path: Path, given: tuple[str, ...], said: str
) -> None:
    result = run("steer", *given, *FAST, "-o", tmp_path / "run")
    assert result.exit_code == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("given", "status", "said"),
    [
        ((), 2, "give a prompt, or --embedding FILE"),
        (("a star", "--embedding", "x.safetensors"), 2, "give a prompt, or --embedding FILE"),
        ((" ",), 1, "the prompt"),
        (("a star", "--styles", "none.txt"), 1, "does not exist"),
        (("a star", "--host", "203.0.113.1"), 2, "cannot listen on 203.0.113.1"),
    ],
)
def test_what_cannot_be_picked_from_is_one_line(
    run: Run, tmp_path: Path, given: tuple[str, ...], status: int, said: str
) -> None:
    result = run("steer", "pick", *given, "--no-open", *FAST, "-o", tmp_path / "run")
    assert result.exit_code == status
    assert said in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "given",
    [
        ("blend", "a star", ""),
        ("optimise", "a star", "--metric", "sharpness", "--improved", " "),
        ("same", "a star", "--towards", ""),
    ],
)
def test_an_empty_second_prompt_is_refused_at_once(
    run: Run, tmp_path: Path, given: tuple[str, ...]
) -> None:
    result = run("steer", *given, *FAST, "-o", tmp_path / "run")
    assert result.exit_code == 1
    assert "the prompt is empty" in result.stderr
    assert not (tmp_path / "run").exists()


def test_another_run_is_no_session(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "way"
    way = ("steer", "blend", "red star", "blue star", "--steps", "2", *FAST, "-o", folder)
    assert run(*way).exit_code == 0
    refused = run("steer", "pick", "red star", "--no-open", *FAST, "-o", folder)
    assert refused.exit_code == 2 and "holds another run" in refused.stderr


def test_files_that_are_none_are_one_line(run: Run, tmp_path: Path) -> None:
    words = run("steer", "words", tmp_path / "none.safetensors")
    assert words.exit_code == 1 and "does not exist" in words.stderr
    (tmp_path / "mask.png").write_text("no picture")
    loose = {"source": "a", "prompt": "b", "settings": {"embedding": {"sha256": "0"}}}
    (tmp_path / "loose.jsonl").write_text(json.dumps(loose))
    drawn = run("illustrate", "--prompts", tmp_path / "loose.jsonl", *FAST, "-o", tmp_path / "run")
    assert drawn.exit_code == 1 and "an embedding that is in no file" in drawn.stderr
    redraw = run("steer", "redraw", tmp_path / "mask.png", tmp_path / "mask.png", "a star")
    assert redraw.exit_code == 1 and "no picture that can be read" in redraw.stderr


@pytest.mark.parametrize(
    "given",
    [
        ("steer", "blend", "a", "b", "-o", "x"),
        ("steer", "words", "x.safetensors"),
        ("steer", "redraw", "x.png", "y.png", "a star"),
        ("steer", "pick", "a star", "-o", "x"),
        ("illustrate", "--embedding", "x.safetensors", "-o", "x"),
    ],
)
def test_the_base_install_says_what_is_missing(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("torch", "diffusers", "safetensors"):
        monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr("promptlift.cli.steer_setup.find_spec", lambda name: None)
    result = run(*given)
    assert result.exit_code == 1
    assert "pip install 'promptlift[illustrate]'" in result.stderr
    assert not list(tmp_path.iterdir())
