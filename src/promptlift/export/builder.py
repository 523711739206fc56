"""Pieces that ONNX graphs of a T5 are put together from, in float32 or int8.

int8: weights are symmetric, with a scale an output column. Activations are scaled BY ROW
(their maximum maps to the edge of the range), since a scale for the whole tensor, as ONNX
Runtime's own dynamic quantization has it, lets a row's result depend on its batch.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from promptlift.errors import ModelError

Array = npt.NDArray[Any]
Weights = dict[str, npt.NDArray[np.float32]]

OPSET, CONTRIB_OPSET, IR_VERSION = 20, 1, 10
CONTRIB = "com.microsoft"
# Activations take 7 bits, 1..127 around 64. Processors without VNNI add two products
# of unsigned by signed bytes in 16 bits: 2 * 127 * 127 fits, 2 * 255 * 127 would saturate.
HIGHEST, ZERO_POINT = 63, 64


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


@dataclass(frozen=True)
class Rows:
    """Activations as a matrix product takes them: quantized by row, or as they are."""

    values: str
    scale: str = ""


class GraphBuilder:
    """Collects nodes and constants; each method adds what its name says, returns its output."""

    def __init__(self, shape: T5Shape, int8: bool) -> None:
        self.shape, self.int8 = shape, int8
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

    def quantize(self, hidden: str) -> Rows:
        if not self.int8:
            return Rows(hidden)
        size = self.op("Abs", hidden)
        axes = self.constant(np.array([-1]))
        largest = self.op("ReduceMax", size, axes, keepdims=1)
        # A row of zeros divides to NaN and becomes some byte; times its scale, 0, it is 0 again.
        rows = self.op(
            "QuantizeLinear",
            self.op("Div", hidden, largest),
            self.constant(np.float32(1 / HIGHEST)),
            self.constant(np.uint8(ZERO_POINT)),
        )
        return Rows(rows, largest)

    def linear(self, rows: Rows, *weights: Array, output: str = "") -> str:
        """Product with weights [out, in], several side by side in one product."""
        matrix = np.concatenate(weights).T
        if not self.int8:
            return self.op("MatMul", rows.values, self.constant(matrix), output=output)
        columns, scales = _quantize(matrix, axis=0)
        product = self.op(
            "MatMulIntegerToFloat",
            rows.values,
            self.constant(columns),
            self.constant(np.float32(1 / HIGHEST)),
            self.constant(scales.reshape(-1)),
            self.constant(np.uint8(ZERO_POINT)),
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
