"""T5 in PyTorch: the encoder once, then the decoder a token at a time."""

from typing import Any

import torch
from transformers.cache_utils import DynamicCache, EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput

from promptlift.improving.engines.engine import IntArray, StepLogits
from promptlift.improving.engines.torch_steps import (
    cache_name,
    log_probabilities_of,
    step_logits,
)


class T5Engine:
    """Runs `T5ForConditionalGeneration` in float32: T5 overflows in float16.

    Args:
        model: in evaluation mode, on its device.
    """

    libraries: tuple[str, ...] = ("torch", "transformers")

    def __init__(self, model: Any) -> None:
        self.model = model
        self.vocab_size = int(model.config.vocab_size)

    def start(self, input_ids: IntArray, attention_mask: IntArray) -> "T5State":
        """Encode sources, see `Engine.start`."""
        return T5State(self.model, input_ids, attention_mask)

    @torch.inference_mode()
    def token_log_probabilities(self, source: IntArray, target: list[int]) -> list[float]:
        """Natural-log probability of each target token, all in one pass; source [1, tokens]."""
        device = self.model.device
        start = self.model.config.decoder_start_token_id
        logits = self.model(
            input_ids=torch.tensor(source, device=device),
            decoder_input_ids=torch.tensor([[start, *target[:-1]]], device=device),
        ).logits
        return log_probabilities_of(target, logits)


class T5State:
    """The encoder's output and the decoder's cache, on the model's device."""

    @torch.inference_mode()
    def __init__(self, model: Any, input_ids: IntArray, attention_mask: IntArray) -> None:
        self._model = model
        self._mask = torch.tensor(attention_mask, device=model.device)
        ids = torch.tensor(input_ids, device=model.device)
        self._encoded = model.encoder(input_ids=ids, attention_mask=self._mask).last_hidden_state
        self._cache = EncoderDecoderCache(DynamicCache(), DynamicCache())
        self._cache_name = cache_name(model)

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
        return step_logits(output.logits[:, -1])

    @torch.inference_mode()
    def keep(self, rows: IntArray) -> None:
        """Keep only these rows, see `DecoderState.keep`."""
        kept = torch.tensor(rows, device=self._model.device)
        self._mask, self._encoded = self._mask[kept], self._encoded[kept]
        self._cache.batch_select_indices(kept)
