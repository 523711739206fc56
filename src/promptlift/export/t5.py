"""A T5 as two ONNX graphs: the encoder, and one step of the decoder.

The encoder returns each decoder layer's cross-attention keys and values, so that a step of
the decoder reads them and never computes them. The graphs are built from the weights rather
than traced: the quantization of `builder` has no counterpart in PyTorch.

`weights` are a T5's by their names in transformers, and `encoder.position_bias` and
`decoder.position_bias` [heads, distances], for key position minus query position from the
negative of the largest distance to the largest.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from promptlift.errors import ModelError
from promptlift.export.builder import CONTRIB, GraphBuilder, Weights

MASKED = -1e9
_ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "relu": ("Relu", {}),
    "gelu": ("Gelu", {}),
    "gelu_new": ("Gelu", {"approximate": "tanh"}),
}


@dataclass(frozen=True, kw_only=True)
class T5Shape:
    """The sizes of a T5, named as in `transformers.T5Config`."""

    vocab_size: int
    d_model: int
    d_kv: int
    d_ff: int
    num_layers: int
    num_decoder_layers: int
    num_heads: int
    relative_attention_num_buckets: int
    relative_attention_max_distance: int
    layer_norm_epsilon: float
    dense_act_fn: str
    is_gated_act: bool
    # T5 shares its head with the embedding and scales the decoder's output by d_model^-0.5;
    # T5 1.1 and FLAN-T5 do neither. `tie_word_embeddings` does not tell which.
    scale_decoder_outputs: bool

    def __post_init__(self) -> None:
        if self.dense_act_fn not in _ACTIVATIONS:
            raise ModelError(
                f"feed-forward activation {self.dense_act_fn!r} cannot be exported; "
                f"these can: {', '.join(_ACTIVATIONS)}"
            )

    @classmethod
    def of(cls, config: Any) -> "T5Shape":
        return cls(**{key: getattr(config, key) for key in cls.__dataclass_fields__})


def graphs(shape: T5Shape, model: Any, precision: str) -> Iterator[tuple[str, onnx.ModelProto]]:
    """Each file of a T5 by its name; `precision` is "int8" or "fp32"."""
    import torch

    weights: Weights = {
        key: value.to("cpu", torch.float32).numpy() for key, value in model.state_dict().items()
    }
    far = shape.relative_attention_max_distance
    for name in ("encoder", "decoder"):
        attention = getattr(model, name).block[0].layer[0].SelfAttention
        bias = attention.compute_bias(2 * far + 1, 2 * far + 1)[0, :, far]  # of the middle query
        weights[f"{name}.position_bias"] = bias.detach().to("cpu", torch.float32).numpy()
    yield "encoder.onnx", encoder_graph(shape, weights, int8=precision == "int8")
    yield "decoder.onnx", decoder_graph(shape, weights, int8=precision == "int8")


def encoder_graph(shape: T5Shape, weights: Weights, *, int8: bool) -> onnx.ModelProto:
    """Encoder: input_ids, attention_mask int64 [batch, source] → bias and cross keys, values.

    Outputs: `cross_bias` float32 [batch, 1, 1, source], 0 for tokens and -1e9 for padding;
    `cross_key_i`, `cross_value_i` float32 [batch, heads, source, d_kv] for decoder layer i.
    """
    graph = GraphBuilder(epsilon=shape.layer_norm_epsilon, int8=int8)
    graph.input("input_ids", TensorProto.INT64, ["batch", "source"])
    graph.input("attention_mask", TensorProto.INT64, ["batch", "source"])
    hidden = graph.embed("input_ids", weights["shared.weight"])

    one, masked = graph.constant(np.float32(1)), graph.constant(np.float32(MASKED))
    mask = graph.op("Cast", "attention_mask", to=TensorProto.FLOAT)
    padding = graph.op("Mul", graph.op("Sub", one, mask), masked)
    axes = graph.constant(np.array([1, 2]))
    cross_bias = graph.op("Unsqueeze", padding, axes, output="cross_bias")
    graph.output(cross_bias, ["batch", 1, 1, "source"])

    bias = _encoder_bias(graph, shape, weights, cross_bias)
    update = ""
    for index in range(shape.num_layers):
        block = f"encoder.block.{index}.layer"
        hidden, update = _self_attention(graph, shape, weights, block, hidden, update, bias)
        hidden, update = _feed_forward(graph, shape, weights, f"{block}.1", hidden, update)
    normal, _ = graph.normalize(hidden, update, weights["encoder.final_layer_norm.weight"])

    encoded = graph.quantize(normal)
    heads = graph.constant(np.array([0, 0, shape.num_heads, shape.d_kv]))
    for index in range(shape.num_decoder_layers):
        attention = f"decoder.block.{index}.layer.1.EncDecAttention"
        joined = graph.linear(
            encoded, weights[f"{attention}.k.weight"], weights[f"{attention}.v.weight"]
        )
        for name, part in zip(("key", "value"), graph.split(joined, 2), strict=True):
            split = graph.op("Reshape", part, heads)
            output = graph.op("Transpose", split, perm=[0, 2, 1, 3], output=f"cross_{name}_{index}")
            graph.output(output, ["batch", shape.num_heads, "source", shape.d_kv])
    return graph.model("encoder")


def decoder_graph(shape: T5Shape, weights: Weights, *, int8: bool) -> onnx.ModelProto:
    """One step of the decoder.

    Inputs: `tokens` int64 [batch, 1], the encoder's outputs, and for each layer i
    `past_key_i`, `past_value_i` float32 [batch, heads, past, d_kv]; `past` is 0 at first.
    Outputs: `logits` float32 [batch, vocabulary]; `top_values` float32 and `top_ids` int64
    [batch, 128], the largest of them; `key_i`, `value_i`, the cache with this step.
    """
    graph = GraphBuilder(epsilon=shape.layer_norm_epsilon, int8=int8)
    cache = ["batch", shape.num_heads, "past", shape.d_kv]
    grown = ["batch", shape.num_heads, "past_and_one", shape.d_kv]
    graph.input("tokens", TensorProto.INT64, ["batch", 1])
    graph.input("cross_bias", TensorProto.FLOAT, ["batch", 1, 1, "source"])
    for index in range(shape.num_decoder_layers):
        for name in ("key", "value"):
            graph.input(
                f"cross_{name}_{index}",
                TensorProto.FLOAT,
                ["batch", shape.num_heads, "source", shape.d_kv],
            )
            graph.input(f"past_{name}_{index}", TensorProto.FLOAT, cache)
    hidden = graph.embed("tokens", weights["shared.weight"])

    bias = _decoder_bias(graph, shape, weights)
    update = ""
    for index in range(shape.num_decoder_layers):
        block = f"decoder.block.{index}.layer"
        hidden, update = _self_attention(
            graph, shape, weights, block, hidden, update, bias, cache=index
        )
        for name in ("key", "value"):
            graph.output(f"{name}_{index}", grown)
        hidden, update = _cross_attention(graph, shape, weights, block, hidden, update, index)
        hidden, update = _feed_forward(graph, shape, weights, f"{block}.2", hidden, update)
    normal, _ = graph.normalize(hidden, update, weights["decoder.final_layer_norm.weight"])

    head = weights["lm_head.weight"]
    if shape.scale_decoder_outputs:
        head = head * np.float32(shape.d_model**-0.5)
    flat = graph.op("Squeeze", normal, graph.constant(np.array([1])))
    logits = graph.linear(graph.quantize(flat), head, output="logits")
    graph.candidates(logits, shape.vocab_size)
    return graph.model("decoder")


def _encoder_bias(graph: GraphBuilder, shape: T5Shape, weights: Weights, cross_bias: str) -> str:
    """Position bias for distances to both sides; all beyond the largest share its bias."""
    far, table = shape.relative_attention_max_distance, weights["encoder.position_bias"]
    length = graph.op("Squeeze", graph.op("Shape", "input_ids", start=1, end=2))
    positions = graph.op("Range", graph.constant(np.array(0)), length, graph.constant(np.array(1)))
    first, second = graph.constant(np.array([0])), graph.constant(np.array([1]))
    distance = graph.op(
        "Sub", graph.op("Unsqueeze", positions, first), graph.op("Unsqueeze", positions, second)
    )
    edge = graph.constant(np.array(far))
    place = graph.op("Add", graph.op("Clip", distance, graph.constant(np.array(-far)), edge), edge)
    position_bias = graph.op("Gather", graph.constant(table), place, axis=1)
    return graph.op("Add", graph.op("Unsqueeze", position_bias, first), cross_bias)


def _decoder_bias(graph: GraphBuilder, shape: T5Shape, weights: Weights) -> str:
    """Position bias of one step, for the distances back to each earlier token."""
    far = shape.relative_attention_max_distance
    table = weights["decoder.position_bias"][:, far::-1]
    past = graph.op("Squeeze", graph.op("Shape", "past_key_0", start=2, end=3))
    minus_one = graph.constant(np.array(-1))
    back = graph.op("Range", past, minus_one, minus_one)
    place = graph.op("Min", back, graph.constant(np.array(far)))
    gathered = graph.op("Gather", graph.constant(table), place, axis=1)
    return graph.op("Unsqueeze", gathered, graph.constant(np.array([0, 2])))


def _self_attention(
    graph: GraphBuilder, shape: T5Shape, weights: Weights, block: str, hidden: str, update: str,
    bias: str, cache: int | None = None,
) -> tuple[str, str]:  # fmt: skip
    """Of each layer: the hidden state with the last update, and the next update."""
    attention = f"{block}.0.SelfAttention"
    normal, hidden = graph.normalize(hidden, update, weights[f"{block}.0.layer_norm.weight"])
    joined = graph.linear(
        graph.quantize(normal), *(weights[f"{attention}.{part}.weight"] for part in "qkv")
    )
    query, key, value = graph.split(joined, 3)
    mixed = _attend(graph, shape, (query, key, value), bias, cache=cache)
    return hidden, graph.linear(graph.quantize(mixed), weights[f"{attention}.o.weight"])


def _cross_attention(
    graph: GraphBuilder,
    shape: T5Shape,
    weights: Weights,
    block: str,
    hidden: str,
    update: str,
    index: int,
) -> tuple[str, str]:
    """The same over what the encoder made of the source."""
    attention = f"{block}.1.EncDecAttention"
    normal, hidden = graph.normalize(hidden, update, weights[f"{block}.1.layer_norm.weight"])
    query = graph.linear(graph.quantize(normal), weights[f"{attention}.q.weight"])
    mixed = _attend(
        graph, shape, (query, f"cross_key_{index}", f"cross_value_{index}"), "cross_bias"
    )
    return hidden, graph.linear(graph.quantize(mixed), weights[f"{attention}.o.weight"])


def _feed_forward(
    graph: GraphBuilder, shape: T5Shape, weights: Weights, layer: str, hidden: str, update: str
) -> tuple[str, str]:
    normal, hidden = graph.normalize(hidden, update, weights[f"{layer}.layer_norm.weight"])
    kind, attributes = _ACTIVATIONS[shape.dense_act_fn]
    rows, name = graph.quantize(normal), f"{layer}.DenseReluDense"
    if shape.is_gated_act:
        both = weights[f"{name}.wi_0.weight"], weights[f"{name}.wi_1.weight"]
        gate, plain = graph.split(graph.linear(rows, *both), 2)
        inner = graph.op("Mul", graph.op(kind, gate, **attributes), plain)
    else:
        inner = graph.op(kind, graph.linear(rows, weights[f"{name}.wi.weight"]), **attributes)
    return hidden, graph.linear(graph.quantize(inner), weights[f"{name}.wo.weight"])


def _attend(
    graph: GraphBuilder, shape: T5Shape, qkv: tuple[str, str, str], bias: str,
    cache: int | None = None,
) -> str:  # fmt: skip
    """Attention, not scaled, as T5 has it; with `cache` over that layer's past too."""
    inputs, mixed = [*qkv, "", "", bias], f"mixed_{len(graph.nodes)}"
    outputs = [mixed]
    if cache is not None:
        inputs += [f"past_key_{cache}", f"past_value_{cache}"]
        outputs += [f"key_{cache}", f"value_{cache}"]
    graph.add("MultiHeadAttention", inputs, outputs, CONTRIB, num_heads=shape.num_heads, scale=1.0)
    return mixed
