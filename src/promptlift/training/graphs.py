"""A T5 as two ONNX graphs: the encoder, and one step of the decoder.

The encoder returns each decoder layer's cross-attention keys and values, so that a step of
the decoder reads them and never computes them. The graphs are built from the weights rather
than traced: the quantization below has no counterpart in PyTorch.

int8: weights are symmetric, with a scale an output column. Activations are scaled BY ROW
(their maximum maps to the edge of the range), since a scale for the whole tensor, as ONNX
Runtime's own dynamic quantization has it, lets a row's result depend on its batch.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from promptlift.errors import ModelError
from promptlift.improving.engine import CANDIDATES

Array = npt.NDArray[Any]
Weights = dict[str, npt.NDArray[np.float32]]

OPSET, CONTRIB_OPSET, IR_VERSION = 20, 1, 10
CONTRIB = "com.microsoft"
MASKED = -1e9
# Activations take 7 bits, 1..127 around 64. Processors without VNNI add two products
# of unsigned by signed bytes in 16 bits: 2 * 127 * 127 fits, 2 * 255 * 127 would saturate.
ACTIVATION_RANGE = {7: (63, 64), 8: (127, 128)}


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


_ACTIVATIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "relu": ("Relu", {}),
    "gelu": ("Gelu", {}),
    "gelu_new": ("Gelu", {"approximate": "tanh"}),
}


def encoder_graph(
    shape: T5Shape, weights: Weights, *, int8: bool, activation_bits: int = 7
) -> onnx.ModelProto:
    """Encoder: input_ids, attention_mask int64 [batch, source] → bias and cross keys, values.

    Outputs: `cross_bias` float32 [batch, 1, 1, source], 0 for tokens and -1e9 for padding;
    `cross_key_i`, `cross_value_i` float32 [batch, heads, source, d_kv] for decoder layer i.
    """
    graph = _Graph(shape, int8, activation_bits)
    graph.input("input_ids", TensorProto.INT64, ["batch", "source"])
    graph.input("attention_mask", TensorProto.INT64, ["batch", "source"])
    hidden = graph.embed("input_ids", weights["shared.weight"])

    one, masked = graph.constant(np.float32(1)), graph.constant(np.float32(MASKED))
    mask = graph.op("Cast", "attention_mask", to=TensorProto.FLOAT)
    padding = graph.op("Mul", graph.op("Sub", one, mask), masked)
    axes = graph.constant(np.array([1, 2]))
    cross_bias = graph.op("Unsqueeze", padding, axes, output="cross_bias")
    graph.output(cross_bias, ["batch", 1, 1, "source"])

    # Bias by distance, for distances to both sides; all beyond the largest share its bias.
    far = shape.relative_attention_max_distance
    table = _bias_by_distance(
        weights["encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"],
        np.arange(-far, far + 1),
        shape,
        bidirectional=True,
    )
    length = graph.op("Squeeze", graph.op("Shape", "input_ids", start=1, end=2))
    positions = graph.op("Range", graph.constant(np.array(0)), length, graph.constant(np.array(1)))
    first, second = graph.constant(np.array([0])), graph.constant(np.array([1]))
    distance = graph.op(
        "Sub", graph.op("Unsqueeze", positions, first), graph.op("Unsqueeze", positions, second)
    )
    edge = graph.constant(np.array(far))
    place = graph.op("Add", graph.op("Clip", distance, graph.constant(np.array(-far)), edge), edge)
    position_bias = graph.op("Gather", graph.constant(table), place, axis=1)
    bias = graph.op("Add", graph.op("Unsqueeze", position_bias, first), cross_bias)

    update = ""
    for index in range(shape.num_layers):
        block = f"encoder.block.{index}.layer"
        attention = f"{block}.0.SelfAttention"
        normal, hidden = graph.normalize(hidden, update, weights[f"{block}.0.layer_norm.weight"])
        joined = graph.linear(
            graph.quantize(normal), *(weights[f"{attention}.{part}.weight"] for part in "qkv")
        )
        query, key, value = graph.split(joined, 3)
        mixed = graph.attend(query, key, value, bias)
        update = graph.linear(graph.quantize(mixed), weights[f"{attention}.o.weight"])
        normal, hidden = graph.normalize(hidden, update, weights[f"{block}.1.layer_norm.weight"])
        update = graph.feed_forward(normal, weights, f"{block}.1.DenseReluDense")
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


def decoder_graph(
    shape: T5Shape, weights: Weights, *, int8: bool, activation_bits: int = 7
) -> onnx.ModelProto:
    """One step of the decoder.

    Inputs: `tokens` int64 [batch, 1], the encoder's outputs, and for each layer i
    `past_key_i`, `past_value_i` float32 [batch, heads, past, d_kv]; `past` is 0 at first.
    Outputs: `logits` float32 [batch, vocabulary]; `top_values` float32 and `top_ids` int64
    [batch, 128], the largest of them; `key_i`, `value_i`, the cache with this step.
    """
    graph = _Graph(shape, int8, activation_bits)
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

    far = shape.relative_attention_max_distance
    table = _bias_by_distance(
        weights["decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"],
        -np.arange(far + 1),
        shape,
        bidirectional=False,
    )
    past = graph.op("Squeeze", graph.op("Shape", "past_key_0", start=2, end=3))
    minus_one = graph.constant(np.array(-1))
    back = graph.op("Range", past, minus_one, minus_one)
    place = graph.op("Min", back, graph.constant(np.array(far)))
    gathered = graph.op("Gather", graph.constant(table), place, axis=1)
    bias = graph.op("Unsqueeze", gathered, graph.constant(np.array([0, 2])))

    update = ""
    for index in range(shape.num_decoder_layers):
        block = f"decoder.block.{index}.layer"
        attention = f"{block}.0.SelfAttention"
        normal, hidden = graph.normalize(hidden, update, weights[f"{block}.0.layer_norm.weight"])
        joined = graph.linear(
            graph.quantize(normal), *(weights[f"{attention}.{part}.weight"] for part in "qkv")
        )
        query, key, value = graph.split(joined, 3)
        mixed = graph.attend(query, key, value, bias, cache=index)
        for name in ("key", "value"):
            graph.output(f"{name}_{index}", grown)
        update = graph.linear(graph.quantize(mixed), weights[f"{attention}.o.weight"])

        attention = f"{block}.1.EncDecAttention"
        normal, hidden = graph.normalize(hidden, update, weights[f"{block}.1.layer_norm.weight"])
        query = graph.linear(graph.quantize(normal), weights[f"{attention}.q.weight"])
        mixed = graph.attend(query, f"cross_key_{index}", f"cross_value_{index}", "cross_bias")
        update = graph.linear(graph.quantize(mixed), weights[f"{attention}.o.weight"])

        normal, hidden = graph.normalize(hidden, update, weights[f"{block}.2.layer_norm.weight"])
        update = graph.feed_forward(normal, weights, f"{block}.2.DenseReluDense")
    normal, _ = graph.normalize(hidden, update, weights["decoder.final_layer_norm.weight"])

    head = weights["lm_head.weight"]
    if shape.scale_decoder_outputs:
        head = head * np.float32(shape.d_model**-0.5)
    flat = graph.op("Squeeze", normal, graph.constant(np.array([1])))
    logits = graph.linear(graph.quantize(flat), head, output="logits")
    count = min(CANDIDATES, shape.vocab_size)
    graph.add(
        "TopK",
        [logits, graph.constant(np.array([count]))],
        ["top_values", "top_ids"],
        axis=1,
        largest=1,
        sorted=1,
    )
    graph.output(logits, ["batch", shape.vocab_size])
    graph.output("top_values", ["batch", count])
    graph.output("top_ids", ["batch", count], TensorProto.INT64)
    return graph.model("decoder")


@dataclass(frozen=True)
class _Rows:
    """Activations as a matrix product takes them: quantized by row, or as they are."""

    values: str
    scale: str = ""


class _Graph:
    """Collects nodes and constants; each method adds what its name says, returns its output."""

    def __init__(self, shape: T5Shape, int8: bool, activation_bits: int) -> None:
        self.shape, self.int8 = shape, int8
        self.highest, self.zero_point = ACTIVATION_RANGE[activation_bits]
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []

    def add(
        self, kind: str, inputs: list[str], outputs: list[str], domain: str = "", **attributes: Any
    ) -> None:
        name = f"{kind}_{len(self.nodes)}"
        node = helper.make_node(kind, inputs, outputs, name=name, domain=domain, **attributes)
        self.nodes.append(node)

    def op(
        self, kind: str, *inputs: str, output: str = "", domain: str = "", **attributes: Any
    ) -> str:
        output = output or f"{kind}_{len(self.nodes)}_out"
        self.add(kind, list(inputs), [output], domain, **attributes)
        return output

    def constant(self, value: Array | np.generic) -> str:
        array = np.asarray(value)
        key = f"constant_{len(self.constants)}"
        if array.size <= 8:  # small ones recur in every layer
            key = f"constant_{array.dtype}_{array.shape}_{array.tolist()}"
        self.constants.setdefault(key, numpy_helper.from_array(np.ascontiguousarray(array), key))
        return key

    def input(self, name: str, kind: int, dims: list[Any]) -> None:
        self.inputs.append(helper.make_tensor_value_info(name, kind, dims))

    def output(self, name: str, dims: list[Any], kind: int = TensorProto.FLOAT) -> None:
        self.outputs.append(helper.make_tensor_value_info(name, kind, dims))

    def embed(self, ids: str, table: Array) -> str:
        if not self.int8:
            return self.op("Gather", self.constant(table), ids)
        rows, scales = _quantize(table, axis=1)
        picked = self.op("Cast", self.op("Gather", self.constant(rows), ids), to=TensorProto.FLOAT)
        return self.op("Mul", picked, self.op("Gather", self.constant(scales), ids))

    def normalize(self, hidden: str, update: str, weight: Array) -> tuple[str, str]:
        """RMS norm of hidden + update; returns it and the sum."""
        epsilon = self.shape.layer_norm_epsilon
        gain = self.constant(weight)
        if not update:
            normal = self.op(
                "SimplifiedLayerNormalization", hidden, gain, axis=-1, epsilon=epsilon, stash_type=1
            )
            return normal, hidden
        normal, total = f"normal_{len(self.nodes)}", f"sum_{len(self.nodes)}"
        self.add(
            "SkipSimplifiedLayerNormalization",
            [hidden, update, gain],
            [normal, "", "", total],
            CONTRIB,
            epsilon=epsilon,
        )
        return normal, total

    def quantize(self, hidden: str) -> _Rows:
        if not self.int8:
            return _Rows(hidden)
        size = self.op("Abs", hidden)
        axes = self.constant(np.array([-1]))
        largest = self.op("ReduceMax", size, axes, keepdims=1)
        # A row of zeros divides to NaN and becomes some byte; times its scale, 0, it is 0 again.
        rows = self.op(
            "QuantizeLinear",
            self.op("Div", hidden, largest),
            self.constant(np.float32(1 / self.highest)),
            self.constant(np.uint8(self.zero_point)),
        )
        return _Rows(rows, largest)

    def linear(self, rows: _Rows, *weights: Array, output: str = "") -> str:
        """Product with weights [out, in], several side by side in one product."""
        matrix = np.concatenate(weights).T
        if not self.int8:
            return self.op("MatMul", rows.values, self.constant(matrix), output=output)
        columns, scales = _quantize(matrix, axis=0)
        product = self.op(
            "MatMulIntegerToFloat",
            rows.values,
            self.constant(columns),
            self.constant(np.float32(1 / self.highest)),
            self.constant(scales.reshape(-1)),
            self.constant(np.uint8(self.zero_point)),
            domain=CONTRIB,
        )
        return self.op("Mul", product, rows.scale, output=output)

    def split(self, joined: str, parts: int) -> list[str]:
        names = [f"split_{len(self.nodes)}_{part}" for part in range(parts)]
        self.add("Split", [joined], names, axis=-1, num_outputs=parts)
        return names

    def attend(
        self, query: str, key: str, value: str, bias: str, *, cache: int | None = None
    ) -> str:
        """Attention, not scaled, as T5 has it; with `cache` over that layer's past too."""
        inputs = [query, key, value, "", "", bias]
        mixed = f"mixed_{len(self.nodes)}"
        outputs = [mixed]
        if cache is not None:
            inputs += [f"past_key_{cache}", f"past_value_{cache}"]
            outputs += [f"key_{cache}", f"value_{cache}"]
        self.add(
            "MultiHeadAttention",
            inputs,
            outputs,
            CONTRIB,
            num_heads=self.shape.num_heads,
            scale=1.0,
        )
        return mixed

    def feed_forward(self, normal: str, weights: Weights, name: str) -> str:
        kind, attributes = _ACTIVATIONS[self.shape.dense_act_fn]
        rows = self.quantize(normal)
        if self.shape.is_gated_act:
            joined = self.linear(
                rows, weights[f"{name}.wi_0.weight"], weights[f"{name}.wi_1.weight"]
            )
            gate, plain = self.split(joined, 2)
            inner = self.op("Mul", self.op(kind, gate, **attributes), plain)
        else:
            inner = self.op(kind, self.linear(rows, weights[f"{name}.wi.weight"]), **attributes)
        return self.linear(self.quantize(inner), weights[f"{name}.wo.weight"])

    def model(self, name: str) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes, name, self.inputs, self.outputs, list(self.constants.values())
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, CONTRIB_OPSET)]
        return helper.make_model(
            graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="promptlift"
        )


def _quantize(matrix: Array, axis: int) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Symmetric int8 with a scale a column (axis 0) or a row (axis 1)."""
    largest = np.abs(matrix).max(axis=axis, keepdims=True)
    scales = np.where(largest > 0, largest / 127, 1).astype(np.float32)
    return np.rint(matrix / scales).astype(np.int8), scales


def _bias_by_distance(
    bias: Array, distances: npt.NDArray[np.int64], shape: T5Shape, *, bidirectional: bool
) -> Array:
    """Position bias [heads, distances] for key position minus query position.

    Buckets as in T5 (Raffel et al., 2020): one a distance up to half of them, then
    logarithmic up to the largest distance.
    """
    buckets = shape.relative_attention_num_buckets
    found = np.zeros_like(distances)
    if bidirectional:
        buckets //= 2
        found = np.where(distances > 0, buckets, 0)
        steps = np.abs(distances)
    else:
        steps = np.maximum(-distances, 0)
    exact = buckets // 2
    ratio = math.log(shape.relative_attention_max_distance / exact)
    # float32 as in transformers: a double can fall on the other side of a bucket's edge.
    far = np.log(np.maximum(steps, 1).astype(np.float32) / exact) / ratio * (buckets - exact)
    large = np.minimum(exact + far.astype(np.int64), buckets - 1)
    return np.ascontiguousarray(bias[found + np.where(steps < exact, steps, large)].T)
