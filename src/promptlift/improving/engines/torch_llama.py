"""Decoder-only models in PyTorch: the source fills the cache, then a token at a time."""

from typing import Any

import torch
from transformers.cache_utils import DynamicCache

from promptlift.improving.engines.engine import IntArray, StepLogits
from promptlift.improving.engines.torch_steps import (
    cache_name,
    log_probabilities_of,
    step_logits,
)


class LlamaEngine:
    """Runs `LlamaForCausalLM` in float32.

    Args:
        model: in evaluation mode, on its device.
        decoder_start: the token between a source and its target.
    """

    libraries: tuple[str, ...] = ("torch", "transformers")

    def __init__(self, model: Any, decoder_start: int) -> None:
        self.model, self.decoder_start = model, decoder_start
        self.vocab_size = int(model.config.vocab_size)

    def start(self, input_ids: IntArray, attention_mask: IntArray) -> "LlamaState":
        """Read sources, see `Engine.start`."""
        return LlamaState(self.model, input_ids, attention_mask)

    @torch.inference_mode()
    def token_log_probabilities(self, source: IntArray, target: list[int]) -> list[float]:
        """Natural-log probability of each target token, all in one pass; source [1, tokens]."""
        device = self.model.device
        ids = torch.tensor([[*source[0].tolist(), self.decoder_start, *target[:-1]]], device=device)
        logits = self.model(input_ids=ids, logits_to_keep=len(target)).logits
        return log_probabilities_of(target, logits)


class LlamaState:
    """The cache of sources and of what followed them, on the model's device.

    A source's padding stays in the cache and is never attended to; positions of a row go on from
    its own length.
    """

    @torch.inference_mode()
    def __init__(self, model: Any, input_ids: IntArray, attention_mask: IntArray) -> None:
        self._model = model
        self._mask = torch.tensor(attention_mask, device=model.device)
        self._positions = self._mask.sum(1, keepdim=True)  # of the next token, [batch, 1]
        self._cache_name = cache_name(model)
        self._cache = DynamicCache()
        places = torch.arange(input_ids.shape[1], device=model.device)
        self._read(torch.tensor(input_ids, device=model.device), places.expand(*input_ids.shape))

    @torch.inference_mode()
    def step(self, tokens: IntArray) -> StepLogits:
        """Feed a token of each row, see `DecoderState.step`."""
        self._mask = torch.cat([self._mask, torch.ones_like(self._positions)], 1)
        hidden = self._read(
            torch.tensor(tokens, device=self._model.device)[:, None], self._positions
        )
        self._positions = self._positions + 1
        return step_logits(self._model.lm_head(hidden[:, -1]))

    @torch.inference_mode()
    def keep(self, rows: IntArray) -> None:
        """Keep only these rows, see `DecoderState.keep`."""
        kept = torch.tensor(rows, device=self._model.device)
        self._mask, self._positions = self._mask[kept], self._positions[kept]
        self._cache.batch_select_indices(kept)

    def _read(self, ids: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """Hidden states of further tokens, [batch, tokens, width], which the cache then holds."""
        output = self._model.model(
            input_ids=ids,
            attention_mask=self._mask,
            position_ids=positions,
            use_cache=True,
            **{self._cache_name: self._cache},  # written to in place
        )
        hidden: torch.Tensor = output.last_hidden_state
        return hidden
