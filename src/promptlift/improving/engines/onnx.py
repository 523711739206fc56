"""ONNX Runtime as engine, for exported models."""

from pathlib import Path

from promptlift.errors import ModelError
from promptlift.improving.engines.onnx_llama import LlamaEngine
from promptlift.improving.engines.onnx_t5 import T5Engine

OnnxEngine = T5Engine | LlamaEngine
_ENGINES: dict[str, type[T5Engine] | type[LlamaEngine]] = {"t5": T5Engine, "llama": LlamaEngine}


def onnx_engine(folder: Path, family: str, *, threads: int | None = None) -> OnnxEngine:
    """The engine of an exported folder, see `Engine`.

    Args:
        folder: holds the graphs.
        family: "t5" or "llama", as the manifest has it.
        threads: processor threads; all physical cores where None.

    Raises:
        ModelError: the family is unknown, or ONNX Runtime cannot load a graph.
    """
    if family not in _ENGINES:
        raise ModelError(
            f"{folder} holds a {family!r} model, and this promptlift runs "
            f"{' and '.join(_ENGINES)}. Install a newer promptlift."
        )
    return _ENGINES[family](folder, threads=threads)
