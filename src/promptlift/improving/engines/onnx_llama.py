"""Llama in ONNX Runtime: the source at once, then a token at a time."""

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

from promptlift.errors import ConfigError
from promptlift.improving.engines.engine import IntArray, StepLogits
from promptlift.improving.engines.onnx_session import load_graph

_POSITIONS = 4096  # of graphs that do not say it
_OUTPUTS = {"logits": np.float32, "top_values": np.float32, "top_ids": np.int64}
# Among the graph's properties: tokens of a source and its result together, bits of a weight.
POSITIONS, BITS = "positions", "bits"
ROOM = 64  # tokens that a cache gets at a time, beyond those it holds


class LlamaEngine:
    """Runs the graph of an exported folder.

    Args:
        folder: holds `decoder.onnx`.
        threads: processor threads; all physical cores where None.

    Raises:
        ModelError: ONNX Runtime cannot load the graph.
    """

    libraries: tuple[str, ...] = ("onnxruntime",)

    def __init__(self, folder: Path, *, threads: int | None = None) -> None:
        self.session = load_graph(folder / "decoder.onnx", threads)
        inputs = {item.name: item.shape for item in self.session.get_inputs()}
        self.layers = sum(name.startswith("past_key_") for name in inputs)
        self.heads, self.head_dim = inputs["past_key_0"][1], inputs["past_key_0"][3]
        outputs = {item.name: item.shape for item in self.session.get_outputs()}
        self.sizes: dict[str, tuple[int, ...]] = {
            name: (int(outputs[name][1]),) for name in _OUTPUTS
        }
        self.vocab_size = self.sizes["logits"][0]
        found = self.session.get_modelmeta().custom_metadata_map
        self.positions = int(found.get(POSITIONS, _POSITIONS))
        self.pairs_up = False
        self.pairs_up = found.get(BITS) == "4" and self._sums_one_row_otherwise()

    def start(self, input_ids: IntArray, attention_mask: IntArray) -> "LlamaState":
        """Read sources, see `Engine.start`."""
        return LlamaState(self, input_ids, attention_mask)

    def _sums_one_row_otherwise(self) -> bool:
        """Whether a row alone gets other last bits than beside others.

        Without VNNI, ONNX Runtime multiplies a single row by 4-bit weights in an order of its own.
        """
        rows = np.ones((2, 1), dtype=np.int64)  # longer ones would only take longer
        token = np.ones(2, dtype=np.int64)
        alone, beside = (
            self.start(rows[:count], rows[:count]).step(token[:count]).all() for count in (1, 2)
        )
        return not np.array_equal(alone[0], beside[0])


class LlamaState:
    """Keys and values of each row, in buffers that a step writes to in place.

    A row's own lie together from its first token on, whatever its neighbours' lengths: its next
    token overwrites what padding left there. Where the engine pairs up, a row that is alone has a
    copy beside it.
    """

    def __init__(self, engine: LlamaEngine, input_ids: IntArray, attention_mask: IntArray) -> None:
        self._session, self._positions = engine.session, engine.positions
        self._sizes, self._pairs_up = engine.sizes, engine.pairs_up
        batch, tokens = input_ids.shape
        self._lengths = attention_mask.sum(axis=1, dtype=np.int32)
        size = (engine.layers, 2, batch, engine.heads, tokens + ROOM, engine.head_dim)
        self._hold(np.empty(size, dtype=np.float32))
        self._run(input_ids, self._lengths - 1, tokens)
        self._count = batch
        if self._pairs_up and batch == 1:
            self.keep(np.zeros(1, dtype=np.int64))

    def step(self, tokens: IntArray) -> StepLogits:
        """Feed a token of each row, see `DecoderState.step`."""
        longest = int(self._lengths.max())
        if longest == self._caches.shape[4]:
            self._move(np.arange(len(self._lengths)))
        fed = np.resize(tokens, len(self._lengths))
        found = self._run(fed[:, None], self._lengths, longest + 1)
        self._lengths = self._lengths + 1
        values, ids, logits = (
            found[name][: self._count] for name in ("top_values", "top_ids", "logits")
        )
        return StepLogits(values, ids, lambda: logits)

    def keep(self, rows: IntArray) -> None:
        """Keep only these rows, see `DecoderState.keep`."""
        self._count = len(rows)
        if self._pairs_up and self._count == 1:
            rows = np.repeat(rows, 2)
        self._lengths = self._lengths[rows]
        self._move(rows)

    def _move(self, rows: IntArray) -> None:
        """Take these rows over to a new buffer, which has room again."""
        used = int(self._lengths.max())
        layers, two, _, heads, _, head_dim = self._caches.shape
        size = (layers, two, len(rows), heads, used + ROOM, head_dim)
        moved = np.empty(size, dtype=np.float32)
        moved[..., :used, :] = self._caches[:, :, rows, :, :used]
        self._hold(moved)

    def _hold(self, caches: Any) -> None:
        """Bind each layer's part as input and output alike; ONNX Runtime then copies nothing."""
        self._caches = caches
        self._binding = self._session.io_binding()
        for index, layer in enumerate(caches):
            for name, part in zip(("key", "value"), layer, strict=True):
                value = onnxruntime.OrtValue.ortvalue_from_numpy(part)
                self._binding.bind_ortvalue_input(f"past_{name}_{index}", value)
                self._binding.bind_ortvalue_output(f"{name}_{index}", value)

    def _run(self, tokens: IntArray, last: Any, total: int) -> dict[str, Any]:
        if total > self._positions:
            raise ConfigError(
                f"the prompt and what is added have more than the {self._positions} tokens that "
                "this model has places for. Shorten the prompt, or lower --max-new-tokens."
            )
        # Held until the next run: ONNX Runtime reads the arrays' own memory.
        self._inputs = {
            "tokens": np.ascontiguousarray(tokens),
            "last": last,
            "total": np.array(total, dtype=np.int32),
        }
        for name, value in self._inputs.items():
            self._binding.bind_cpu_input(name, value)
        # Memory of our own: to ask the binding for its outputs wraps those of all layers too.
        found = {
            name: np.empty((len(tokens), *size), dtype=_OUTPUTS[name])
            for name, size in self._sizes.items()
        }
        for name, array in found.items():
            value = onnxruntime.OrtValue.ortvalue_from_numpy(array)
            self._binding.bind_ortvalue_output(name, value)
        self._session.run_with_iobinding(self._binding)
        return found
