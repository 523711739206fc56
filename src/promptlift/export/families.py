"""Families of models that can be exported, by what `transformers` calls them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import onnx

from promptlift.export import llama, t5

Graphs = Callable[[Any, Any, str], Iterator[tuple[str, onnx.ModelProto]]]


@dataclass(frozen=True)
class Family:
    """How a family becomes graphs.

    Attributes:
        shape: sizes by a model's configuration.
        graphs: file name and graph of each part, for a shape, a model and a precision.
        precisions: those that the family can be exported in.
    """

    shape: Callable[[Any], Any]
    graphs: Graphs
    precisions: tuple[str, ...]


FAMILIES = {
    "t5": Family(t5.T5Shape.of, t5.graphs, ("int8", "fp32")),
    "llama": Family(llama.LlamaShape.of, llama.graphs, ("int4", "int8", "fp32")),
}
