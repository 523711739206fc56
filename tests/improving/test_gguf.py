"""A folder that holds a GGUF file alone."""

import json
import sys
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch

from promptlift.errors import MissingExtraError, ModelError
from promptlift.improving.engines.torch import load_torch

NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}  # fmt: skip


def write_gguf(folder: Path, path: Path) -> None:
    """A tiny Llama in float32 as llama.cpp keeps it."""
    model = load_torch(str(folder)).engine.model
    config = model.config
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(128)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)
    state = json.loads((folder / "tokenizer.json").read_text())["model"]
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(sorted(state["vocab"], key=state["vocab"].__getitem__))
    writer.add_token_types([3, 3] + [1] * (config.vocab_size - 2))
    writer.add_token_merges([" ".join(merge) for merge in state["merges"]])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    for name, weight in model.state_dict().items():
        if name == "lm_head.weight":  # the embedding
            continue
        values = weight.numpy().astype(np.float32)
        for kind, heads in (("q", config.num_attention_heads), ("k", config.num_key_value_heads)):
            if f".{kind}_proj" in name:  # llama.cpp turns pairs of neighbours
                halves = values.reshape(heads, 2, -1, values.shape[1])
                values = np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(values.shape)
        writer.add_tensor(_named(name), values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _named(name: str) -> str:
    if name.startswith("model.layers."):
        _, _, layer, rest = name.split(".", 3)
        return f"blk.{layer}.{NAMES[rest.removesuffix('.weight')]}.weight"
    return {
        "model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight"
    }[name]  # fmt: skip


@pytest.fixture(scope="module")
def gguf_folder(llama_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gguf")
    write_gguf(llama_folder, folder / "tiny.gguf")
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
