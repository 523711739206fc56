"""Exported decoder-only models against transformers, and their rows against each other."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from promptlift.errors import ConfigError, ModelError
from promptlift.export.export import export_model
from promptlift.improving.config import DecodingConfig
from promptlift.improving.decoding.loop import generate
from promptlift.improving.engines.onnx import onnx_engine
from promptlift.improving.engines.onnx_llama import ROOM, LlamaEngine
from promptlift.improving.improver import Improver
from promptlift.improving.loading import load_model
from promptlift.improving.manifest import MANIFEST_FILE, Manifest
from tests.conftest import CopyOf, make_llama

# Heads, heads of keys and values, their size, and whether the table of logits is its own.
SHAPES = [(4, 4, 16, True), (4, 2, 16, False), (6, 2, 16, True), (3, 1, 32, False)]
SOURCES = [list(range(5, 24)), [7, 8], [30 + i for i in range(11)], [300]]
STEPS = ROOM + 20  # the cache has to grow


@pytest.fixture(scope="module", params=SHAPES, ids=str)
def folders(
    request: pytest.FixtureRequest, own_words: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """A trained folder, and its export in float32."""
    heads, key_heads, head_dim, own_head = request.param
    trained = make_llama(
        tmp_path_factory.mktemp("models") / "llama",
        heads=heads,
        key_heads=key_heads,
        head_dim=head_dim,
        own_head=own_head,
    )
    exported = trained.with_name("exported")
    manifest = export_model(trained, exported, precision="fp32", calibration=own_words)
    assert manifest.check["max_abs_difference"] < 1e-3
    return trained, exported


@pytest.fixture(scope="module", params=["int8", "int4"])
def quantized(
    request: pytest.FixtureRequest,
    llama_folder: Path,
    own_words: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "llama"
    export_model(llama_folder, folder, precision=request.param, calibration=own_words)
    return folder


def padded(sources: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    input_ids = np.zeros((len(sources), 24), dtype=np.int64)
    mask = np.zeros_like(input_ids)
    for row, source in enumerate(sources):
        input_ids[row, : len(source)], mask[row, : len(source)] = source, 1
    return input_ids, mask


def expected(folder: Path, source: list[int], tokens: np.ndarray) -> np.ndarray:
    """Log-probabilities of transformers' own forward over one row, without padding or cache."""
    model = LlamaForCausalLM.from_pretrained(folder).eval()
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([[*source, *tokens.tolist()]])).logits
    found: np.ndarray = logits[0, len(source) :].log_softmax(-1).numpy()
    return found


def test_log_probabilities_equal_those_of_transformers_for_unequal_lengths(
    folders: tuple[Path, Path],
) -> None:
    trained, exported = folders
    engine = onnx_engine(exported, "llama", threads=1)
    tokens = np.random.default_rng(5).integers(2, engine.vocab_size, size=(len(SOURCES), STEPS))
    state = engine.start(*padded(SOURCES))
    logits = [state.step(tokens[:, step]) for step in range(STEPS)]
    for row, source in enumerate(SOURCES):
        found = torch.tensor(np.stack([item.all()[row] for item in logits])).log_softmax(-1)
        wanted = expected(trained, source, tokens[row])
        np.testing.assert_allclose(found.numpy(), wanted, atol=1e-3)
    for item in logits[:3]:
        every = item.all()
        np.testing.assert_array_equal(np.take_along_axis(every, item.ids, axis=1), item.values)
        assert (np.diff(item.values, axis=1) <= 0).all()


def test_rows_may_be_repeated_and_left_out(folders: tuple[Path, Path]) -> None:
    trained, exported = folders
    state = onnx_engine(exported, "llama", threads=1).start(*padded(SOURCES))
    state.step(np.array([0, 0, 0, 0]))
    state.keep(np.array([2, 0, 2]))
    state.step(np.array([4, 5, 6]))
    state.keep(np.array([2, 1]))
    found = torch.tensor(state.step(np.array([7, 8])).all()).log_softmax(-1).numpy()
    for row, (source, tokens) in enumerate([(2, [0, 6, 7]), (0, [0, 5, 8])]):
        wanted = expected(trained, SOURCES[source], np.array(tokens))[-1]
        np.testing.assert_allclose(found[row], wanted, atol=1e-3)


def test_greedy_output_equals_transformers_token_for_token(folders: tuple[Path, Path]) -> None:
    trained, exported = folders
    reference = LlamaForCausalLM.from_pretrained(trained).eval()
    config = DecodingConfig(do_sample=False, min_new_tokens=0, max_new_tokens=30)
    streams = [np.random.default_rng(0)] * len(SOURCES)
    engine = onnx_engine(exported, "llama", threads=1)
    results = generate(engine, *padded(SOURCES), config, streams, decoder_start=0, eos=1)
    for source, result in zip(SOURCES, results, strict=True):
        ids = torch.tensor([[*source, 0]])
        row = reference.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=30,
            pad_token_id=1,
        )[0, ids.shape[1] :].tolist()  # fmt: skip
        assert result.tokens == row[: row.index(1) if 1 in row else len(row)]


@pytest.mark.parametrize("threads", [1, 2])
def test_rows_do_not_depend_on_the_batch(quantized: Path, threads: int) -> None:
    engine = onnx_engine(quantized, "llama", threads=threads)
    generator = np.random.default_rng(1)
    input_ids = generator.integers(3, engine.vocab_size, size=(64, 16))
    mask = (np.arange(16) < generator.integers(1, 17, size=(64, 1))).astype(np.int64)
    tokens = generator.integers(3, engine.vocab_size, size=(64, 6))

    def logits(rows: np.ndarray) -> np.ndarray:
        state = engine.start(input_ids[rows], mask[rows])
        return np.stack([state.step(tokens[rows, step]).all() for step in range(6)], axis=1)

    order = generator.permutation(64)
    whole = np.empty((64, 6, engine.vocab_size), dtype=np.float32)
    whole[order] = logits(order)
    for size in (1, 2, 7, 16):
        for start in range(0, 64, size):
            rows = np.arange(start, min(start + size, 64))
            np.testing.assert_array_equal(logits(rows), whole[rows])


@pytest.mark.parametrize(("own_head", "smallest"), [(False, 0.05), (False, 2.0), (True, 0.05)])
def test_int8_is_close_to_transformers_however_its_table_is_stored(
    tmp_path: Path, own_words: Path, monkeypatch: pytest.MonkeyPatch, own_head: bool,
    smallest: float,
) -> None:  # fmt: skip
    monkeypatch.setattr("promptlift.export.llama.SMALLEST_GAIN", smallest)
    trained = make_llama(tmp_path / "llama", own_head=own_head)
    model = LlamaForCausalLM.from_pretrained(trained)
    model.model.norm.weight.data.clamp_(min=0.3)
    model.save_pretrained(trained)
    export_model(trained, tmp_path / "out", calibration=own_words)
    state = onnx_engine(tmp_path / "out", "llama", threads=1).start(*padded(SOURCES))
    found = torch.tensor(state.step(np.zeros(4, dtype=np.int64)).all()).log_softmax(-1).numpy()
    for row, source in enumerate(SOURCES):
        wanted = expected(trained, source, np.array([0]))[0]
        assert np.abs(found[row] - wanted).mean() < 0.1


def test_a_row_is_the_same_after_others_left_and_after_the_cache_grew(quantized: Path) -> None:
    engine = onnx_engine(quantized, "llama", threads=1)
    tokens = np.random.default_rng(2).integers(3, engine.vocab_size, size=(len(SOURCES), STEPS))
    alone = engine.start(*padded(SOURCES[1:2]))
    state, row = engine.start(*padded(SOURCES)), 1
    kept = np.arange(len(SOURCES))
    for step in range(STEPS):
        if step == 3:
            kept = np.array([2, 1])
            state.keep(kept)
        found = state.step(tokens[kept, step]).all()[row]
        np.testing.assert_array_equal(found, alone.step(tokens[1:2, step]).all()[0])


def test_the_improver_runs_it_and_the_manifest_names_its_family(quantized: Path) -> None:
    manifest = Manifest.read(quantized, verify=True)
    assert manifest.family == "llama"
    assert set(manifest.files) == {"decoder.onnx", "tokenizer.json"}
    assert isinstance(Improver.load(quantized).here.engine, LlamaEngine)
    improver = Improver.load(quantized, threads=1)
    prompts = ["a cat", "an old castle on a hill above the misty sea", "two dogs", "fruit"]
    together = [items[0].prompt for items in improver.improve_stream(prompts, seed=1)]
    assert together == [improver.improve(prompt, seed=1)[0].prompt for prompt in prompts]


def test_large_weights_lie_in_files_of_their_own(
    llama_folder: Path, own_words: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("promptlift.export.export.MAX_FILE_BYTES", 100_000)
    manifest = export_model(llama_folder, tmp_path / "out", calibration=own_words)
    weights = {"decoder.onnx.1", "decoder.onnx.2"}
    assert set(manifest.files) == {"decoder.onnx", "tokenizer.json", *weights}
    sizes = [(tmp_path / "out" / name).stat().st_size for name in weights]
    assert max(sizes) < 1.5 * min(sizes)
    (tmp_path / "out" / "decoder.onnx.2").unlink()
    with pytest.raises(ModelError, match=r"decoder\.onnx\.2 is missing"):
        load_model(tmp_path / "out")


def test_a_family_that_is_not_known_is_refused(quantized: Path, copy_of: CopyOf) -> None:
    folder = copy_of(quantized)
    values = json.loads((folder / MANIFEST_FILE).read_text())
    values["architecture"]["model_type"] = "mamba"
    (folder / MANIFEST_FILE).write_text(json.dumps(values))
    with pytest.raises(ModelError, match="holds a 'mamba' model, and this promptlift runs t5 and"):
        load_model(folder)


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"hidden_act": "gelu"}, "activation 'gelu'"),
        ({"attention_bias": True}, "biases in attention"),
        ({"mlp_bias": True, "attention_bias": True}, "attention and biases in the feed-forward"),
        ({"head_dim": 24}, "heads of size 24"),
        ({"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}}, "dynam"),
    ],
)
def test_parts_without_a_counterpart_are_refused(
    llama_folder: Path, copy_of: CopyOf, tmp_path: Path, changes: dict[str, Any], part: str
) -> None:
    folder = copy_of(llama_folder)
    config = LlamaConfig.from_pretrained(folder)
    for name, value in changes.items():
        setattr(config, name, value)
    LlamaForCausalLM(config).save_pretrained(folder)
    with pytest.raises(ModelError, match=part):
        export_model(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_text_beyond_the_last_position_is_one_line(quantized: Path) -> None:
    improver = Improver.load(quantized, threads=1)
    assert isinstance(improver.here.engine, LlamaEngine)
    most = improver.here.engine.positions
    with pytest.raises(ConfigError, match=f"more than the {most} tokens"):
        improver.improve("a cat", min_new_tokens=most, max_new_tokens=most)


def test_an_export_is_not_exported_again(quantized: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="is exported already"):
        export_model(quantized, tmp_path / "again")
