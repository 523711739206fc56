"""From a trained folder to the engine's format, checked against PyTorch."""

import tempfile
from collections.abc import Callable
from dataclasses import asdict, replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from promptlift.errors import ConfigError, InputError, MissingExtraError, ModelError
from promptlift.files import sha256_of_file
from promptlift.improving.manifest import CARD_FILE, ENGINE_FILES, Manifest, ModelCard, is_exported
from promptlift.pairs.load import load_pairs
from promptlift.records import Pair

if TYPE_CHECKING:
    from promptlift.export.builder import Weights

PRECISIONS = ("int8", "fp32")
MAX_DIFFERENCE_FP32 = 1e-3  # of a token's natural-log probability
# Share of PyTorch's loss over the calibration pairs, either way: a flatter distribution can
# lower the loss of unlikely targets and is as wrong.
MAX_LOSS_CHANGE_INT8 = 0.01
MAX_GRAPH_BYTES = 2_000_000_000  # protobuf's limit


def export_model(
    model_folder: Path,
    output: Path,
    *,
    precision: str = "int8",
    calibration: Path | None = None,
    name: str | None = None,
    overwrite: bool = False,
) -> Manifest:
    """Write encoder and decoder graphs, tokenizer and manifest to `output`.

    Args:
        model_folder: T5, T5 1.1 or FLAN-T5 as `transformers` saves it.
        output: appears only when the export is complete and agrees with PyTorch.
        precision: "int8" or "fp32".
        calibration: pairs to compare log-probabilities on; a small packaged file where None.
        name: of the model; that of its card, or the folder's, where None.
        overwrite: replace an earlier export.

    Raises:
        ModelError: the folder holds no T5, or the export disagrees with PyTorch: in fp32 by
            more than 1e-3 on a token, in int8 by more than 1% of the mean loss.
        ConfigError: the output exists, or the precision is unknown.
        InputError: the calibration file cannot be used.
    """
    if precision not in PRECISIONS:
        raise ConfigError(f"precision is {precision!r} and must be one of {', '.join(PRECISIONS)}")
    _check_output(output, overwrite)
    pairs = _calibration_pairs(calibration)
    try:
        import onnx
        import torch

        from promptlift.export.builder import T5Shape
        from promptlift.export.graphs import decoder_graph, encoder_graph
        from promptlift.improving.engines.torch import load_torch
    except ImportError as error:
        raise MissingExtraError("Exporting a model", "train") from error

    if not model_folder.is_dir():
        raise ModelError(f"{model_folder} is no folder. Give the folder of a trained model.")
    loaded = load_torch(str(model_folder))
    config = loaded.engine.model.config
    fields = T5Shape.__dataclass_fields__
    weights: Weights = {
        key: value.detach().to(torch.float32).numpy()
        for key, value in loaded.engine.model.state_dict().items()
    }
    shape = T5Shape(**{key: getattr(config, key) for key in fields})
    card = replace(loaded.card, name=name) if name else loaded.card
    if not card.modes:
        raise ModelError(f"{model_folder / CARD_FILE} names no mode under `modes`. Add one.")

    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{output.name}.", dir=output.parent) as temporary:
        folder = Path(temporary) / "export"
        folder.mkdir()
        for build, file in ((encoder_graph, "encoder.onnx"), (decoder_graph, "decoder.onnx")):
            graph = build(shape, weights, int8=precision == "int8")
            # ByteSize() of the whole graph fails above the very limit that is asked about.
            size = sum(len(item.raw_data) for item in graph.graph.initializer)
            if size > MAX_GRAPH_BYTES:
                raise ModelError(
                    f"{file} would take {size / 1e9:.1f} GB, above the 2 GB of an "
                    "ONNX file. Export with --precision int8, or a smaller model."
                )
            onnx.save(graph, str(folder / file))
        tokenizer = loaded.codec.tokenizer
        tokenizer.no_padding()
        tokenizer.no_truncation()
        tokenizer.save(str(folder / "tokenizer.json"))
        check = _compare(loaded, card, folder, pairs, precision)
        check["calibration_sha256"] = sha256_of_file(calibration or _packaged_calibration())
        manifest = Manifest(
            card=card,
            precision=precision,
            architecture=asdict(shape),
            tokens=asdict(loaded.codec.special),
            check=check,
            files={file: sha256_of_file(folder / file) for file in ENGINE_FILES},
            promptlift_version=_version(),
        )
        manifest.write(folder)
        if output.exists():
            # Moved, not deleted: an interrupt between the two leaves no half of either.
            output.rename(Path(temporary) / "earlier")
        folder.rename(output)
    return manifest


def _check_output(output: Path, overwrite: bool) -> None:
    if output.is_symlink() or not output.name:  # neither can be replaced by a rename
        raise ConfigError(f"{output} is a link or the current folder. Name another folder.")
    if not output.exists():
        return
    if not output.is_dir() or (any(output.iterdir()) and not is_exported(output)):
        raise ConfigError(f"{output} exists and is no exported model. Name another folder.")
    if any(output.iterdir()) and not overwrite:
        raise ConfigError(f"{output} holds an exported model. Pass --overwrite to replace it.")


def _packaged_calibration() -> Path:
    return Path(str(files("promptlift.export") / "calibration.jsonl"))


def _calibration_pairs(path: Path | None) -> list[Pair]:
    path = path or _packaged_calibration()
    pairs = []
    for item in load_pairs(path):
        if not isinstance(item, Pair):
            raise InputError(f"{path} line {item.number}: {item.message}")
        pairs.append(item)
    if not pairs:
        raise InputError(f"{path} holds no pairs to compare the export on.")
    return pairs


def _compare(
    loaded: Any, card: ModelCard, folder: Path, pairs: list[Pair], precision: str
) -> dict[str, Any]:
    """Log-probabilities of the calibration targets, in PyTorch at once, exported step by step."""
    from promptlift.improving.engines.onnx import OnnxEngine

    engine = OnnxEngine(folder)
    prefixes = list(card.modes.values())
    encode: Callable[[str], list[int]] = lambda text: loaded.codec.tokenizer.encode(text).ids  # noqa: E731
    expected, found = [], []
    for index, pair in enumerate(pairs):
        prefix = card.modes.get(pair.mode, prefixes[index % len(prefixes)])
        source, target = np.array([encode(prefix + pair.source)]), encode(pair.target)
        expected += loaded.engine.token_log_probabilities(source, target)
        state = engine.start(source, np.ones_like(source))
        tokens = [loaded.codec.special.decoder_start, *target[:-1]]
        for fed, token in zip(tokens, target, strict=True):
            logits = state.step(np.array([fed])).all()[0].astype(np.float64)
            top = logits.max()
            found.append(logits[token] - top - np.log(np.exp(logits - top).sum()))
    difference = float(np.abs(np.array(expected) - np.array(found)).max())
    before, after = -float(np.mean(expected)), -float(np.mean(found))
    change = abs(after / before - 1)
    figures = (
        f"over {len(pairs)} pairs and {len(expected)} tokens the loss is {after:.5f} and in "
        f"PyTorch {before:.5f}; a token differs by up to {difference:.2g}"
    )
    if not np.isfinite(difference) or (
        difference > MAX_DIFFERENCE_FP32 if precision == "fp32" else change > MAX_LOSS_CHANGE_INT8
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


def _version() -> str:
    from promptlift import __version__

    return __version__
