"""Phrases that readers would not have are left out of the writer's targets."""

import random
from pathlib import Path

import numpy as np
import pytest

from benchmarks.writer.judged import (
    LABELS,
    WORTH,
    features,
    figures,
    kept_pairs,
    key_of,
    labelled,
    phrases_of,
    read_labels,
    ridge,
    scores_of,
    standardized,
)
from promptlift.records import Pair
from tests.conftest import make_llama

KEY = "8e6f9554889ef27e"  # of another hash no label would be found
PAIRS = [
    Pair(source="a lighthouse", target="rocky cliff, dark jacket, crashing waves", mode="extend"),
    Pair(source="a cat", target="a grey cat, on a wall, made of matte, soft fur", mode="rewrite"),
    Pair(source="a dog", target="A dog sits.", mode="extend", form="paragraph"),
]


def test_the_head_of_a_rewriting_and_paragraphs_are_no_additions() -> None:
    assert [(row, phrase) for row, _, phrase in phrases_of(PAIRS)] == [
        (0, "rocky cliff"), (0, "dark jacket"), (0, "crashing waves"),
        (1, "on a wall"), (1, "made of matte"), (1, "soft fur"),
    ]  # fmt: skip


def test_bad_phrases_go_and_a_target_of_one_goes_whole() -> None:
    # So many that no phrase is too common.
    others = [Pair(source="x", target=f"a{n}, b{n}", mode="extend") for n in range(400)]
    pairs = [*PAIRS, *others]
    phrases = [*phrases_of(pairs)]
    good = np.array([phrase not in ("dark jacket", "made of matte") for *_, phrase in phrases])
    kept = kept_pairs(pairs, phrases, good, random.Random(0))
    assert [pair.target for pair in kept[:3]] == [
        "rocky cliff, crashing waves", "a grey cat, on a wall, soft fur", "A dog sits.",
    ]  # fmt: skip
    alone = good & np.array([phrase != "soft fur" for *_, phrase in phrases])
    assert [pair.source for pair in kept_pairs(pairs, phrases, alone, random.Random(0))][:3] == [
        "a lighthouse", "a dog", "x",
    ]  # fmt: skip


def test_the_labels_are_letters_by_hash() -> None:
    labels = read_labels(LABELS)
    assert len(labels) > 3000 and set(labels.values()) == set(WORTH)
    assert key_of("a cat", "on a wall") == KEY
    items = [("a lighthouse", "rocky cliff"), ("a lighthouse", "dark jacket")]
    places, letters = labelled(items, {key_of(*items[1]): "b"})
    assert places.tolist() == [1] and letters.tolist() == ["b"]


@pytest.mark.parametrize("seed", range(5))
def test_what_can_be_told_apart_is(seed: int) -> None:
    generator = np.random.default_rng(seed)
    letters = generator.choice(["g", "b"], 2000)
    values = generator.normal(size=(2000, 9)).astype(np.float32)
    values[:, 2] += 4 * (letters == "g")
    values = standardized(values, np.arange(2000))
    found = figures(values, letters, share=0.4)
    assert found["area_under_curve_good_bad"] > 0.9 and found["good_of_kept"] > 0.95
    noise = figures(values[generator.permutation(2000)], letters, share=0.4)
    assert 0.4 < noise["area_under_curve_good_bad"] < 0.6
    worth = np.array([WORTH[letter] for letter in letters])
    scores = scores_of(values, ridge(values, worth))
    assert scores[letters == "g"].mean() > scores[letters == "b"].mean()


def test_features_do_not_depend_on_what_is_read_beside(tmp_path: Path) -> None:
    model = str(make_llama(tmp_path / "model"))
    items = [("a cat", "soft fur"), ("two dogs playing chess by the sea", "waves"), ("owl", "moon")]
    together = features(model, items)
    alone = np.concatenate([features(model, [item]) for item in items])
    assert np.isfinite(together).all()
    assert together == pytest.approx(alone, abs=0.05)  # bf16
