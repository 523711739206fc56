"""What a step of every PyTorch model has in common."""

import inspect
from typing import Any

import torch

from promptlift.improving.engines.engine import CANDIDATES, StepLogits


def cache_name(model: Any) -> str:
    """The argument that takes a cache: transformers 5.24 renamed it, and warns of the old name."""
    known = inspect.signature(model.forward).parameters
    return "cache" if "cache" in known else "past_key_values"


def log_probabilities_of(target: list[int], logits: torch.Tensor) -> list[float]:
    """Natural-log probability of each token of a target; logits [1, tokens, vocabulary]."""
    chosen = torch.tensor(target, device=logits.device)[None, :, None]
    found: list[float] = logits.double().log_softmax(-1).gather(2, chosen)[0, :, 0].tolist()
    return found


def step_logits(logits: torch.Tensor) -> StepLogits:
    """Logits of the next token [batch, vocabulary], and the largest of them in order."""
    logits = logits.float().cpu()
    top = logits.topk(min(CANDIDATES, logits.shape[1]), dim=1)
    return StepLogits(top.values.numpy(), top.indices.numpy(), logits.numpy)
