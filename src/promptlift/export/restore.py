"""An exported model as a folder of `transformers` again, to go on training from.

Its weights are the rounded ones in float32, whole numbers times their scales. The graphs of
`export.t5` and `export.llama` have norms and products in the order of a model's layers, and are
read in that order.
"""

import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from safetensors.numpy import save_file
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)
from transformers.models.t5.modeling_t5 import T5Attention

from promptlift.errors import ModelError
from promptlift.export.builder import Weights
from promptlift.export.llama import turned_back
from promptlift.export.quantize import TABLE_BITS, Array, Blocks
from promptlift.files import writing
from promptlift.improving.manifest import Manifest
from promptlift.improving.tokenizer_file import read_tokenizer
from promptlift.schema import DRAFTING

_NORMS = ("SimplifiedLayerNormalization", "SkipSimplifiedLayerNormalization")
_PRODUCTS = ("MatMul", "MatMulIntegerToFloat", "MatMulNBits")


def restore_model(folder: Path, target: Path) -> Path:
    """Write an exported folder as a trained one.

    It computes what the export does, but for the rounding of activations. Graphs have no dropout:
    it is the usual one, 0.1 of a T5 and none of a Llama.

    Args:
        folder: of a T5 or a Llama, in any precision.
        target: the new folder, which appears when it is complete.

    Returns:
        `target`.

    Raises:
        ModelError: a file is missing or damaged, or a graph is none that this version writes.
    """
    manifest = Manifest.read(folder, verify=True)
    if manifest.family not in _FAMILIES:
        raise ModelError(
            f"{folder} holds a {manifest.family!r} model, and this promptlift restores "
            f"{' and '.join(_FAMILIES)}. Install a newer promptlift."
        )
    config, weights = _read(folder, manifest)
    unfinished = target.with_name(f".{target.name}.new")
    shutil.rmtree(unfinished, ignore_errors=True)  # of a process that was killed
    with writing(target, Exception):
        unfinished.mkdir(parents=True)
        whole = {name: np.ascontiguousarray(value) for name, value in weights.items()}
        save_file(whole, unfinished / "model.safetensors", {"format": "pt"})
        config.save_pretrained(str(unfinished))
        _tokenizer(folder, manifest).save_pretrained(str(unfinished))
        # The reranker, which the options of drafts need, stays with the export.
        decoding = {k: v for k, v in manifest.card.decoding.items() if k not in DRAFTING}
        replace(manifest.card, decoding=decoding).write(unfinished)
        unfinished.rename(target)
    return target


def base_weights(folder: Path, shape: Any) -> Weights:
    """The rounded weights of an exported Llama without what was learned after their rounding, as
    `export.llama` names them.

    Args:
        folder: exported in int4.
        shape: what it must have, too.

    Raises:
        ModelError: it is no such folder, or has another shape.
    """
    manifest = Manifest.read(folder, verify=True)
    if manifest.precision != "int4" or manifest.architecture != {
        "model_type": "llama",
        **asdict(shape),
    }:
        raise ModelError(
            f"{folder} is no int4 export of a Llama with the sizes of this one. Give the folder "
            "that training began with, or writer, the bundled model."
        )
    _, weights = _read(folder, manifest, learned=False)
    return {name.removeprefix("model."): value for name, value in weights.items()}


def _read(folder: Path, manifest: Manifest, *, learned: bool = True) -> "_Restored":
    try:
        config, weights = _FAMILIES[manifest.family](folder, manifest, learned)
        _check_shapes(config, weights)
    except (StopIteration, LookupError, ValueError, TypeError) as error:
        raise ModelError(
            f"{folder} was exported by promptlift {manifest.promptlift_version} in a form that "
            "this version cannot read back. Take the trained folder that it was exported from."
        ) from error
    return config, weights


class _Graph:
    """A graph whose weights are taken in order.

    Args:
        path: of the ONNX file.
        weights: where they go, by their names in transformers.
        learned: with the products of low rank that were added to others.
    """

    def __init__(self, path: Path, weights: Weights, *, learned: bool = True) -> None:
        model, self.weights, self.learned = onnx.load(str(path)), weights, learned
        self.nodes = list(model.graph.node)
        self.properties = {item.key: item.value for item in model.metadata_props}
        self._stored = {item.name: item for item in model.graph.initializer}
        self._casts = {node.output[0]: node.input[0] for node in self.of_kind("Cast")}
        self._added = self._low_rank()
        added = [node.name for both in self._added.values() for node in both]
        products = [node for node in self.of_kind(*_PRODUCTS) if node.name not in added]
        self._norms, self._products = iter(self.of_kind(*_NORMS)), iter(products)

    def of_kind(self, *kinds: str) -> list[Any]:
        """Nodes of these operators."""
        return [node for node in self.nodes if node.op_type in kinds]

    def _low_rank(self) -> dict[str, tuple[Any, Any]]:
        """The products of low rank that are added to others, inner and outer, by the output of
        those.
        """
        by_output = {node.output[0]: node for node in self.of_kind("MatMulNBits")}
        sums = [node.input for node in self.of_kind("Add") if {*node.input} <= {*by_output}]
        outers = [(kept, by_output[outer]) for kept, outer in sums]
        return {kept: (by_output[outer.input[0]], outer) for kept, outer in outers}

    def constant(self, name: str) -> Array:
        """A constant, or what was cast to this name."""
        return np.asarray(numpy_helper.to_array(self._stored[self._casts.get(name, name)]))

    def table(self, ids: str, width: int) -> Array:
        """The rows of these ids, [vocabulary, width]."""
        gathers = [node for node in self.of_kind("Gather") if node.input[1] == ids]
        rows, *scales = [self.constant(node.input[0]) for node in gathers]
        if rows.dtype == np.uint8:
            return Blocks(rows, scales[0][:, :, 0], TABLE_BITS, width).matrix()
        return np.asarray(rows * scales[0]) if scales else rows

    def matrix(self) -> Array:
        """The weights of the next product, [out, in]."""
        node = next(self._products)
        found = self._matrix(node)
        if self.learned and node.output[0] in self._added:
            inner, outer = map(self._matrix, self._added[node.output[0]])
            found = found + outer @ inner
        return found

    def _matrix(self, node: Any) -> Array:
        values = self.constant(node.input[1])
        if node.op_type == "MatMulNBits":
            sizes = {item.name: item.i for item in node.attribute}
            return Blocks(values, self.constant(node.input[2]), sizes["bits"], sizes["K"]).matrix()
        if node.op_type == "MatMulIntegerToFloat":
            values = values * self.constant(node.input[3])
        return np.asarray(values.T)

    def norm(self, name: str) -> None:
        """Take the next norm's gain."""
        self.weights[f"{name}.weight"] = self.constant(next(self._norms).input[-1])

    def product(self, *names: str, ends: Sequence[int] = ()) -> None:
        """Take what the next product has side by side, of equal sizes or up to `ends`."""
        parts = np.split(self.matrix(), ends or len(names))
        self.weights |= {f"{name}.weight": part for name, part in zip(names, parts, strict=True)}

    def layer(self, norm: str, first: Sequence[str], last: str, ends: Sequence[int] = ()) -> None:
        """Take a norm and both products of an attention or a feed-forward layer."""
        self.norm(norm)
        self.product(*first, ends=ends)
        self.product(last)

    def finish(self) -> None:
        """Nothing may be left."""
        if [*self._norms, *self._products]:
            raise ValueError("the graph has more layers than its manifest says")


_Restored = tuple[Any, Weights]


def _t5(folder: Path, manifest: Manifest, _learned: bool) -> _Restored:
    shape, tokens, weights = manifest.architecture, manifest.tokens, Weights()
    tied, gated = shape["scale_decoder_outputs"], shape["is_gated_act"]
    config = T5Config(
        **shape,
        feed_forward_proj=("gated-" if gated else "") + shape["dense_act_fn"],
        tie_word_embeddings=tied,
        pad_token_id=tokens["pad"],
        eos_token_id=tokens["eos"],
        decoder_start_token_id=tokens["decoder_start"],
    )
    encoder, decoder = (_Graph(folder / f"{name}.onnx", weights) for name in ("encoder", "decoder"))

    def attention(graph: _Graph, layer: str, kind: str, parts: str) -> None:
        module = f"{layer}.{kind}Attention"
        graph.layer(f"{layer}.layer_norm", [f"{module}.{part}" for part in parts], f"{module}.o")

    def feed_forward(graph: _Graph, layer: str) -> None:
        module = f"{layer}.DenseReluDense"
        first = [f"{module}.{name}" for name in (("wi_0", "wi_1") if gated else ("wi",))]
        graph.layer(f"{layer}.layer_norm", first, f"{module}.wo")

    weights["shared.weight"] = encoder.table("input_ids", config.d_model)
    far = config.relative_attention_max_distance
    _position_bias(encoder, "encoder", config, np.arange(-far, far + 1))
    _position_bias(decoder, "decoder", config, -np.arange(far + 1))
    for index in range(config.num_layers):
        block = f"encoder.block.{index}.layer"
        attention(encoder, f"{block}.0", "Self", "qkv")
        feed_forward(encoder, f"{block}.1")
    encoder.norm("encoder.final_layer_norm")
    for index in range(config.num_decoder_layers):
        block = f"decoder.block.{index}.layer"
        # The encoder's graph makes keys and values of the source, once for all steps.
        encoder.product(*(f"{block}.1.EncDecAttention.{part}" for part in "kv"))
        attention(decoder, f"{block}.0", "Self", "qkv")
        attention(decoder, f"{block}.1", "EncDec", "q")
        feed_forward(decoder, f"{block}.2")
    decoder.norm("decoder.final_layer_norm")
    decoder.product("lm_head")
    encoder.finish()
    decoder.finish()
    if tied:  # it is the table, scaled
        del weights["lm_head.weight"]
    return config, weights


def _position_bias(graph: _Graph, part: str, config: T5Config, distances: Array) -> None:
    """Of the bias by distance [heads, distances] make that by bucket [buckets, heads]."""
    buckets = T5Attention._relative_position_bucket(
        torch.from_numpy(distances),
        bidirectional=part == "encoder",
        num_buckets=config.relative_attention_num_buckets,
        max_distance=config.relative_attention_max_distance,
    )
    [table] = [
        graph.constant(node.input[0])
        for node in graph.of_kind("Gather")
        if any(item.name == "axis" and item.i == 1 for item in node.attribute)
    ]
    size = (config.relative_attention_num_buckets, config.num_heads)
    bias = np.zeros(size, dtype=np.float32)
    bias[buckets.numpy()] = table.T
    name = f"{part}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"
    graph.weights[name] = bias


def _llama(folder: Path, manifest: Manifest, learned: bool) -> _Restored:
    tokens, weights = manifest.tokens, Weights()
    config = LlamaConfig(
        **manifest.architecture, bos_token_id=tokens["decoder_start"], eos_token_id=tokens["eos"]
    )
    graph = _Graph(folder / "decoder.onnx", weights, learned=learned)
    weights["embed_tokens.weight"] = graph.table("tokens", config.hidden_size)
    if graph.of_kind("MatMulNBits") and graph.of_kind("MatMul"):
        weights["unembed"] = graph.matrix().T
    ends = np.cumsum([config.num_attention_heads, config.num_key_value_heads]) * config.head_dim
    for index in range(config.num_hidden_layers):
        layer = f"layers.{index}"
        query, key, value, mixed = (f"{layer}.self_attn.{part}_proj" for part in "qkvo")
        graph.layer(f"{layer}.input_layernorm", [query, key, value], mixed, ends.tolist())
        gate, up, down = (f"{layer}.mlp.{part}_proj" for part in ("gate", "up", "down"))
        graph.layer(f"{layer}.post_attention_layernorm", [gate, up], down)
    graph.norm("norm")
    graph.product("lm_head")
    graph.finish()
    gains = [value for key, value in weights.items() if key.endswith("norm.weight")]
    if manifest.precision == "int8" and all((gain == 1).all() for gain in gains):
        # A head that took its norm's gain in is no longer the table, unless it can be undone.
        config.tie_word_embeddings = "unembed" in weights
        weights = turned_back(weights)
    if config.tie_word_embeddings:
        del weights["lm_head.weight"]
    named = {key if key == "lm_head.weight" else f"model.{key}": weights[key] for key in weights}
    return config, named


_FAMILIES = {"t5": _t5, "llama": _llama}
_CLASSES = {"t5": T5ForConditionalGeneration, "llama": LlamaForCausalLM}


def _check_shapes(config: Any, weights: Weights) -> None:
    """Each must be as large as the model wants it."""
    kind = _CLASSES[config.model_type]
    config.architectures = [kind.__name__]
    with torch.device("meta"):
        wanted = kind(config).state_dict()
    for name, value in weights.items():
        if value.shape != tuple(wanted[name].shape):
            raise ValueError(f"{name} has the shape {value.shape}")


def _tokenizer(folder: Path, manifest: Manifest) -> PreTrainedTokenizerFast:
    """The tokenizer, which knows its special tokens by name."""
    found = read_tokenizer(folder / "tokenizer.json")
    ids = {f"{name}_token": manifest.tokens[name] for name in ("pad", "eos", "unk")}
    if manifest.family == "llama":
        ids["bos_token"] = manifest.tokens["decoder_start"]
    names = {name: found.id_to_token(id) for name, id in ids.items()}
    return PreTrainedTokenizerFast(tokenizer_object=found, **names)
