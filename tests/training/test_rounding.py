"""Training with rounded weights: what it reads is what the export writes."""

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from promptlift.errors import ConfigError
from promptlift.export.export import export_model
from promptlift.export.quantize import by_block
from promptlift.improving.improver import Improver
from promptlift.pairs.load import collect_pairs
from promptlift.runs import Run
from promptlift.scoring.text.bits import target_bits
from promptlift.training.examples import collate, tokenized
from promptlift.training.models import start_model
from promptlift.training.rounding import Rounding, rounded
from promptlift.training.train import train
from tests.training.test_llama import prefix, settings, stop_in_step_6
from tests.training.test_train import PAIRS

SHAPES = [(3, 64), (5, 70), (4, 31), (2, 1)]  # columns that fill a block, and that do not


@pytest.fixture(scope="module")
def whole(llama_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "whole"
    train(PAIRS, run, settings(llama_folder, lora=True, rounding="int4"))
    return run


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_tensors_are_rounded_as_the_export_rounds_arrays(shape: tuple[int, int], bits: int) -> None:
    matrix = np.random.default_rng(3).normal(size=shape).astype(np.float32)
    matrix[0, 1:] = 0  # a block of zeros, but for one weight
    matrix[-1] = np.where(np.arange(shape[1]) % 2, 0.5, -0.5)  # whose largest are of either sign
    found = rounded(torch.from_numpy(matrix), bits).numpy()
    np.testing.assert_array_equal(found, by_block(matrix, bits).matrix())
    step = np.abs(matrix).max() / (1 << (bits - 1))
    assert np.abs(found - matrix).max() <= step * 1.01


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0])
def test_what_is_rounded_is_rounded_to_itself(bits: int, scale: float) -> None:
    matrix = scale * np.random.default_rng(4).normal(size=(64, 90)).astype(np.float32)
    once = by_block(matrix, bits)
    again = by_block(once.matrix(), bits)
    np.testing.assert_array_equal(again.values, once.values)
    np.testing.assert_array_equal(again.scales, once.scales)


def test_lora_gets_the_gradient_of_the_rounded_weights(llama_folder: Path) -> None:
    start = start_model(settings(llama_folder, lora=True), llama_folder)
    model = start.model
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.1, generator=torch.Generator().manual_seed(1))
    rounding = Rounding(model, 4)
    rounding.refresh()
    batch = collate(start.tokens["pad"])(
        tokenized(PAIRS[:4], start, prefix, settings(llama_folder))
    )
    loss = model.eval()(**batch).loss
    loss.backward()
    for layer in rounding.layers:
        layer.base_layer.weight.requires_grad_()
    with model.disable_adapter():
        plain = model(**batch).loss
    plain.backward()
    assert plain.item() == pytest.approx(loss.item(), rel=1e-6)
    for layer in rounding.layers:
        a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
        whole = layer.scaling["default"] * layer.base_layer.weight.grad
        torch.testing.assert_close(b.grad, whole @ a.T, atol=1e-6, rtol=1e-3)
        torch.testing.assert_close(a.grad, b.T @ whole, atol=1e-6, rtol=1e-3)


def test_a_run_learns_and_its_export_has_the_loss_that_it_measured(
    whole: Path, tmp_path: Path
) -> None:
    results = Run.open(whole).stage("training")["results"]
    losses = [float(row.split(",")[2]) for row in (whole / "log.csv").read_text().splitlines()[1:]
              if row.split(",")[2]]  # fmt: skip
    assert losses[-1] < losses[0] - 0.3
    calibration = whole / "validation.jsonl"
    manifest = export_model(
        whole / "model", tmp_path / "out", precision="int4", calibration=calibration
    )
    assert manifest.check["loss_rounded"] != manifest.check["loss_pytorch"]
    improver = Improver.load(tmp_path / "out", threads=1)
    pairs = collect_pairs([calibration])
    targets = improver.here.codec.encode_targets([pair.target for pair in pairs])
    loss = target_bits(improver, pairs).sum() / sum(map(len, targets)) * np.log(2)
    assert loss == pytest.approx(results["validation_loss"], rel=0.01)


def test_a_stopped_run_ends_with_the_same_bytes(
    whole: Path, llama_folder: Path, tmp_path: Path
) -> None:
    run, config = tmp_path / "parts", settings(llama_folder, lora=True, rounding="int4")
    assert train(PAIRS, run, config, report=stop_in_step_6) is None
    assert train(PAIRS, run, config) == run / "model"
    found, expected = (load_file(path / "model" / "model.safetensors") for path in (run, whole))
    assert all(torch.equal(found[name], expected[name]) for name in expected)


def test_rounding_is_for_lora_and_llamas(
    llama_folder: Path, t5_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"^[^\n]*rounding needs lora$"):
        settings(llama_folder, rounding="int4")
    with pytest.raises(ConfigError, match=r"^rounding int4 is for Llamas, and this is a T5\.$"):
        train(PAIRS, tmp_path / "run", settings(t5_folder, lora=True, rounding="int4"))
