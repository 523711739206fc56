"""PyTorch as engine: for GPUs, and for models that are not exported."""

import inspect
import os
from pathlib import Path
from typing import Any

from promptlift.errors import MissingExtraError, ModelError
from promptlift.files import sha256_of_file, sha256_of_weights
from promptlift.improving.codec import Codec, SpecialTokens
from promptlift.improving.engines.engine import CANDIDATES, IntArray, StepLogits
from promptlift.improving.manifest import ModelCard
from promptlift.improving.model import LoadedModel

try:
    import torch
    from transformers import AutoConfig, AutoTokenizer, T5ForConditionalGeneration
    from transformers.cache_utils import DynamicCache, EncoderDecoderCache
    from transformers.modeling_outputs import BaseModelOutput
    from transformers.utils import logging as transformers_logging
except ImportError as error:
    raise MissingExtraError("Using a model that is not exported", "train") from error


class TorchEngine:
    """Runs `T5ForConditionalGeneration` in float32: T5 overflows in float16.

    Args:
        model: in evaluation mode, on its device.
    """

    libraries: tuple[str, ...] = ("torch", "transformers")

    def __init__(self, model: Any) -> None:
        self.model = model
        self.vocab_size = int(model.config.vocab_size)

    def start(self, input_ids: IntArray, attention_mask: IntArray) -> "TorchState":
        """Encode sources, see `Engine.start`."""
        return TorchState(self.model, input_ids, attention_mask)

    @torch.inference_mode()
    def token_log_probabilities(self, source: IntArray, target: list[int]) -> list[float]:
        """Natural-log probability of each target token, all in one pass; source [1, tokens]."""
        device = self.model.device
        start = self.model.config.decoder_start_token_id
        logits = self.model(
            input_ids=torch.tensor(source, device=device),
            decoder_input_ids=torch.tensor([[start, *target[:-1]]], device=device),
        ).logits
        chosen = torch.tensor(target, device=device)[None, :, None]
        found: list[float] = logits.double().log_softmax(-1).gather(2, chosen)[0, :, 0].tolist()
        return found


class TorchState:
    """The encoder's output and the decoder's cache, on the model's device."""

    @torch.inference_mode()
    def __init__(self, model: Any, input_ids: IntArray, attention_mask: IntArray) -> None:
        self._model = model
        self._mask = torch.tensor(attention_mask, device=model.device)
        ids = torch.tensor(input_ids, device=model.device)
        self._encoded = model.encoder(input_ids=ids, attention_mask=self._mask).last_hidden_state
        self._cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
        # transformers 5.24 renamed it, and warns of the old name.
        known = inspect.signature(model.forward).parameters
        self._cache_name = "cache" if "cache" in known else "past_key_values"

    @torch.inference_mode()
    def step(self, tokens: IntArray) -> StepLogits:
        """Feed a token of each row, see `DecoderState.step`."""
        output = self._model(
            encoder_outputs=BaseModelOutput(last_hidden_state=self._encoded),
            attention_mask=self._mask,
            decoder_input_ids=torch.tensor(tokens, device=self._model.device)[:, None],
            use_cache=True,
            **{self._cache_name: self._cache},  # written to in place
        )
        logits = output.logits[:, -1].float().cpu()
        top = logits.topk(min(CANDIDATES, logits.shape[1]), dim=1)
        return StepLogits(top.values.numpy(), top.indices.numpy(), logits.numpy)

    @torch.inference_mode()
    def keep(self, rows: IntArray) -> None:
        """Keep only these rows, see `DecoderState.keep`."""
        kept = torch.tensor(rows, device=self._model.device)
        self._mask, self._encoded = self._mask[kept], self._encoded[kept]
        self._cache.batch_select_indices(kept)


class TorchModel(LoadedModel):
    """A model whose engine is PyTorch."""

    engine: TorchEngine


def load_torch(
    name: str, *, threads: int | None = None, dropout_rate: float | None = None
) -> TorchModel:
    """Load a T5 or FLAN-T5 from a folder or the Hub, in float32, on the GPU where there is one.

    Args:
        name: folder or Hub name.
        threads: of torch; None leaves them as they are.
        dropout_rate: while it is trained; None takes the model's own.

    Raises:
        ModelError: it is not there, cannot be reached, is damaged or no T5.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    model, tokenizer = _read_t5(name, dropout_rate)
    config = model.config
    tokens = SpecialTokens(
        pad=int(config.pad_token_id),
        eos=int(config.eos_token_id),
        unk=int(tokenizer.unk_token_id),
        decoder_start=int(config.decoder_start_token_id),
    )
    card = ModelCard.read(Path(name))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return TorchModel(
        TorchEngine(model.eval().to(device)),
        Codec(tokenizer.backend_tokenizer, tokens),
        card,
        f"{card.name}@{_weights_hash(Path(name), model)}",
    )


def _read_t5(name: str, dropout_rate: float | None) -> tuple[Any, Any]:
    """The model with all of its weights, and its tokenizer."""
    transformers_logging.disable_progress_bar()
    is_folder = Path(name).is_dir()
    offline = os.environ.get("HF_HUB_OFFLINE", "") not in ("", "0")
    if not is_folder and (name.startswith((".", "/", "~")) or name.count("/") > 1):
        raise ModelError(
            f"model {name!r} is no folder. "
            "Give an exported folder, a T5 or FLAN-T5 folder, or a Hub name."
        )
    try:
        config = AutoConfig.from_pretrained(name, local_files_only=offline)
        if config.model_type != "t5":
            raise ModelError(f"{name} is a {config.model_type!r} model; only T5 kinds can be used.")
        if dropout_rate is not None:
            config.dropout_rate = dropout_rate
        tokenizer = AutoTokenizer.from_pretrained(name, local_files_only=offline)
        model, report = T5ForConditionalGeneration.from_pretrained(
            name,
            config=config,
            dtype=torch.float32,
            local_files_only=offline,
            output_loading_info=True,
        )
    except ModelError:
        raise
    except Exception as error:  # transformers raises a score of kinds here
        if offline and not is_folder:  # Hub models downloaded before load from the cache
            raise ModelError(
                f"model {name!r} is no folder and not among the models downloaded before, and "
                "HF_HUB_OFFLINE keeps the Hub out of reach. Give an exported folder, a T5 or "
                "FLAN-T5 folder, or unset HF_HUB_OFFLINE."
            ) from error
        raise ModelError(
            f"model {name!r} cannot be loaded: {str(error).strip().splitlines()[0]} "
            "Check the folder or the Hub name, and the connection if it is a Hub name."
        ) from error
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
    return model, tokenizer


def _weights_hash(folder: Path, model: Any) -> str:
    """The first 12 hex digits of the weights' hash: of their file, or of the loaded tensors."""
    file = folder / "model.safetensors"
    return (sha256_of_file(file) if file.is_file() else sha256_of_weights(model))[:12]
