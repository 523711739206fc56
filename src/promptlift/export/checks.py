"""An export against PyTorch: log-probabilities of the same tokens."""

from pathlib import Path
from typing import Any

import numpy as np

from promptlift.errors import ModelError
from promptlift.improving.likelihood import token_log_probabilities
from promptlift.improving.manifest import ModelCard
from promptlift.records import Pair

MAX_DIFFERENCE_FP32 = 1e-3  # of a token's natural-log probability
# Share of PyTorch's loss over the calibration pairs, either way: a flatter distribution can
# lower the loss of unlikely targets and is as wrong.
MAX_LOSS_CHANGE = {"int8": 0.01, "int4": 0.05}


def compare(
    loaded: Any, card: ModelCard, folder: Path, pairs: list[Pair], precision: str
) -> dict[str, Any]:
    """Log-probabilities of the calibration targets, in PyTorch at once, exported step by step.

    Raises:
        ModelError: they disagree.
    """
    from promptlift.improving.engines.onnx import onnx_engine

    engine = onnx_engine(folder, loaded.engine.model.config.model_type)
    codec, prefixes = loaded.codec, list(card.modes.values())
    texts = [
        card.modes.get(pair.mode, prefixes[index % len(prefixes)]) + pair.source
        for index, pair in enumerate(pairs)
    ]
    sources = codec.encode(texts)
    targets = codec.encode_targets([pair.target for pair in pairs])
    input_ids, mask = codec.pad(sources)
    start = codec.special.decoder_start
    rows = token_log_probabilities(engine, input_ids, mask, targets, decoder_start=start)
    expected: list[float] = []
    found: list[float] = []
    for source, target, row in zip(sources, targets, rows, strict=True):
        expected += loaded.engine.token_log_probabilities(np.array([source]), target)
        found += row[: len(target)].tolist()
    difference = float(np.abs(np.subtract(expected, found)).max())
    before, after = -float(np.mean(expected)), -float(np.mean(found))
    change = abs(after / before - 1)
    figures = (
        f"over {len(pairs)} pairs and {len(expected)} tokens the loss is {after:.5f} and in "
        f"PyTorch {before:.5f}; a token differs by up to {difference:.2g}"
    )
    if not np.isfinite(difference) or (
        difference > MAX_DIFFERENCE_FP32
        if precision == "fp32"
        else change > MAX_LOSS_CHANGE[precision]
    ):
        raise ModelError(
            f"the {precision} export disagrees with PyTorch and was dropped: {figures}."
        )
    return {
        "pairs": len(pairs),
        "tokens": len(expected),
        "loss_pytorch": before,
        "loss_exported": after,
        "max_abs_difference": difference,
    }
