"""Both engines against transformers, for both kinds of head."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import T5ForConditionalGeneration

from promptlift.errors import ModelError
from promptlift.export.export import export_model
from promptlift.improving.config import DecodingConfig
from promptlift.improving.decoding.loop import generate
from promptlift.improving.engines.engine import Engine
from promptlift.improving.engines.onnx import onnx_engine
from promptlift.improving.engines.torch import load_torch
from promptlift.improving.likelihood import token_log_probabilities
from promptlift.improving.manifest import ModelCard

LENGTH = 150  # past the largest distance that position buckets tell apart


def batch(vocabulary: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(3)
    input_ids = generator.integers(3, vocabulary, size=(3, 140))
    mask = np.ones_like(input_ids)
    mask[1, 20:] = 0
    mask[2, 3:] = 0
    return np.where(mask == 1, input_ids, 0), mask


@pytest.fixture(scope="module", params=["onnx", "torch"])
def engine(
    request: pytest.FixtureRequest,
    either_t5: Path,
    own_words: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Engine:
    if request.param == "torch":
        return load_torch(str(either_t5)).engine
    folder = tmp_path_factory.mktemp("fp32") / "export"
    export_model(either_t5, folder, precision="fp32", calibration=own_words)
    return onnx_engine(folder, "t5", threads=1)


def test_logits_equal_those_of_transformers(engine: Engine, either_t5: Path) -> None:
    model = T5ForConditionalGeneration.from_pretrained(either_t5).eval()
    input_ids, mask = batch(engine.vocab_size)
    tokens = np.random.default_rng(5).integers(3, engine.vocab_size, size=(3, LENGTH))
    with torch.no_grad():
        expected = model(
            input_ids=torch.tensor(input_ids),
            attention_mask=torch.tensor(mask),
            decoder_input_ids=torch.tensor(tokens),
        ).logits.numpy()
    state = engine.start(input_ids, mask)
    for step in range(LENGTH):
        logits = state.step(tokens[:, step])
        every = logits.all()
        np.testing.assert_allclose(every, expected[:, step], atol=1e-4)
        np.testing.assert_array_equal(np.take_along_axis(every, logits.ids, axis=1), logits.values)
        assert (np.diff(logits.values, axis=1) <= 0).all()


@pytest.mark.parametrize("rules", [{}, {"repetition_penalty": 1.3, "no_repeat_ngram_size": 2}])
def test_greedy_output_equals_transformers_token_for_token(
    engine: Engine, either_t5: Path, rules: dict[str, float]
) -> None:
    model = T5ForConditionalGeneration.from_pretrained(either_t5).eval()
    input_ids, mask = batch(engine.vocab_size)
    expected = model.generate(
        input_ids=torch.tensor(input_ids),
        attention_mask=torch.tensor(mask),
        do_sample=False,
        min_new_tokens=5,
        max_new_tokens=40,
        **rules,
    ).tolist()
    config = DecodingConfig(do_sample=False, min_new_tokens=5, max_new_tokens=40, **rules)  # type: ignore[arg-type]
    streams = [np.random.default_rng(0)] * 3
    for result, row in zip(
        generate(engine, input_ids, mask, config, streams), expected, strict=True
    ):
        end = row.index(1) if 1 in row else len(row)
        assert result.tokens == row[1:end]
        assert result.ended == (1 in row)


def test_keeping_rows_is_as_if_the_others_were_never_there(engine: Engine) -> None:
    input_ids, mask = batch(engine.vocab_size)
    tokens = np.array([5, 6, 7])
    state, alone = (
        engine.start(input_ids, mask),
        engine.start(input_ids[[2, 0, 0]], mask[[2, 0, 0]]),
    )
    state.step(tokens)
    alone.step(tokens[[2, 0, 0]])
    state.keep(np.array([2, 0, 0]))
    np.testing.assert_allclose(
        state.step(np.array([8, 9, 9])).all(), alone.step(np.array([8, 9, 9])).all(), atol=1e-5
    )


def test_log_probabilities_equal_those_of_transformers(engine: Engine, either_t5: Path) -> None:
    reference = load_torch(str(either_t5)).engine
    input_ids, mask = batch(engine.vocab_size)
    targets = [[5, 9, 1], [4, 1], [7, 7, 7, 7, 1]]
    found = token_log_probabilities(engine, input_ids, mask, targets)
    for row, target in enumerate(targets):
        source = input_ids[row : row + 1, : mask[row].sum()]
        expected = list(reference.token_log_probabilities(source, target))
        expected += [0.0] * (found.shape[1] - len(target))
        assert list(found[row]) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("size", [1, 7, 64])
def test_int8_rows_do_not_depend_on_the_batch(exported: Path, size: int, threads: int) -> None:
    engine = onnx_engine(exported, "t5", threads=threads)
    generator = np.random.default_rng(1)
    input_ids = generator.integers(3, engine.vocab_size, size=(64, 16))
    mask = np.ones_like(input_ids)
    mask[::3, 9:] = 0
    tokens = generator.integers(3, engine.vocab_size, size=(64, 6))

    def logits(rows: np.ndarray) -> np.ndarray:
        state = engine.start(input_ids[rows], mask[rows])
        return np.stack([state.step(tokens[rows, step]).all() for step in range(6)], axis=1)

    whole = logits(np.arange(64))
    for start in range(0, 64, size):
        rows = np.arange(start, min(start + size, 64))
        np.testing.assert_array_equal(logits(rows), whole[rows])


def test_a_model_in_the_hub_cache_loads_offline(
    t5v11_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache, revision = tmp_path / "hub", "a" * 40
    kept = cache / "models--someone--tiny-t5"
    shutil.copytree(t5v11_folder, kept / "snapshots" / revision)
    (kept / "refs").mkdir()
    (kept / "refs" / "main").write_text(revision)
    # huggingface_hub reads HF_HOME and HF_HUB_OFFLINE once, when it is imported.
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    # A folder of the working directory that bears the name's last part is another model's.
    (tmp_path / "tiny-t5").mkdir()
    ModelCard(name="stranger", modes={"extend": "x: "}).write(tmp_path / "tiny-t5")
    monkeypatch.chdir(tmp_path)
    loaded = load_torch("someone/tiny-t5")
    assert loaded.card.name == "tiny-t5"
    assert list(loaded.card.modes) == ["rewrite"]
    with pytest.raises(ModelError, match="HF_HUB_OFFLINE keeps the Hub out of reach"):
        load_torch("someone/other-t5")
