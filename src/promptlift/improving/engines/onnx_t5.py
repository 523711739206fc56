"""T5 in ONNX Runtime: the encoder once, then the decoder a token at a time."""

from pathlib import Path

import numpy as np
import onnxruntime

from promptlift.improving.engines.engine import IntArray, StepLogits
from promptlift.improving.engines.onnx_session import load_graph, run


class T5Engine:
    """Runs the two graphs of an exported folder.

    Args:
        folder: holds `encoder.onnx` and `decoder.onnx`.
        threads: processor threads; all physical cores where None.

    Raises:
        ModelError: ONNX Runtime cannot load a graph.
    """

    libraries: tuple[str, ...] = ("onnxruntime",)

    def __init__(self, folder: Path, *, threads: int | None = None) -> None:
        self.encoder = load_graph(folder / "encoder.onnx", threads)
        self.decoder = load_graph(folder / "decoder.onnx", threads)
        self.layers = sum(item.name.startswith("past_key_") for item in self.decoder.get_inputs())
        [cache] = [item for item in self.decoder.get_inputs() if item.name == "past_key_0"]
        self.heads, self.d_kv = cache.shape[1], cache.shape[3]
        [logits] = [item for item in self.decoder.get_outputs() if item.name == "logits"]
        self.vocab_size = int(logits.shape[1])
        self.encoder_outputs = [item.name for item in self.encoder.get_outputs()]
        self.decoder_outputs = [item.name for item in self.decoder.get_outputs()]

    def start(self, input_ids: IntArray, attention_mask: IntArray) -> "T5State":
        """Encode sources, see `Engine.start`."""
        return T5State(self, input_ids, attention_mask)


class T5State:
    """Cross keys and values and the growing cache, kept as ONNX Runtime's own tensors."""

    def __init__(self, engine: T5Engine, input_ids: IntArray, attention_mask: IntArray) -> None:
        self._session = engine.decoder
        self._caches = [f"{name}_{i}" for i in range(engine.layers) for name in ("key", "value")]
        binding = engine.encoder.io_binding()
        binding.bind_cpu_input("input_ids", input_ids)
        binding.bind_cpu_input("attention_mask", attention_mask)
        self._fixed = run(engine.encoder, binding, engine.encoder_outputs)
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
        outputs = run(self._session, binding, self._outputs)
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
