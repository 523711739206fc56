"""Loading an encoder for BERTScore: its layers, its limit of tokens, and its fingerprint."""

from pathlib import Path
from typing import Any

from promptlift.errors import ConfigError, MissingExtraError, ModelError
from promptlift.files import sha256_of_file

_LONGEST = 1 << 20  # tokenizers without a limit say 1e30
_LAYERS_AT = (
    "encoder.layer", "transformer.layer", "encoder.block", "encoder.layers", "layer", "layers",
    "h", "block",
)  # fmt: skip


def load(folder: str, offline: bool) -> tuple[Any, Any]:
    """Tokenizer and encoder; of an encoder-decoder the encoder alone.

    Raises:
        MissingExtraError: the extra `score` is not installed.
        ModelError: the encoder cannot be loaded.
    """
    try:
        from transformers import AutoModel, AutoTokenizer
        from transformers.utils import logging
    except ImportError as error:
        raise MissingExtraError("BERTScore", "score") from error
    showed = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=offline)
        model = AutoModel.from_pretrained(folder, local_files_only=offline, dtype="float32")
    except (OSError, ValueError, KeyError, ImportError) as error:
        reason = str(error).strip().split("\n")[0]
        raise ModelError(
            f"encoder {folder} cannot be loaded: {reason} Give a folder or a Hub name that can "
            "be reached, or --encoder all-MiniLM-L6-v2, the small one that is installed."
        ) from error
    finally:
        if showed:
            logging.enable_progress_bar()
    both = hasattr(model, "decoder") and hasattr(model, "encoder")
    return tokenizer, model.encoder if both else model


def cut_layers(model: Any, layer: int, name: str) -> int:
    """Drop the layers above the one that is compared, as bert_score does; how many there were."""
    import torch

    if model.config.model_type == "albert":  # one layer, run several times
        count = int(model.config.num_hidden_layers)
        _check_layer(layer, count, name)
        model.encoder.config.num_hidden_layers = layer
        return count
    for path in _LAYERS_AT:
        holder: Any = model
        *outer, last = path.split(".")
        for part in outer:
            holder = getattr(holder, part, None)
        layers = getattr(holder, last, None)
        if isinstance(layers, torch.nn.ModuleList):
            _check_layer(layer, len(layers), name)
            setattr(holder, last, layers[:layer])
            return len(layers)
    raise ModelError(f"{name} is no encoder whose layers are known: {type(model).__name__}")


def _check_layer(layer: int, count: int, name: str) -> None:
    if not 0 <= layer <= count:
        raise ConfigError(f"layer is {layer}; {name} has layers 0 to {count}")


def token_limit(tokenizer: Any, config: Any) -> int:
    """Tokens that the encoder reads, marks included."""
    limit = min(tokenizer.model_max_length, _LONGEST)
    positions = getattr(config, "max_position_embeddings", None)
    if isinstance(positions, int) and positions > 0 and not hasattr(config, "relative_attention"):
        # RoBERTa's positions begin after the number of its padding token.
        offset = config.pad_token_id + 1 if "roberta" in config.model_type else 0
        limit = min(limit, positions - offset)
    return int(limit)


def fingerprint(folder: str, model: Any) -> str | None:
    """What tells these weights from others: their hash, or the Hub's revision."""
    path = Path(folder) / "model.safetensors"
    if path.is_file():
        return sha256_of_file(path)[:12]
    revision = getattr(model.config, "_commit_hash", None)
    return None if revision is None else str(revision)[:12]
