"""Loading an encoder for BERTScore: its layers, its limit of tokens, and its fingerprint."""

from pathlib import Path
from typing import Any

from promptlift.errors import ConfigError, MissingExtraError, ModelError
from promptlift.files import sha256_of_file

_LONGEST = 1 << 20  # tokenizers without a limit say 1e30


def load(folder: str, layer: int, offline: bool) -> tuple[Any, Any, int]:
    """Tokenizer, encoder up to a layer, and how many layers it has in whole.

    Of an encoder-decoder it is the encoder alone. Layers above the one that is compared are not
    loaded, as bert_score drops them.

    Raises:
        ConfigError: the encoder has no such layer.
        MissingExtraError: the extra `score` is not installed.
        ModelError: the encoder cannot be loaded.
    """
    try:
        from transformers import AutoConfig, AutoModel, AutoTokenizer
        from transformers.utils import logging
    except ImportError as error:
        raise MissingExtraError("BERTScore", "score") from error
    showed, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()  # the layers that are left out would be listed
    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=offline)
        count = int(config.num_hidden_layers)
        if not 0 <= layer <= count:
            raise ConfigError(f"layer is {layer}; {folder} has layers 0 to {count}")
        config.num_hidden_layers = layer
        if hasattr(config, "encoder_layers"):  # BART and its kind go by this number
            config.encoder_layers = layer
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=offline)
        model = AutoModel.from_pretrained(
            folder, config=config, local_files_only=offline, dtype="float32"
        )
    except (OSError, ValueError, KeyError, AttributeError, ImportError) as error:
        reason = str(error).strip().split("\n")[0]
        raise ModelError(
            f"encoder {folder} cannot be loaded: {reason} Give a folder or a Hub name that can "
            "be reached, or --encoder all-MiniLM-L6-v2, the small one that is installed."
        ) from error
    finally:
        logging.set_verbosity(verbosity)
        if showed:
            logging.enable_progress_bar()
    both = hasattr(model, "decoder") and hasattr(model, "encoder")
    return tokenizer, model.encoder if both else model, count


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
