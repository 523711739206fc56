"""Learning from preferences: of two targets for one source, the better one becomes likelier.

Direct preference optimisation (Rafailov et al., NeurIPS 2023, equation 7), for T5 and Llama alike.
The model before its first step is the reference that the other one stays near. Pairs without a
worse target, as old ones that are mixed in, are learned as ever.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from promptlift.training.examples import IGNORED, Collate, Row


def loss_of(
    call: Callable[..., Any],
    batch: dict[str, Any],
    *,
    beta: float,
    likelihood: float,
    decoder_only: bool,
) -> tuple[Tensor, Any]:
    """The loss of a batch as `collate` makes it, and the model's outputs.

    Without worse targets the model's own: the mean over the targets' tokens. With some, the mean
    over pairs, of which those without a worse target count by the mean over their tokens.

    Args:
        call: gives the model's outputs of a batch.
        batch: of `collate`; `paired` and `reference` are taken out.
        beta: the larger, the nearer the model stays to the reference.
        likelihood: weight of the better target's own loss, the mean over its tokens. The
            difference alone may grow while both become unlikely, and the language with them (Pang
            et al., "Iterative Reasoning Preference Optimization", NeurIPS 2024, equation 2).
        decoder_only: as for a Llama.
    """
    paired, reference = batch.pop("paired", None), batch.pop("reference", None)
    outputs = call(**batch)
    if paired is None:
        return outputs.loss, outputs
    found, tokens = log_likelihood(outputs.logits, batch["labels"], decoder_only)
    pairs = len(found) - len(paired)
    losses = -found[:pairs] / tokens[:pairs]
    margin = found[paired] - found[pairs:] - reference
    preferred = likelihood * losses[paired] - functional.logsigmoid(beta * margin)
    return losses.index_copy(0, paired, preferred).mean(), outputs


def log_likelihood(logits: Tensor, labels: Tensor, decoder_only: bool) -> tuple[Tensor, Tensor]:
    """The log-probability of each target, and how many tokens it has, [rows] both.

    Args:
        logits: [rows, length, vocabulary].
        labels: [rows, length], `IGNORED` where nothing is learned.
        decoder_only: whether the logits at a place foretell the next label.
    """
    if decoder_only:
        logits, labels = logits[:, :-1], labels[:, 1:]
    known = labels != IGNORED
    chosen = labels.where(known, torch.zeros_like(labels))[..., None]
    each = logits.float().log_softmax(-1).gather(-1, chosen)[..., 0]
    return (each * known).sum(-1), known.sum(-1)


@torch.no_grad()
def add_reference(
    rows: list[Row],
    model: Any,
    collate: Collate,
    device: torch.device,
    decoder_only: bool,
    batch_size: int = 8,
) -> None:
    """Note in each row with a worse target by how much the model finds the better one likelier."""
    preferences = [row for row in rows if "rejected_ids" in row]
    was_training = model.training
    model.eval()
    for first in range(0, len(preferences), batch_size):
        part = preferences[first : first + batch_size]
        batch: dict[str, Any] = {
            name: item if isinstance(item, int) else item.to(device)
            for name, item in collate(part).items()
        }
        del batch["paired"], batch["reference"]
        found, _ = log_likelihood(model(**batch).logits, batch["labels"], decoder_only)
        better, worse = found.chunk(2)
        for row, difference in zip(part, (better - worse).tolist(), strict=True):
            row["reference"] = difference
    model.train(was_training)
