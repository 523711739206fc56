"""From a trained folder to the engine's format, checked against PyTorch."""

import tempfile
from collections.abc import Iterable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptlift import __version__
from promptlift.errors import ConfigError, InputError, MissingExtraError, ModelError
from promptlift.export.checks import compare
from promptlift.files import sha256_of_file, writing
from promptlift.improving.loading import place_of
from promptlift.improving.manifest import CARD_FILE, Manifest, is_exported
from promptlift.pairs.load import collect_pairs

if TYPE_CHECKING:
    import onnx

    from promptlift.export.families import Family, Graphs

PRECISIONS = ("int4", "int8", "fp32")
MAX_GRAPH_BYTES = 2_000_000_000  # protobuf's limit
# Weights of a larger graph get files of their own, which ONNX Runtime maps rather than parses:
# 140 MB are then loaded in 0.2 s instead of 0.4. Git hosts warn of files above 50 MB.
MAX_FILE_BYTES = 50_000_000
_SMALLEST_APART = 1000  # of a constant; ONNX Runtime wants shapes in the graph itself


def export_model(
    model_folder: Path,
    output: Path,
    *,
    precision: str = "int8",
    calibration: Path | None = None,
    name: str | None = None,
    base: str | Path | None = None,
    overwrite: bool = False,
) -> Manifest:
    """Write graphs, tokenizer and manifest to `output`.

    Args:
        model_folder: T5, T5 1.1, FLAN-T5 or a model of the Llama family as `transformers`
            saves it.
        output: appears only when the export is complete and agrees with PyTorch.
        precision: "int8", "fp32" or, for a Llama, "int4".
        calibration: pairs to compare log-probabilities on; a small packaged file where None.
        name: of the model; that of its card, or the folder's, where None.
        base: folder of the int4 export that training began with, or "writer": its rounded weights
            are kept as they are, and products of low rank add what was learned since.
        overwrite: replace an earlier export.

    Raises:
        ModelError: the folder holds no model that can be exported, or the base is none that its
            training began with, or the export disagrees with PyTorch: in fp32 by more than 1e-3 on
            a token, else by more than 1% of the mean loss. What rounding costs in int4 without a
            base is no disagreement; `check` has it.
        ConfigError: the output exists, or the precision is unknown, or not the family's, or not
            int4 where there is a base.
        InputError: the calibration file cannot be used.
    """
    if precision not in PRECISIONS:
        raise ConfigError(f"precision is {precision!r} and must be one of {', '.join(PRECISIONS)}")
    if base is not None and precision != "int4":
        raise ConfigError(
            f"precision is {precision!r}, and with a base it must be int4. Pass --precision int4."
        )
    _check_output(output, overwrite)
    calibration = calibration or Path(__file__).with_name("calibration.jsonl")
    pairs = collect_pairs([calibration])
    if not pairs:
        raise InputError(f"{calibration} holds no pairs to compare the export on.")
    loaded, family = _load(model_folder, precision)
    model = loaded.engine.model
    shape = family.shape(model.config)
    card = replace(loaded.card, name=name) if name else loaded.card
    if not card.modes:
        raise ModelError(f"{model_folder / CARD_FILE} names no mode under `modes`. Add one.")

    graphs, kept = (family.graphs, {}) if base is None else _beside(Path(place_of(base)), shape)
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{output.name}.", dir=output.parent) as temporary:
        folder = Path(temporary) / "export"
        folder.mkdir()
        loaded.codec.tokenizer.no_padding()
        loaded.codec.tokenizer.no_truncation()
        with writing(output, Exception):
            _write_graphs(graphs(shape, model, precision), folder)
            loaded.codec.tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
        check = compare(loaded, card, folder, pairs, precision, rounded=base is None)
        manifest = Manifest(
            card=card,
            precision=precision,
            architecture={"model_type": model.config.model_type, **asdict(shape)},
            tokens=asdict(loaded.codec.special),
            check={**check, **kept, "calibration_sha256": sha256_of_file(calibration)},
            files={path.name: sha256_of_file(path) for path in sorted(folder.iterdir())},
            promptlift_version=__version__,
        )
        manifest.write(folder)
        if output.exists():
            # Moved, not deleted: an interrupt between the two leaves no half of either.
            output.rename(Path(temporary) / "earlier")
        folder.rename(output)
    return manifest


def _load(folder: Path, precision: str) -> "tuple[Any, Family]":
    """A trained model, and its family."""
    try:
        from promptlift.export.families import FAMILIES
        from promptlift.improving.engines.torch import load_torch
    except ImportError as error:
        raise MissingExtraError("Exporting a model", "train") from error
    if not folder.is_dir():
        raise ModelError(
            f"{folder} does not exist or is no folder. Give the folder of a trained model."
        )
    if is_exported(folder):
        raise ModelError(f"{folder} is exported already. Give the folder of the trained model.")
    loaded = load_torch(str(folder))
    name = loaded.engine.model.config.model_type
    family = FAMILIES[name]  # load_torch knows no other
    if precision not in family.precisions:
        raise ConfigError(
            f"precision is {precision!r}, and a {name} model can be exported in "
            f"{', '.join(family.precisions)}."
        )
    return loaded, family


def _beside(base: Path, shape: Any) -> "tuple[Graphs, dict[str, str]]":
    """What makes graphs beside a base's weights, and what the check says of it."""
    from promptlift.export.llama import graphs
    from promptlift.export.restore import base_weights

    return partial(graphs, base=base_weights(base, shape)), {"base": Manifest.read(base).model_id}


def _write_graphs(graphs: "Iterable[tuple[str, onnx.ModelProto]]", folder: Path) -> None:
    import onnx

    for file, graph in graphs:
        # ByteSize() of the whole graph fails above the very limit that is asked about.
        size = sum(len(item.raw_data) for item in graph.graph.initializer)
        if size > MAX_GRAPH_BYTES:
            raise ModelError(
                f"{file} would take {size / 1e9:.1f} GB, above the 2 GB of an "
                "ONNX file. Export with --precision int8, or a smaller model."
            )
        if size > MAX_FILE_BYTES:
            _set_apart(graph, size, file)
        onnx.save(graph, str(folder / file))
        for path in folder.glob(f"{file}.*"):  # onnx hides them from other users
            path.chmod((folder / file).stat().st_mode)


def _set_apart(graph: "onnx.ModelProto", size: int, file: str) -> None:
    """Let the weights be written to files `file`.1, `file`.2, ..., of about one size.

    What was learned after the rounding of a base is in the last one: the others are the base's.
    """
    from onnx.external_data_helper import set_external_data

    from promptlift.export.llama import LEARNED

    items = graph.graph.initializer
    size -= sum(len(item.raw_data) for item in items if item.name.startswith(LEARNED))
    files, before = -(-size // MAX_FILE_BYTES), 0
    for item in items:
        if item.name.startswith(LEARNED):
            set_external_data(item, f"{file}.{1 + files}")
        elif len(item.raw_data) >= _SMALLEST_APART:
            set_external_data(item, f"{file}.{1 + before * files // size}")
            before += len(item.raw_data)


def _check_output(output: Path, overwrite: bool) -> None:
    if output.is_symlink() or not output.name:  # neither can be replaced by a rename
        raise ConfigError(f"{output} is a link or the current folder. Name another folder.")
    if not output.exists():
        return
    if not output.is_dir() or (any(output.iterdir()) and not is_exported(output)):
        raise ConfigError(f"{output} exists and is no exported model. Name another folder.")
    if any(output.iterdir()) and not overwrite:
        raise ConfigError(f"{output} holds an exported model. Pass --overwrite to replace it.")
