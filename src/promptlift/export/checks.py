"""An export against PyTorch: log-probabilities of the same tokens."""

from pathlib import Path
from typing import Any

import numpy as np

from promptlift.errors import ModelError
from promptlift.export.quantize import BITS, TABLE_BITS, by_block
from promptlift.improving.likelihood import token_log_probabilities
from promptlift.improving.manifest import ModelCard
from promptlift.records import Pair

MAX_DIFFERENCE_FP32 = 1e-3  # of a token's natural-log probability
# Share of PyTorch's loss over the calibration pairs, either way: a flatter distribution can
# lower the loss of unlikely targets and is as wrong.
MAX_LOSS_CHANGE = 0.01


def compare(
    loaded: Any,
    card: ModelCard,
    folder: Path,
    pairs: list[Pair],
    precision: str,
    *,
    rounded: bool = True,
) -> dict[str, Any]:
    """Log-probabilities of the calibration targets, in PyTorch at once, exported step by step.

    An "int4" export is to agree with PyTorch on rounded weights, which `loaded` is left with: a
    model that was trained on them is another one without. Without `rounded` it is to agree with
    the weights as they are, since those of its base are kept.

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
    found = [
        value for row, target in zip(rows, targets, strict=True) for value in row[: len(target)]
    ]

    def in_pytorch() -> list[float]:
        both = zip(sources, targets, strict=True)
        score = loaded.engine.token_log_probabilities
        return [value for source, target in both for value in score(np.array([source]), target)]

    expected = in_pytorch()
    losses = {"loss_pytorch": _loss(expected)}
    if precision == "int4" and rounded:
        _round_weights(loaded.engine.model)
        expected = in_pytorch()
        losses["loss_rounded"] = _loss(expected)
    losses["loss_exported"] = _loss(found)
    difference = float(np.abs(np.subtract(expected, found)).max())
    change = abs(_loss(found) / _loss(expected) - 1)
    figures = (
        f"over {len(pairs)} pairs and {len(expected)} tokens the loss is {_loss(found):.5f} and "
        f"in PyTorch {_loss(expected):.5f}; a token differs by up to {difference:.2g}"
    )
    if not np.isfinite(difference) or (
        difference > MAX_DIFFERENCE_FP32 if precision == "fp32" else change > MAX_LOSS_CHANGE
    ):
        raise ModelError(
            f"the {precision} export disagrees with PyTorch and was dropped: {figures}."
        )
    return {
        "pairs": len(pairs),
        "tokens": len(expected),
        **losses,
        "max_abs_difference": difference,
    }


def _loss(log_probabilities: list[float]) -> float:
    return -float(np.mean(log_probabilities))


def _round_weights(model: Any) -> None:
    """Give a Llama, in place, the weights that its "int4" export has."""
    import torch

    tables = (model.get_input_embeddings(), model.get_output_embeddings())
    for module in model.modules():
        if isinstance(module, torch.nn.Linear | torch.nn.Embedding):
            bits = TABLE_BITS if module in tables else BITS["int4"]
            matrix = module.weight.data
            matrix.copy_(torch.from_numpy(by_block(matrix.float().cpu().numpy(), bits).matrix()))
