"""A reranker: how well phrases belong to a prompt."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.writer.reranker import (
    FEWEST,
    Judged,
    Network,
    batches,
    figures,
    learn,
    put_hashes,
    put_into,
    read_letters,
    smaller_tokenizer,
    supposed,
)
from promptlift.errors import ModelError
from promptlift.improving.decoding import drafts
from promptlift.improving.improver import Improver
from promptlift.improving.loading import bundled_model_path
from promptlift.improving.manifest import Manifest
from promptlift.improving.phrase_store import PhraseStore
from promptlift.improving.reranker import (
    AT_ONCE,
    MAX_PHRASE_TOKENS,
    MAX_PROMPT_TOKENS,
    RERANKER_FILES,
    Packed,
    Reranker,
)
from tests.conftest import ENDS, HEADS, LIKED, NEEDS_BUNDLED, POCKET, make_bert

PHRASES = [*LIKED, *ENDS]
ONCE = make_bert()


@pytest.fixture(scope="module")
def network() -> tuple[Network, Any]:
    """One with random weights, and its tokenizer."""
    body, tokenizer = make_bert()
    torch.manual_seed(1)
    return Network(body).eval(), tokenizer


def scores_of(network: Network, rows: list[Packed]) -> np.ndarray:
    with torch.no_grad():
        likely = network(rows).softmax(-1).numpy()
    return np.asarray(likely[:, 2] - likely[:, 0])


def test_the_graph_computes_what_pytorch_does(
    network: tuple[Network, Any], reranking: Path, tmp_path: Path
) -> None:
    bert, tokenizer = network
    folder = shutil.copytree(reranking, tmp_path / "export")
    put_into(folder, bert, tokenizer)
    reranker = Reranker.read(folder, threads=1)
    found, expected = (
        np.concatenate([np.asarray(each(head)) for head in HEADS])
        for each in (
            lambda head: reranker.scores(head, PHRASES),
            lambda head: scores_of(bert, [Packed.of(tokenizer, head, PHRASES)]),
        )
    )
    assert np.abs(found).max() <= 1
    assert np.corrcoef(found, expected)[0, 1] > 0.95  # matrices have 4 bits
    assert np.abs(found - expected).mean() < 0.1


def test_a_phrase_sees_the_prompt_and_itself(network: tuple[Network, Any]) -> None:
    bert, tokenizer = network
    together = scores_of(bert, [Packed.of(tokenizer, HEADS[0], PHRASES)])
    alone = [scores_of(bert, [Packed.of(tokenizer, HEADS[0], [one])])[0] for one in PHRASES]
    assert together == pytest.approx(alone, abs=1e-5)
    # Rows of several lengths in a batch do not see each other, nor what fills them up.
    rows = [Packed.of(tokenizer, head, PHRASES[: 3 + place]) for place, head in enumerate(HEADS)]
    assert scores_of(bert, rows) == pytest.approx(
        np.concatenate([scores_of(bert, [row]) for row in rows]), abs=1e-5
    )


def test_what_was_learned_ranks(reranking: Path) -> None:
    reranker = Reranker.read(reranking, threads=1)
    rows = [Judged(head, PHRASES, "g" * len(LIKED) + "b" * len(ENDS)) for head in HEADS]
    assert figures(reranker, rows)["area_under_curve_good_bad"] > 0.95
    assert figures(reranker, rows)["good_of_best"] == 1


def test_many_phrases_are_read_in_parts(reranking: Path) -> None:
    reranker = Reranker.read(reranking, threads=1)
    many = PHRASES * 6
    assert len(many) > 2 * AT_ONCE
    assert reranker.scores("a cat", many) == pytest.approx(
        reranker.scores("a cat", PHRASES) * 6, abs=1e-3
    )
    assert reranker.scores("a cat", []) == []


@given(prompt=st.text(max_size=600), phrases=st.lists(st.text(max_size=80), min_size=1, max_size=5))
def test_any_text_fits(prompt: str, phrases: list[str]) -> None:
    _, tokenizer = ONCE
    packed = Packed.of(tokenizer, prompt, phrases)
    assert packed.places.max() <= MAX_PROMPT_TOKENS + MAX_PHRASE_TOKENS
    assert packed.inputs()["means"].sum(axis=1) == pytest.approx(1)
    assert len(packed.inputs()["means"]) == len(phrases)


def test_training_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.writer.reranker.SAVED_EVERY", 5)
    rows = [Judged(head, PHRASES, "gnb" * 4 + "g") for head in HEADS * 4]

    def learned(checkpoint: Path | None) -> np.ndarray:
        body, tokenizer = make_bert()
        torch.manual_seed(1)
        network = Network(body)
        learn(network, tokenizer, rows, checkpoint=checkpoint)
        return np.asarray(network.head.weight.detach())

    checkpoint = tmp_path / "state.pt"
    whole = learned(checkpoint)
    assert checkpoint.exists()
    np.testing.assert_array_equal(learned(checkpoint), whole)


def test_the_letters_are_those_of_known_prompts_and_of_ours() -> None:
    rows = read_letters({})
    assert rows and all(len(row.phrases) == len(row.letters) <= 16 for row in rows)
    assert {letter for row in rows for letter in row.letters} == set("gnb")


def test_what_is_supposed_of_a_store() -> None:
    words = [f"word{place}" for place in range(40)]
    prompts = [([word], [f"{word} phrase {letter}" for letter in "abcd"]) for word in words]
    vectors = (127 * np.eye(40)).astype(np.int8)
    store = PhraseStore.of(words, vectors, np.ones(40, dtype=np.float32), prompts)
    rows = supposed(store, ["word3", "word7", "zebra"])
    assert [row.prompt for row in rows] == ["word3", "word7"]
    for row in rows:
        found = dict(zip(row.phrases, row.letters, strict=True))
        assert all(
            (letter == "g") == phrase.startswith(row.prompt) for phrase, letter in found.items()
        )
        assert list(found.values()).count("g") == 4 and "b" in found.values()


def test_every_row_is_learned_once_an_epoch() -> None:
    lengths = np.random.default_rng(0).integers(9, 40, size=300)
    order = np.concatenate(batches(lengths, 3))
    assert sorted(order.tolist()) == sorted([*range(300)] * 3)


def test_a_smaller_vocabulary_cuts_known_words_alike_and_spells_others() -> None:
    _, tokenizer = make_bert()
    smaller, kept = smaller_tokenizer(tokenizer, HEADS * FEWEST)
    old, new = tokenizer.encode(HEADS[0]), smaller.encode(HEADS[0])
    assert new.tokens == old.tokens and [kept[id] for id in new.ids] == old.ids
    assert len(kept) < tokenizer.get_vocab_size()
    other = smaller.encode("zebra")
    assert "".join(piece.removeprefix("##") for piece in other.tokens[1:-1]) == "zebra"


def test_damaged_files_are_told(reranking: Path, tmp_path: Path) -> None:
    graph, tokenizer = RERANKER_FILES
    other = (reranking / "decoder.onnx").read_bytes()
    for place, (name, found) in enumerate(
        [(graph, b"no graph"), (graph, other), (tokenizer, b"no JSON"), (tokenizer, b"\xff\xfe{")]
    ):
        folder = shutil.copytree(reranking, tmp_path / str(place))
        (folder / name).write_bytes(found)
        with pytest.raises(ModelError, match="Export the model again"):
            Improver.load(folder)
    manifest = Manifest.read(reranking)
    one = {name: digest for name, digest in manifest.files.items() if name != tokenizer}
    replace(manifest, files=one).write(folder)
    with pytest.raises(ModelError, match="the manifest lists one alone"):
        Improver.load(folder)


def test_results_with_drafts_do_not_depend_on_the_batch(reranking: Path) -> None:
    improver = Improver.load(reranking, threads=1)
    options: dict[str, Any] = {"seed": 3, "best_of": 3, "max_new_tokens": 8, "guards": False}
    together = [one.prompt for [one] in improver.improve(HEADS, batch_size=4, **options)]
    assert together == [improver.improve(head, **options)[0].prompt for head in HEADS]


def test_a_t5_can_have_one_with_any_number_of_threads(
    reranking: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drafts, "LEAST_FIRST", -1.0)  # this one knows nothing, and likes nothing
    folder = shutil.copytree(POCKET, tmp_path / "t5")
    for name in RERANKER_FILES:
        shutil.copyfile(reranking / name, folder / name)
    put_hashes(folder, RERANKER_FILES)
    one, two = (Improver.load(folder, threads=threads) for threads in (1, 2))
    for head in HEADS:
        [several] = one.improve(head, seed=3, best_of=4)
        assert several.prompt == two.improve(head, seed=3, best_of=4)[0].prompt
        assert several.additions


def test_greedy_results_need_no_drafts(reranking: Path) -> None:
    improver = Improver.load(reranking, threads=1)
    options: dict[str, Any] = {"do_sample": False, "max_new_tokens": 8, "guards": False}
    one, four = (improver.improve("a cat", best_of=count, **options)[0] for count in (1, 4))
    assert one.prompt == four.prompt


@NEEDS_BUNDLED
def test_the_bundled_reranker_knows_what_belongs() -> None:
    reranker = Reranker.read(bundled_model_path(), threads=1)
    for prompt, good, bad in (
        ("a lighthouse", "waves breaking on rocks", "chrome exhaust pipes"),
        ("a cat", "long whiskers", "black helmet"),
        ("two people under an umbrella in the rain", "wet pavement", "hallway floor tiles"),
    ):
        first, second = reranker.scores(prompt, [good, bad])
        assert first > 0.2 > second
