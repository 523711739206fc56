"""The export agrees with PyTorch or does not happen."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertModel, T5ForConditionalGeneration

from promptlift.errors import ConfigError, InputError, ModelError
from promptlift.export import builder, quantize, t5
from promptlift.export.export import export_model
from promptlift.files import sha256_of_file
from promptlift.improving.improver import Improver
from promptlift.improving.manifest import Manifest, ModelCard
from tests.conftest import CopyOf


def test_fp32_agrees_with_pytorch_for_both_heads(
    either_t5: Path, t5_folder: Path, own_words: Path, tmp_path: Path
) -> None:
    # The packaged pairs are long; one of both is compared on them.
    packaged = either_t5 == t5_folder
    calibration = None if packaged else own_words
    manifest = export_model(either_t5, tmp_path / "out", precision="fp32", calibration=calibration)
    assert manifest.check["max_abs_difference"] < 1e-3
    assert manifest.check["pairs"] == (32 if packaged else 25)
    assert Manifest.read(tmp_path / "out", verify=True) == manifest
    for name, digest in manifest.files.items():
        assert sha256_of_file(tmp_path / "out" / name) == digest


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_a_wrong_head_scale_is_refused_and_leaves_nothing(
    either_t5: Path,
    own_words: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    precision: str,
) -> None:
    build = t5.decoder_graph

    def wrong(shape: t5.T5Shape, *rest: Any, **options: Any) -> Any:
        flipped = not shape.scale_decoder_outputs
        return build(replace(shape, scale_decoder_outputs=flipped), *rest, **options)

    monkeypatch.setattr(t5, "decoder_graph", wrong)
    with pytest.raises(ModelError, match="disagrees with PyTorch"):
        export_model(either_t5, tmp_path / "out", precision=precision, calibration=own_words)
    assert list(tmp_path.iterdir()) == []


def test_int8_is_refused_when_it_costs_too_much(
    t5v11_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def coarse(matrix: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
        scales = np.abs(matrix).max(axis=axis, keepdims=True) / 1
        return np.rint(matrix / scales).astype(np.int8), scales.astype(np.float32)

    monkeypatch.setattr(builder, "by_vector", coarse)
    model = T5ForConditionalGeneration.from_pretrained(t5v11_folder)
    # The model's own greedy answers: likely under it, so a coarse copy must lose.
    loaded = Improver.load(str(t5v11_folder), threads=1)
    rows = []
    for head in ("a cat", "a lighthouse", "an old castle"):
        ids = torch.tensor([loaded.here.codec.tokenizer.encode(f"extend: {head}").ids])
        answer = model.generate(ids, max_new_tokens=12, do_sample=False)[0].tolist()
        text = loaded.here.codec.tokenizer.decode(answer) or "light"
        rows.append({"source": head, "target": text, "mode": "extend"})
    path = tmp_path / "own.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(ModelError, match="int8 export disagrees"):
        export_model(t5v11_folder, tmp_path / "out", calibration=path)
    assert not (tmp_path / "out").exists()


def test_an_existing_folder_is_not_overwritten(
    exported: Path, t5_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="--overwrite"):
        export_model(t5_folder, exported)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="is no exported model"):
        export_model(t5_folder, tmp_path, overwrite=True)
    assert (tmp_path / "notes.txt").read_text() == "mine"


@pytest.mark.slow
def test_force_replaces_an_earlier_export(t5_folder: Path, own_words: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"precision": "fp32", "calibration": own_words}
    first = export_model(t5_folder, tmp_path / "out", **options)
    second = export_model(t5_folder, tmp_path / "out", name="other", overwrite=True, **options)
    assert (first.card.name, second.card.name) == ("t5", "other")
    assert Manifest.read(tmp_path / "out") == second


def test_what_is_no_t5_is_refused(tmp_path: Path) -> None:
    config = BertConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, vocab_size=9
    )
    BertModel(config).save_pretrained(str(tmp_path / "bert"))
    with pytest.raises(ModelError, match="'bert' model"):
        export_model(tmp_path / "bert", tmp_path / "out")
    with pytest.raises(ModelError, match="is no folder"):
        export_model(tmp_path / "missing", tmp_path / "out")


def test_a_faulty_calibration_file_is_named_with_its_line(t5_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "calibration.jsonl"
    path.write_text('{"source": "a", "target": "b"}\n{"source": "a", "target": ""}\n')
    with pytest.raises(InputError, match=r"calibration\.jsonl line 2: `target` is empty"):
        export_model(t5_folder, tmp_path / "out", calibration=path)
    with pytest.raises(ConfigError, match="'int3' and must be one of int4, int8, fp32"):
        export_model(t5_folder, tmp_path / "out", precision="int3")
    with pytest.raises(ConfigError, match="a t5 model can be exported in int8, fp32"):
        export_model(t5_folder, tmp_path / "out", precision="int4")


def test_quantized_matrices_are_close_and_symmetric() -> None:
    matrix = np.random.default_rng(0).normal(size=(16, 8)).astype(np.float32)
    values, scales = quantize.by_vector(matrix, axis=0)
    assert values.dtype == np.int8
    assert np.abs(values).max() == 127
    assert (np.abs(values * scales - matrix) <= scales / 2 + 1e-7).all()
    zeros, scale = quantize.by_vector(np.zeros((2, 2), dtype=np.float32), axis=0)
    assert (zeros == 0).all() and np.isfinite(scale).all()


def test_the_own_head_of_the_fixture_is_its_own(t5v11_folder: Path, t5_folder: Path) -> None:
    for folder, own in ((t5v11_folder, True), (t5_folder, False)):
        model = T5ForConditionalGeneration.from_pretrained(folder)
        assert torch.equal(model.lm_head.weight, model.shared.weight) is not own
        assert model.config.scale_decoder_outputs is not own


def test_weights_that_are_absent_are_no_random_ones(
    either_t5: Path, copy_of: CopyOf, tmp_path: Path
) -> None:
    folder = copy_of(either_t5)
    weights = load_file(folder / "model.safetensors")
    del weights["decoder.block.0.layer.2.DenseReluDense.wo.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks 1 of the model's weights, 'decoder\.block\.0"):
        export_model(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_outputs_that_cannot_be_replaced_are_refused(t5_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    for target in ("real", "nowhere"):
        link = tmp_path / f"link_to_{target}"
        link.symlink_to(tmp_path / target)
        with pytest.raises(ConfigError, match="is a link"):
            export_model(t5_folder, link)
    with pytest.raises(ConfigError, match="current folder"):
        export_model(t5_folder, Path("."))


def test_a_card_without_modes_is_refused(t5_folder: Path, copy_of: CopyOf, tmp_path: Path) -> None:
    folder = copy_of(t5_folder)
    ModelCard(name="none", modes={}).write(folder)
    with pytest.raises(ModelError, match="names no mode"):
        export_model(folder, tmp_path / "out")


def test_a_graph_above_the_limit_of_onnx_is_refused(
    t5_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("promptlift.export.export.MAX_GRAPH_BYTES", 1000)
    with pytest.raises(ModelError, match="above the 2 GB"):
        export_model(t5_folder, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
