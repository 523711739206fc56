"""Phrases of like prompts, which compete with those of the drafts."""

import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.writer.reranker import put_hashes
from promptlift.errors import ModelError
from promptlift.improving.decoding.drafts import NOTHING
from promptlift.improving.improver import Improver
from promptlift.improving.loading import bundled_model_path
from promptlift.improving.manifest import Manifest
from promptlift.improving.phrase_store import STORE_FILE, PhraseStore, content_words, lead
from tests.conftest import HEADS, LIKED, NEEDS_BUNDLED

WORDS = ["fox", "kite", "red", "snow", "vixen"]
# A vixen means nearly what a fox does; red counts for little.
VECTORS = np.array(
    [[127, 0, 0], [0, 127, 0], [40, 40, 40], [0, 0, 127], [120, 0, 20]], dtype=np.int8
)
SCALES = np.array([1, 1, 0.1, 1, 1], dtype=np.float32)
PROMPTS = [
    (["fox", "red", "snow"], ["bushy tail", "paw prints"]),
    (["fox"], ["pointed ears"]),
    (["kite", "red"], ["long tails", "bushy tail"]),
]
STORE = PhraseStore.of(WORDS, VECTORS, SCALES, PROMPTS)


def test_the_phrases_of_the_nearest_prompts_come_first() -> None:
    found = STORE.near("in the snow a red fox")
    assert list(found)[:3] == ["bushy tail", "paw prints", "pointed ears"]
    assert found["bushy tail"] == pytest.approx(1)
    assert list(STORE.near("a vixen")) == ["pointed ears", "bushy tail", "paw prints"]
    assert list(STORE.near("a vixen", least=0.0))[-1] == "long tails"
    assert list(STORE.near("a vixen", least=0.9)) == ["pointed ears"]
    assert list(STORE.near("two foxes", count=1)) == ["pointed ears"]
    assert STORE.near("a lighthouse") == STORE.near("") == {}
    assert lead(1) > lead(0.8) > 0 > lead(0.6)
    # What a prompt excludes is not looked up.
    assert content_words("a fox without a kite") == ["fox"]


@given(
    words=st.lists(st.sampled_from([*WORDS, "lighthouse", "the"]), max_size=8),
    seed=st.integers(0, 9),
)
def test_how_near_is_a_share_and_does_not_depend_on_the_order_of_words(
    words: list[str], seed: int
) -> None:
    found = STORE.near(" ".join(words))
    assert all(0.6 <= near < 1 + 1e-6 for near in found.values())
    mixed = np.random.default_rng(seed).permutation(words).tolist()
    assert list(STORE.near(" ".join(mixed)).items()) == list(found.items())


def test_prompts_that_name_a_part_of_another_tell_what_is_seen_of_it() -> None:
    prompts = [
        *PROMPTS,
        (["kite", "snow"], ["frozen string"]),
        (["snow"], ["footprints", "drifts"]),
    ]
    store = PhraseStore.of(WORDS, VECTORS, SCALES, prompts)
    prompt = "a kite over the snow and a vixen"
    assert store.near(prompt, least=0.9) == {}
    # Who names more of it comes first, then what speaks of one word, or of one near to it, and no
    # prompt says all before the others begin.
    parts = store.of_parts(prompt)
    assert list(parts) == [
        "frozen string", "footprints", "long tails", "pointed ears", "drifts", "bushy tail",
    ]  # fmt: skip
    assert parts["frozen string"] > parts["footprints"] > parts["pointed ears"] > 0
    assert list(store.of_parts("a kite without snow")) == ["long tails", "bushy tail"]
    assert store.of_parts("a lighthouse") == store.of_parts("") == {}
    # Of what is both near and of a part the better counts.
    assert lead(0.5, of_part=True) > lead(0.5) and lead(0.99, of_part=True) == lead(0.99)
    leads = store.leads("the snow", used=["Drifts"])
    assert leads["footprints"] == lead(1) and "drifts" not in leads
    assert leads["frozen string"] == lead(store.near("the snow")["frozen string"])


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert PhraseStore.read(tmp_path) is None
    STORE.write(tmp_path)
    found = PhraseStore.read(tmp_path)
    assert found is not None and found.near("a red vixen") == STORE.near("a red vixen")
    assert found.prompts == PROMPTS
    for faulty, fault in (
        (replace(STORE, words=WORDS[1:]), "not every word has a vector"),
        (replace(STORE, told=STORE.told[1:]), "not every prompt has phrases"),
        (replace(STORE, phrases=STORE.phrases[1:]), "phrases that are not there"),
        (replace(STORE, places=STORE.places + np.uint16(9)), "words that are not there"),
        (replace(STORE, counts=STORE.counts.astype(np.uint64)), "words are of another kind"),
        (replace(STORE, belonging=STORE.belonging.astype(float)), "phrases are of another kind"),
        (
            replace(STORE, counts=STORE.counts[:, None], told=STORE.told[:, None]),
            "not every prompt",
        ),
        (replace(STORE, scales=SCALES * np.nan), "a number is no number"),
    ):
        faulty.write(tmp_path)
        with pytest.raises(ModelError, match=fault):
            PhraseStore.read(tmp_path)
    STORE.write(tmp_path)
    whole = (tmp_path / STORE_FILE).read_bytes()
    bent = [whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :] for at in range(0, 400, 7)]
    for damaged in bent:
        (tmp_path / STORE_FILE).write_bytes(damaged)
        with suppress(ModelError):
            PhraseStore.read(tmp_path)
    for damaged in (b"", b"no archive", whole[: len(whole) // 2]):
        (tmp_path / STORE_FILE).write_bytes(damaged)
        with pytest.raises(ModelError, match="is no store of phrases"):
            PhraseStore.read(tmp_path)


@pytest.fixture(scope="module")
def looking_up(reranking: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Llama whose reranker likes nothing but what is looked up."""
    exported = shutil.copytree(reranking, tmp_path_factory.mktemp("looking") / "export")
    words = sorted({word for head in HEADS for word in content_words(head)})
    vectors = (127 * np.eye(len(words))).astype(np.int8)
    prompts = [(content_words(head), LIKED) for head in HEADS]
    scales = np.ones(len(words), dtype=np.float32)
    PhraseStore.of(words, vectors, scales, prompts).write(exported)
    put_hashes(exported, [STORE_FILE])
    return exported


OPTIONS: dict[str, Any] = {"seed": 3, "best_of": 2, "max_new_tokens": 32, "guards": False}


def test_what_scores_more_than_the_drafts_is_added(looking_up: Path) -> None:
    improver = Improver.load(looking_up, threads=1)
    options = {**OPTIONS, "coherent": False, "keep_intent": False}
    for head in HEADS:
        [found] = improver.improve(head, **options)
        assert found.additions and all(phrase in LIKED for phrase in found.additions)
        [alone] = improver.improve(head, **{**options, "best_of": 1})
        [like] = improver.improve(head, **options, reference="soft light, misty morning")
        for one in (alone, like):
            assert not any(phrase in LIKED for phrase in one.additions)
    [cheap] = improver.improve("a zebra", **options)
    assert cheap.prompt == "a zebra" and cheap.notes[-1] == f"left as it is: {NOTHING}"


def test_other_seeds_add_other_phrases_and_the_same_ones_the_same_in_any_batch(
    looking_up: Path,
) -> None:
    improver = Improver.load(looking_up, threads=1)
    together = [one.prompt for [one] in improver.improve(HEADS, batch_size=64, **OPTIONS)]
    assert together == [improver.improve(head, **OPTIONS)[0].prompt for head in HEADS]
    both = improver.improve(HEADS[0], n=8, **OPTIONS)
    assert len({one.prompt for one in both}) > 1
    # Among what scores alike, chance decides, and more so in variants after the first.
    seeds = {improver.improve(HEADS[0], **{**OPTIONS, "seed": seed})[0].prompt for seed in range(8)}
    assert len(seeds) > 1
    added = [phrase for one in improver.improve(HEADS[0], n=3, diversity=0.5, **OPTIONS)
             for phrase in one.additions if phrase in LIKED]  # fmt: skip
    assert added and len(added) == len(set(added))


def test_the_store_is_part_of_the_models_id(looking_up: Path, tmp_path: Path) -> None:
    folder = tmp_path / "export"
    shutil.copytree(looking_up, folder)
    (folder / STORE_FILE).unlink()
    with pytest.raises(ModelError, match=f"{STORE_FILE} is missing"):
        Improver.load(folder)
    manifest = Manifest.read(looking_up)
    others = {name: digest for name, digest in manifest.files.items() if name != STORE_FILE}
    replace(manifest, files=others).write(folder)
    without = Improver.load(folder)
    assert without.model_id != Improver.load(looking_up).model_id
    # A store that is not of the model's files is not used.
    STORE.write(folder)
    assert Improver.load(folder).model_id == without.model_id
    assert Improver.load(folder).model.store is None  # type: ignore[attr-defined]


@NEEDS_BUNDLED
def test_the_bundled_store_has_the_words_that_the_code_makes_of_prompts() -> None:
    store = PhraseStore.read(bundled_model_path())
    assert store is not None and len(store.prompts) > 20_000
    assert set(content_words("three cats and a lighthouse")) <= set(store.words)
    assert "long whiskers" in store.near("a cat")
