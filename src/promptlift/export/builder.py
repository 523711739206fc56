"""Pieces that ONNX graphs are put together from, in float32 or quantized.

Activations of quantized products are scaled BY ROW, or by blocks of a row, since a scale for the
whole tensor, as ONNX Runtime's own dynamic quantization has it, lets a row's result depend on its
batch. `linear` has weights in int8 with a scale an output column; `block_linear` has them in 4 or
8 bits with a scale for each block of a row.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from promptlift.export.quantize import Array, Blocks, by_vector
from promptlift.improving.engines.engine import CANDIDATES

Weights = dict[str, npt.NDArray[np.float32]]

OPSET, CONTRIB_OPSET, IR_VERSION = 20, 1, 10
CONTRIB = "com.microsoft"
# Activations take 7 bits, 1..127 around 64. Processors without VNNI add two products
# of unsigned by signed bytes in 16 bits: 2 * 127 * 127 fits, 2 * 255 * 127 would saturate.
HIGHEST, ZERO_POINT = 63, 64


@dataclass(frozen=True)
class Rows:
    """Activations as a matrix product takes them: quantized by row, or as they are."""

    values: str
    scale: str = ""


class GraphBuilder:
    """Collects nodes and constants; each method adds what its name says, returns its output."""

    def __init__(self, *, epsilon: float, int8: bool = False) -> None:
        self.epsilon, self.int8 = epsilon, int8
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, onnx.TensorProto] = {}
        self._kept: dict[int, tuple[Array, str]] = {}
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

    def constant(self, value: Array | np.generic, name: str = "") -> str:
        array = np.asarray(value)
        key = name or f"constant_{len(self.constants)}"
        if not name and array.size <= 8:  # small ones recur in every layer
            key = f"constant_{array.dtype}_{array.shape}_{array.tolist()}"
        elif not name and isinstance(
            value, np.ndarray
        ):  # a table that is used twice is stored once
            key = self._kept.setdefault(id(value), (value, key))[1]
        whole = np.ascontiguousarray(array).reshape(array.shape)  # a scalar stays one
        self.constants.setdefault(key, numpy_helper.from_array(whole, key))
        return key

    def input(self, name: str, kind: int, dims: list[Any]) -> None:
        self.inputs.append(helper.make_tensor_value_info(name, kind, dims))

    def output(self, name: str, dims: list[Any], kind: int = TensorProto.FLOAT) -> None:
        self.outputs.append(helper.make_tensor_value_info(name, kind, dims))

    def embed(self, ids: str, table: Array) -> str:
        if not self.int8:
            return self.op("Gather", self.constant(table), ids)
        rows, scales = by_vector(table, axis=1)
        picked = self.op("Cast", self.op("Gather", self.constant(rows), ids), to=TensorProto.FLOAT)
        return self.op("Mul", picked, self.op("Gather", self.constant(scales), ids))

    def normalize(self, hidden: str, update: str, weight: Array) -> tuple[str, str]:
        """RMS norm of hidden + update; returns it and the sum."""
        epsilon = self.epsilon
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
        columns, scales = by_vector(matrix, axis=0)
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

    def block_linear(
        self, hidden: str, weights: Blocks, *, output: str = "", name: str = ""
    ) -> str:
        """Product with weights [out, in] in blocks, stored under `name` where there is one.

        Activations become int8 with a scale for each block of a row (accuracy level 4).
        """
        values, scales = (f"{name}.{part}" if name else "" for part in ("values", "scales"))
        return self.op(
            "MatMulNBits",
            hidden,
            self.constant(weights.values, values),
            self.op("Cast", self.constant(weights.scales, scales), to=TensorProto.FLOAT),
            output=output,
            domain=CONTRIB,
            K=weights.columns,
            N=len(weights.values),
            bits=weights.bits,
            block_size=weights.values.shape[2] * 8 // weights.bits,
            accuracy_level=4,
        )

    def block_embed(self, ids: str, weights: Blocks) -> str:
        """Rows of a table in blocks, float32 [batch, tokens, columns]."""
        picked = self.op("Gather", self.constant(weights.values), ids)
        if weights.bits == 4:  # two in a byte, the first in the lower half
            low = self.op("BitwiseAnd", picked, self.constant(np.uint8(15)))
            high = self.op("BitShift", picked, self.constant(np.uint8(4)), direction="RIGHT")
            last = self.constant(np.array([-1]))
            pair = [self.op("Unsqueeze", half, last) for half in (low, high)]
            shape = self.constant(np.array([0, 0, 0, -1]))
            picked = self.op("Reshape", self.op("Concat", *pair, axis=-1), shape)
        middle = self.constant(np.float32(1 << (weights.bits - 1)))
        centred = self.op("Sub", self.op("Cast", picked, to=TensorProto.FLOAT), middle)
        scales = self.op("Gather", self.constant(weights.scales[:, :, None]), ids)
        rows = self.op("Mul", centred, self.op("Cast", scales, to=TensorProto.FLOAT))
        joined = self.op("Reshape", rows, self.constant(np.array([0, 0, -1])))
        if weights.columns % (weights.values.shape[2] * 8 // weights.bits) == 0:
            return joined
        ends = [self.constant(np.array([end])) for end in (0, weights.columns, 2)]
        return self.op("Slice", joined, *ends)

    def candidates(self, logits: str, vocab_size: int) -> None:
        """The graph's outputs: logits [batch, vocabulary], and the largest of them in order."""
        count = min(CANDIDATES, vocab_size)
        self.add(
            "TopK",
            [logits, self.constant(np.array([count]))],
            ["top_values", "top_ids"],
            axis=1,
            largest=1,
            sorted=1,
        )
        self.output(logits, ["batch", vocab_size])
        self.output("top_values", ["batch", count])
        self.output("top_ids", ["batch", count], TensorProto.INT64)

    def split(self, joined: str, parts: int) -> list[str]:
        names = [f"split_{len(self.nodes)}_{part}" for part in range(parts)]
        self.add("Split", [joined], names, axis=-1, num_outputs=parts)
        return names

    def model(self, name: str) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes, name, self.inputs, self.outputs, list(self.constants.values())
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, CONTRIB_OPSET)]
        return helper.make_model(
            graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="promptlift"
        )
