"""A folder that holds a GGUF file alone."""

import sys
from pathlib import Path

import pytest
import torch

from benchmarks.improving.speed_llama import write_gguf
from promptlift.errors import MissingExtraError, ModelError
from promptlift.improving.engines.torch import load_torch


@pytest.fixture(scope="module")
def gguf_folder(llama_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gguf")
    write_gguf(llama_folder, folder / "tiny.gguf", "F32")
    return folder


def test_it_is_the_model_that_was_written_and_can_be_saved(
    gguf_folder: Path, llama_folder: Path, tmp_path: Path
) -> None:
    found, expected = load_torch(str(gguf_folder)), load_torch(str(llama_folder))
    ids = expected.codec.encode(["extend: a cat in armor"])
    assert found.codec.encode(["extend: a cat in armor"]) == ids
    with torch.no_grad():
        logits = [one.engine.model(torch.tensor(ids)).logits for one in (found, expected)]
    torch.testing.assert_close(*logits, atol=1e-4, rtol=0)
    found.engine.model.save_pretrained(str(tmp_path))
    assert (tmp_path / "model.safetensors").exists()


def test_two_files_are_refused(gguf_folder: Path, tmp_path: Path) -> None:
    for name in ("a.gguf", "b.gguf"):
        (tmp_path / name).write_bytes((gguf_folder / "tiny.gguf").read_bytes())
    with pytest.raises(ModelError, match=r"holds 2 GGUF files; keep one: a.gguf, b.gguf"):
        load_torch(str(tmp_path))


def test_without_its_package_the_install_command_is_given(
    gguf_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "gguf", None)
    monkeypatch.setattr(
        "transformers.modeling_gguf_pytorch_utils.is_gguf_available", lambda *rest: False
    )
    with pytest.raises(MissingExtraError, match=r"promptlift\[train\]"):
        load_torch(str(gguf_folder))
