"""What a processor can do: bytes it copies and products it makes in a second."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

Clock = Callable[[], float]


def bytes_a_second(clock: Clock = time.perf_counter) -> float:
    """Rate at which one thread copies memory, reading and writing counted."""
    block = np.ones(64 << 20, dtype=np.float32)
    target = np.empty_like(block)
    return 2 * block.nbytes / min(_timed(lambda: np.copyto(target, block), clock) for _ in range(5))


def int8_products_a_second(threads: int = 0, clock: Clock = time.perf_counter) -> float:
    """Rate of ONNX Runtime's own int8 matrix product at a size that suits it; 0: all threads."""
    size = 2048
    weight = np.random.default_rng(0).integers(-127, 127, size=(size, size)).astype(np.int8)
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["x", "w"], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, [size, size])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, [size, size])],
        [numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    x = np.random.default_rng(1).integers(0, 127, size=(size, size)).astype(np.uint8)
    best = min(_timed(lambda: session.run(None, {"x": x}), clock) for _ in range(5))
    return size**3 / best


def _timed(call: Callable[[], Any], clock: Clock) -> float:
    started = clock()
    call()
    return clock() - started
