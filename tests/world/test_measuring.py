"""The arithmetic of the benchmarks of the pocket world, by hand."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.world.answers import (
    STYLES,
    compared,
    kind_of,
    measure,
    prompts,
    words,
)
from benchmarks.world.drawn import interval, judged
from benchmarks.world.metrics import Arm, agreement, another, differences, pairings
from benchmarks.world.models import COMBINATIONS, measure_oracle, retrieval, truth
from benchmarks.world.render import render
from promptlift.world.bundle import MODELS
from promptlift.world.captions import PRAISE
from promptlift.world.oracle import Oracle
from promptlift.world.scenes import HELD_OUT, SHAPES, draw_scene
from promptlift.world.wanted import wanted_of


def test_equal_captions_are_one_when_retrieval_is_counted() -> None:
    captions = ["red star", "red star", "blue ring", "green bolt"]
    similarity = np.array(
        [
            # Of the pictures: the second "red star" wins for both rows of that caption.
            [0.5, 0.9, 0.1, 0.2],
            [0.5, 0.9, 0.1, 0.2],
            [0.1, 0.1, 0.3, 0.4],
            [0.0, 0.1, 0.5, 0.3],
        ]
    )
    found = retrieval(similarity, captions)
    assert found["pictures"] == 4 and found["distinct captions"] == 3
    # "red star" finds one of its two pictures; ring and bolt take each other's.
    assert found["caption to picture R@1"][0] == pytest.approx(1 / 3, abs=1e-4)
    assert found["picture to caption R@1"][0] == 0.5
    assert found["caption to picture R@5"][0] == found["picture to caption R@5"][0] == 1


def test_an_interval_leaves_out_what_was_not_asked_for() -> None:
    mean, low, high, count = interval(np.array([1.0, np.nan, 0.0, 1.0]), ["a", "a", "b", "c"])
    assert (round(mean, 3), count) == (0.667, 3) and low <= mean <= high


def test_every_colour_and_shape_is_asked_for_once() -> None:
    wants = [wanted_of(prompt) for prompt in COMBINATIONS]
    assert len({(want.colour, want.shape) for want in wants}) == len(wants) == 96


def test_plain_prompts_are_distinct_ask_for_things_and_say_no_more() -> None:
    found = prompts(60)
    assert len(set(found)) == 60 and found == prompts(80)[:60]
    for prompt in found:
        assert wanted_of(prompt).shape in SHAPES and wanted_of(prompt).style is None
        assert not any(words in prompt for words in PRAISE)


def test_added_phrases_are_counted_by_kind() -> None:
    assert [kind_of(p) for p in ("4k", "pixel art", "sea", "grainy", "with a hat")] == [
        "praise", "style", "surroundings", "blame", "other",
    ]  # fmt: skip
    assert kind_of(sorted(STYLES)[0]) == "style"
    row = words(["red star", "blue ring, sea"], ["red star, 4k, sea", "blue ring, sea"])
    assert (row["praise"], row["surroundings"], row["style"]) == (0.5, 0.5, 0.0)
    swapped = words(["red star above a blue ring"], ["blue ring above a red star, 4k"])
    assert (row["same things"], swapped["same things"]) == (1.0, 0.0)


def test_differences_are_to_the_original_of_the_same_noise() -> None:
    original = {name: np.array([0.0, 1.0, 0.5, 0.5]) for name in ("score", "shown", "clean")}
    changed = {name: values[:2] + 0.25 for name, values in original.items()}
    rows = compared(["a", "b"], {"original": original, "changed": changed})
    assert rows["original"]["score"][0] == 0.5 and "less the original" not in rows["original"]
    less = rows["changed"]["less the original"]["score"]
    assert less["difference"] == less["low"] == less["high"] == 0.25


def test_agreement_leaves_out_pairs_of_equal_pictures_and_pairs_without_a_value() -> None:
    gains = np.array([0.3, -0.3, 0.01, 0.2, -0.2])
    metric = np.array([1.0, -1.0, -1.0, -1.0, np.nan])
    found = agreement(range(5), metric, dict.fromkeys(("score", "shown", "clean"), gains))
    assert (found["pairs"], found["decided"]) == (4, 3)
    assert found["accuracy"][0] == pytest.approx(2 / 3, abs=1e-4)
    # Of six comparisons three tie in the metric; the others are concordant: 3 / sqrt(3 * 6).
    assert found["tau"][0] == pytest.approx(3 / 18**0.5, abs=1e-4)


def test_another_name_is_put_in_the_place_of_the_first() -> None:
    found = another("a red star above a blue ring", SHAPES, np.random.default_rng(0))
    assert found != "a red star above a blue ring" and found.endswith(" above a blue ring")
    assert found.split()[2] in SHAPES


def test_the_oracle_is_asked_for_what_is_true() -> None:
    for scene in (draw_scene(number) for number in range(40)):
        want = truth(scene)
        assert (want.shape, want.style) == (scene.things[0].shape, scene.style)
        assert (want.number is None) == (scene.relation is not None) == bool(want.other_shape)


ORACLE = pytest.mark.skipif(not (MODELS / "oracle").is_dir(), reason="no oracle yet")


@ORACLE
def test_the_oracle_finds_most_of_what_is_there_in_clean_renders() -> None:
    scenes = [draw_scene(HELD_OUT + 2_000_000 + number) for number in range(60)]
    pictures = np.stack([render(scene) for scene in scenes])
    found = measure_oracle(MODELS / "oracle", scenes, pictures)
    assert found["clean"]["shape"][0] > 0.9 and found["all"]["clean or not"][0] > 0.9
    assert found["clean"]["shape"][3] + sum(
        found[fault]["shape"][3] for fault in ("blurred", "noisy", "cropped", "badly lit")
    ) == len(scenes)


def test_pictures_are_judged_by_what_their_own_prompt_asks_for() -> None:
    pictures = np.stack([render(draw_scene(number)) for number in range(3)])
    found = judged(Oracle(), ["red star", "two rings, sea", "nothing known"], pictures)
    assert np.isnan(found["background"]).tolist() == [True, False, True]
    assert np.isnan(found["colour"]).tolist() == [False, True, True]
    assert found["shown"][2] == 1
    assert np.allclose(found["score"], found["shown"] * (1 + found["clean"]) / 2)


def test_a_change_of_clipscore_is_the_sum_of_its_parts() -> None:
    rng = np.random.default_rng(0)

    def arm() -> Arm:
        made = Arm.__new__(Arm)
        made.texts, made.features = (rng.random((8, 4), np.float32) for _ in range(2))
        made.measures = {}
        made.oracle = {name: rng.random(8) for name in ("score", "shown", "clean")}
        return made

    original, improved = arm(), arm()
    found = pairings(original, improved, list(range(4)) * 2)
    whole = found["improved with its prompt, less original with its"]["difference"]
    text = found["improved prompt less original, both with the original picture"]["difference"]
    picture = found["improved picture less original, both with the improved prompt"]["difference"]
    assert whole == pytest.approx(text + picture, abs=2e-4)
    gains = differences(original, improved)["clean"]
    assert np.allclose(gains, improved.oracle["clean"] - original.oracle["clean"])


@ORACLE
def test_kept_pictures_are_measured_and_plotted(tmp_path: Path) -> None:
    folder = tmp_path / "work" / "world"
    folder.mkdir(parents=True)
    sources = ["red star", "blue ring"]
    arms = {}
    for arm, seeds in (("original", 2), ("improved", 2), ("praise alone", 1)):
        files = [f"{arm}-{seed}.npy" for seed in range(seeds)]
        for seed, file in enumerate(files):
            shown = [render(draw_scene(2 * seed + number)) for number in range(2)]
            np.save(folder / file, np.stack(shown))
        arms[arm] = {"prompts": sources, "files": files}
    listed = {"settings": {}, "sources": sources, "arms": arms}
    (folder / "arms.json").write_text(json.dumps(listed))
    options = {"work": tmp_path / "work", "oracle": MODELS / "oracle", "output": tmp_path / "docs"}
    measure(type("Options", (), options))  # type: ignore[arg-type]
    found = json.loads((tmp_path / "docs" / "answers.json").read_text())["world"]["arms"]
    # The same pictures throughout: no difference, whatever the oracle says of them.
    assert found["improved"]["less the original"]["score"]["difference"] == 0
    assert found["praise alone"]["pictures"] == 2
    assert "<svg" in (tmp_path / "docs" / "answers.svg").read_text()
