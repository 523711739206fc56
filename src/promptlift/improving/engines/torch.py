"""PyTorch as engine: for GPUs, and for models that are not exported."""

import os
from pathlib import Path
from typing import Any

from promptlift.errors import MissingExtraError, ModelError, first_line
from promptlift.files import sha256_of_file, sha256_of_weights
from promptlift.improving.codec import Codec, SpecialTokens
from promptlift.improving.manifest import ModelCard
from promptlift.improving.model import LoadedModel

try:
    import torch
    from transformers import (
        AutoConfig,
        AutoTokenizer,
        LlamaForCausalLM,
        T5ForConditionalGeneration,
    )
    from transformers.utils import logging as transformers_logging
except ImportError as error:
    raise MissingExtraError("Using a model that is not exported", "train") from error

from promptlift.improving.engines.torch_llama import LlamaEngine
from promptlift.improving.engines.torch_t5 import T5Engine

# By what their configuration calls them.
_CLASSES = {"t5": T5ForConditionalGeneration, "llama": LlamaForCausalLM}
_WANTED = "an exported folder, the folder of a T5, FLAN-T5 or Llama model, or a Hub name"

TorchEngine = T5Engine | LlamaEngine


def torch_engine(model: Any, decoder_start: int) -> TorchEngine:
    """The engine of a model's family, see `Engine`.

    Args:
        model: a T5 or a Llama in evaluation mode, on its device.
        decoder_start: the token that the decoder begins with.
    """
    if model.config.model_type == "t5":
        return T5Engine(model)
    return LlamaEngine(model, decoder_start)


class TorchModel(LoadedModel):
    """A model whose engine is PyTorch."""

    engine: TorchEngine


def load_torch(
    name: str, *, threads: int | None = None, dropout_rate: float | None = None
) -> TorchModel:
    """Load a T5, FLAN-T5 or Llama from a folder or the Hub, in float32, on the GPU if there is one.

    A model of another kind whose configuration says "llama", as TinyLlama and SmolLM2, is a Llama
    too. A folder may hold a GGUF file alone.

    Args:
        name: folder or Hub name.
        threads: of torch; None leaves them as they are.
        dropout_rate: while it is trained; None takes the model's own.

    Raises:
        ModelError: it is not there, cannot be reached, is damaged or of another kind.
        MissingExtraError: a GGUF file without the package `gguf`.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    model, tokenizer = _read(name, dropout_rate)
    tokens = _special_tokens(name, model.config, tokenizer)
    card = ModelCard.read(Path(name))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return TorchModel(
        torch_engine(model.eval().to(device), tokens.decoder_start),
        Codec(tokenizer.backend_tokenizer, tokens),
        card,
        f"{card.name}@{_weights_hash(Path(name), model)}",
    )


def gguf_file(name: str) -> dict[str, str]:
    """What `from_pretrained` needs in addition for a folder that holds a GGUF file alone."""
    folder = Path(name)
    if not folder.is_dir() or (folder / "config.json").exists():
        return {}
    found = sorted(path.name for path in folder.glob("*.gguf"))
    if len(found) > 1:
        raise ModelError(f"{folder} holds {len(found)} GGUF files; keep one: {', '.join(found)}.")
    return {"gguf_file": found[0]} if found else {}


def _special_tokens(name: str, config: Any, tokenizer: Any) -> SpecialTokens:
    """Of a decoder-only model the token that begins a text stands between source and target."""
    if config.model_type == "t5":
        return SpecialTokens(
            pad=int(config.pad_token_id),
            eos=int(config.eos_token_id),
            unk=int(tokenizer.unk_token_id),
            decoder_start=int(config.decoder_start_token_id),
        )
    eos = tokenizer.eos_token_id
    if eos is None:
        raise ModelError(f"{name}: the tokenizer has no end token; name one as its `eos_token`.")

    def or_end(found: int | None) -> int:
        return int(eos if found is None else found)

    return SpecialTokens(
        pad=or_end(tokenizer.pad_token_id),
        eos=int(eos),
        unk=or_end(tokenizer.unk_token_id),
        decoder_start=or_end(tokenizer.bos_token_id),
    )


def _read(name: str, dropout_rate: float | None) -> tuple[Any, Any]:
    """The model with all of its weights, and its tokenizer."""
    transformers_logging.disable_progress_bar()
    is_folder = Path(name).is_dir()
    offline = os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0")
    if not is_folder and (name.startswith((".", "/", "~")) or name.count("/") > 1):
        raise ModelError(f"model {name!r} is no folder. Give {_WANTED}.")
    where = {"local_files_only": offline, **gguf_file(name)}
    try:
        config = AutoConfig.from_pretrained(name, **where)
        if config.model_type not in _CLASSES:
            raise ModelError(
                f"{name} is a {config.model_type!r} model; only {' and '.join(_CLASSES)} kinds can "
                "be used."
            )
        _forget_quantization(config)
        if dropout_rate is not None:
            kind = "dropout_rate" if config.model_type == "t5" else "attention_dropout"
            setattr(config, kind, dropout_rate)
        tokenizer = AutoTokenizer.from_pretrained(name, **where)
        model, report = _CLASSES[config.model_type].from_pretrained(
            name, config=config, dtype=torch.float32, output_loading_info=True, **where
        )
    except ModelError:
        raise
    except Exception as error:  # transformers raises a score of kinds here
        raise _unreadable(name, offline and not is_folder, error) from error
    if absent := sorted(report["missing_keys"]):
        # transformers fills them with random values and goes on.
        raise ModelError(
            f"{name} lacks {len(absent)} of the model's weights, {absent[0]!r} first. "
            "Download or save the model again."
        )
    if len(tokenizer) > model.config.vocab_size:
        raise ModelError(
            f"{name}: the tokenizer has {len(tokenizer)} pieces and the model "
            f"{model.config.vocab_size}: they do not belong together."
        )
    return (_built_anew(model) if "gguf_file" in where else model), tokenizer


def _unreadable(name: str, hub_is_off: bool, error: Exception) -> ModelError | MissingExtraError:
    """Why a model cannot be loaded, for people."""
    if gguf_file(name) and isinstance(error, ImportError):
        return MissingExtraError("Reading a GGUF file", "train")
    if hub_is_off:  # Hub models downloaded before load from the cache
        return ModelError(
            f"model {name!r} is no folder and not among the models downloaded before, and "
            f"HF_HUB_OFFLINE keeps the Hub out of reach. Give {_WANTED}, or unset HF_HUB_OFFLINE."
        )
    return ModelError(
        f"model {name!r} cannot be loaded: {first_line(error)}. "
        "Check the folder or the Hub name, and the connection if it is a Hub name."
    )


def _forget_quantization(config: Any) -> None:
    """Weights that were read from a GGUF file are whole numbers no longer, and can be saved."""
    if hasattr(config, "quantization_config"):
        del config.quantization_config


def _built_anew(read: Any) -> Any:
    """The same model without the marks of a GGUF file, with which it could not be saved."""
    _forget_quantization(read.config)
    model = type(read)(read.config)
    model.load_state_dict(read.state_dict())
    return model


def _weights_hash(folder: Path, model: Any) -> str:
    """The first 12 hex digits of the weights' hash: of their file, or of the loaded tensors."""
    file = folder / "model.safetensors"
    return (sha256_of_file(file) if file.is_file() else sha256_of_weights(model))[:12]
