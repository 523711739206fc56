"""A model without some of its layers."""

from pathlib import Path

import pytest
import torch

from benchmarks.writer.shrink import drop_layers, texts_of
from promptlift.improving.engines.torch import load_torch
from tests.conftest import make_llama


def logits(folder: Path) -> torch.Tensor:
    network = load_torch(str(folder)).engine.model
    with torch.no_grad():
        found: torch.Tensor = network(torch.arange(3, 23)[None]).logits
    return found


@pytest.mark.parametrize("dropped", [0, 1])
def test_a_layer_that_adds_nothing_is_not_missed(tmp_path: Path, dropped: int) -> None:
    folder = make_llama(tmp_path / "model")
    network = load_torch(str(folder)).engine.model
    layer = network.model.layers[dropped]
    for part in (layer.self_attn.o_proj, layer.mlp.down_proj):
        part.weight.data.zero_()
    network.save_pretrained(str(folder))
    before = logits(folder)
    drop_layers(folder, [dropped])
    after = load_torch(str(folder)).engine.model
    assert len(after.model.layers) == after.config.num_hidden_layers == 1
    assert torch.allclose(logits(folder), before, atol=1e-5)


def test_all_that_is_read_and_written_is_kept(tmp_path: Path) -> None:
    pairs, lines = tmp_path / "pairs.jsonl", tmp_path / "prompts.txt"
    pairs.write_text('{"source": "a cat", "target": "on a wall", "mode": "extend"}\n')
    lines.write_text("a dog\n")
    found = [*texts_of([pairs, lines])]
    assert found[-3:] == ["a cat", "on a wall", "a dog"]
    assert {"extend: ", "paragraph, rewrite: "} < set(found)
