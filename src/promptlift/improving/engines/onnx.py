"""ONNX Runtime as engine: the encoder once, then the decoder a token at a time."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from promptlift.errors import ModelError
from promptlift.improving.engines.engine import IntArray, StepLogits


class OnnxEngine:
    """Runs the two graphs of an exported folder.

    Args:
        folder: holds `encoder.onnx` and `decoder.onnx`.
        threads: processor threads; all physical cores where None.

    Raises:
        ModelError: ONNX Runtime cannot load a graph.
    """

    libraries: tuple[str, ...] = ("onnxruntime",)

    def __init__(self, folder: Path, *, threads: int | None = None) -> None:
        self.encoder = _session(folder / "encoder.onnx", threads)
        self.decoder = _session(folder / "decoder.onnx", threads)
        self.layers = sum(item.name.startswith("past_key_") for item in self.decoder.get_inputs())
        [cache] = [item for item in self.decoder.get_inputs() if item.name == "past_key_0"]
        self.heads, self.d_kv = cache.shape[1], cache.shape[3]
        [logits] = [item for item in self.decoder.get_outputs() if item.name == "logits"]
        self.vocab_size = int(logits.shape[1])
        self.encoder_outputs = [item.name for item in self.encoder.get_outputs()]
        self.decoder_outputs = [item.name for item in self.decoder.get_outputs()]

    def start(self, input_ids: IntArray, attention_mask: IntArray) -> "OnnxState":
        """Encode sources, see `Engine.start`."""
        return OnnxState(self, input_ids, attention_mask)


class OnnxState:
    """Cross keys and values and the growing cache, kept as ONNX Runtime's own tensors."""

    def __init__(self, engine: OnnxEngine, input_ids: IntArray, attention_mask: IntArray) -> None:
        self._session = engine.decoder
        self._caches = [f"{name}_{i}" for i in range(engine.layers) for name in ("key", "value")]
        binding = engine.encoder.io_binding()
        binding.bind_cpu_input("input_ids", input_ids)
        binding.bind_cpu_input("attention_mask", attention_mask)
        self._fixed = _run(engine.encoder, binding, engine.encoder_outputs)
        self._outputs = engine.decoder_outputs
        self._bind_fixed()
        empty = np.zeros((len(input_ids), engine.heads, 0, engine.d_kv), dtype=np.float32)
        value = onnxruntime.OrtValue.ortvalue_from_numpy(empty)
        self._past = dict.fromkeys(self._caches, value)

    def step(self, tokens: IntArray) -> StepLogits:
        """Feed a token of each row, see `DecoderState.step`."""
        binding = self._binding
        # Held until the next step: ONNX Runtime reads the array's own memory.
        self._tokens = np.ascontiguousarray(tokens)[:, None]
        binding.bind_cpu_input("tokens", self._tokens)
        for name, value in self._past.items():
            binding.bind_ortvalue_input(f"past_{name}", value)
        outputs = _run(self._session, binding, self._outputs)
        self._past = {name: outputs[name] for name in self._caches}
        top_values, top_ids = outputs["top_values"].numpy(), outputs["top_ids"].numpy()
        return StepLogits(top_values, top_ids, outputs["logits"].numpy)

    def keep(self, rows: IntArray) -> None:
        """Keep only these rows, see `DecoderState.keep`."""
        for values in (self._fixed, self._past):
            for name, value in values.items():
                values[name] = onnxruntime.OrtValue.ortvalue_from_numpy(value.numpy()[rows])
        self._bind_fixed()

    def _bind_fixed(self) -> None:
        """Bind once what no step changes: binding a tensor takes microseconds, of each layer."""
        self._binding = self._session.io_binding()
        for name, value in self._fixed.items():
            self._binding.bind_ortvalue_input(name, value)


def _run(session: Any, binding: Any, names: list[str]) -> dict[str, Any]:
    """Run with the bound inputs; the outputs stay where ONNX Runtime made them."""
    binding.clear_binding_outputs()
    for name in names:
        binding.bind_output(name, "cpu")
    session.run_with_iobinding(binding)
    return dict(zip(names, binding.get_outputs(), strict=True))


def _session(path: Path, threads: int | None) -> Any:
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
