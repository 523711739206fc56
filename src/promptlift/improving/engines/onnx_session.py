"""ONNX Runtime's sessions, for every family of models."""

from pathlib import Path
from typing import Any

import onnxruntime

from promptlift.errors import ModelError


def load_graph(path: Path, threads: int | None) -> Any:
    """A session that runs a graph on the processor.

    Args:
        path: of the ONNX file.
        threads: processor threads; all physical cores where None.

    Raises:
        ModelError: ONNX Runtime cannot load the graph.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only: warnings would fill the user's terminal
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(
            str(path), sess_options=options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # ONNX Runtime's exceptions share no base class
        raise ModelError(
            f"{path} cannot be loaded by ONNX Runtime {onnxruntime.__version__}: "
            f"{str(error).splitlines()[0]}. Export the model again."
        ) from error


def run(session: Any, binding: Any, names: list[str]) -> dict[str, Any]:
    """Run with the bound inputs; the outputs stay where ONNX Runtime made them."""
    binding.clear_binding_outputs()
    for name in names:
        binding.bind_output(name, "cpu")
    session.run_with_iobinding(binding)
    return dict(zip(names, binding.get_outputs(), strict=True))
