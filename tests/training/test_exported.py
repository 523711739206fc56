"""Training that begins with an exported model."""

from pathlib import Path

import pytest
import torch

from promptlift.errors import ModelError
from promptlift.export.export import export_model
from promptlift.export.restore import restore_model
from promptlift.improving.improver import Improver
from promptlift.improving.manifest import Manifest, ModelCard
from promptlift.training.config import TrainingConfig
from promptlift.training.models import base_card
from promptlift.training.train import measure_run, train
from tests.conftest import CopyOf
from tests.training.test_llama import PROSE, settings, stop_in_step_6
from tests.training.test_train import PAIRS, weights


@pytest.fixture(scope="module")
def exported_llama(
    llama_folder: Path, own_words: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "llama"
    export_model(llama_folder, folder, precision="int4", calibration=own_words)
    return folder


def test_a_run_is_that_of_the_restored_model_and_goes_on(
    exported_llama: Path, tmp_path: Path
) -> None:
    restored = restore_model(exported_llama, tmp_path / "restored")
    found = []
    for model in (exported_llama, restored):
        folder = tmp_path / f"run-{model.name}"
        config = settings(model, lora=True, rounding="int4")
        if model == exported_llama:
            assert train(PAIRS + PROSE, folder, config, report=stop_in_step_6) is None
            when = (folder / "base" / "model.safetensors").stat().st_mtime_ns
        train(PAIRS + PROSE, folder, config)
        found.append(weights(folder))
    assert (tmp_path / "run-llama" / "base" / "model.safetensors").stat().st_mtime_ns == when
    assert not (tmp_path / "run-restored" / "base").exists()
    assert all(torch.equal(value, found[1][name]) for name, value in found[0].items())
    card = ModelCard.read(tmp_path / "run-llama" / "model")
    assert card.name == Manifest.read(exported_llama).card.name
    assert card.training["config"]["model"] == str(exported_llama)


def test_a_t5_goes_on_from_its_export(exported: Path, tmp_path: Path) -> None:
    config = settings(exported, epochs=1.0, dropout_rate=0.0)
    model = train(PAIRS, tmp_path / "run", config)
    assert model is not None
    assert ModelCard.read(model).modes == base_card(str(exported)).modes
    first, last = (
        Improver.load(folder).log_probability(["a lighthouse"], ["highly detailed"])[0]
        for folder in (exported, model)
    )
    assert last > first


def test_a_preflight_restores_it_too(exported_llama: Path) -> None:
    config = settings(exported_llama, epochs=1.0, evaluation_decoding="model", lora=True)
    assert measure_run(PAIRS, config).fits


def test_a_damaged_export_is_one_line_and_is_restored_once_it_is_whole(
    exported_llama: Path, copy_of: CopyOf, tmp_path: Path
) -> None:
    folder = copy_of(exported_llama)
    whole = (folder / "decoder.onnx").read_bytes()
    (folder / "decoder.onnx").write_bytes(whole[:-1])
    config = settings(folder, epochs=1.0)
    with pytest.raises(ModelError, match=r"decoder\.onnx is damaged"):
        train(PAIRS, tmp_path / "run", config)
    assert not (tmp_path / "run" / "base").exists()
    (folder / "decoder.onnx").write_bytes(whole)
    assert train(PAIRS, tmp_path / "run", config) is not None


def test_a_model_of_an_earlier_release_is_named_as_such(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"pocket is not in this release; promptlift 0\.1\.0"):
        train(PAIRS, tmp_path / "run", TrainingConfig(model="pocket"))
