"""The loop in which all models of the pocket world learn: stopped at any moment, it goes on.

Muon or AdamW with warm-up and cosine, and an exponential average of the weights. The batch
of a step depends on the step alone, so a run that was killed goes on with the batches it would
have seen.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from promptlift.files import atomic_path
from promptlift.training.models import use_bf16
from promptlift.training.muon import Muon

_REPORT_S = 20.0


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long and how fast a model learns.

    Attributes:
        steps: updates.
        batch_size: pictures an update.
        learning_rate: its highest.
        warmup: updates until it is reached; afterwards it falls to a fiftieth along a cosine.
        weight_decay: decoupled.
        average: share of the old average that a step keeps.
        seed: of batches and of weights.
        muon: with Muon, which needs fewer steps; AdamW otherwise, whose steps cost less where a
            batch is small beside the weights.
    """

    steps: int
    batch_size: int
    learning_rate: float
    warmup: int = 100
    weight_decay: float = 0.01
    average: float = 0.999
    seed: int = 0
    muon: bool = False

    def taken_up(self) -> "Schedule":
        """A shorter one, for a trained model that is to learn other captions."""
        return replace(
            self,
            steps=self.steps // 4,
            learning_rate=self.learning_rate / 2,
            average=0.995,
            seed=self.seed + 100,
        )

    def rate(self, step: int) -> float:
        """Learning rate of a step, as a share of the highest."""
        if step < self.warmup:
            return (step + 1) / self.warmup
        done = (step - self.warmup) / max(1, self.steps - self.warmup)
        return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done))


def learn(
    model: nn.Module,
    loss_of: Callable[[np.random.Generator], Tensor],
    schedule: Schedule,
    checkpoint: Path,
    report: Callable[[str], None],
    *,
    save_s: float = 90.0,
) -> None:
    """Train a model, and leave the average of its weights in it.

    Args:
        model: holds all parameters that learn.
        loss_of: the loss of a batch that it draws with the generator of the step.
        schedule: how long and how fast.
        checkpoint: file to go on from, and to go on from later.
        report: is told the step, the mean loss since the last time, and minutes left.
        save_s: seconds between checkpoints.
    """
    named = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
    learning: list[Tensor] = [weight for _, weight in named]
    rate, decay = schedule.learning_rate, schedule.weight_decay
    optimizer = (
        Muon(named, rate, decay)
        if schedule.muon
        else torch.optim.AdamW(learning, rate, (0.9, 0.98), weight_decay=decay)
    )
    averages = [weight.detach().clone() for weight in learning]
    start = 0
    if checkpoint.exists():
        state = torch.load(checkpoint, weights_only=True)
        start = state["step"]
        optimizer.load_state_dict(state["optimizer"])
        with torch.no_grad():
            for weight, average, kept, mean in zip(
                learning, averages, state["weights"], state["averages"], strict=True
            ):
                weight.copy_(kept)
                average.copy_(mean)
        report(f"going on from step {start} of {schedule.steps}")
    half = use_bf16("auto")
    model.train()
    began = saved = told = time.monotonic()
    losses: list[float] = []
    for step in range(start, schedule.steps):
        for group in optimizer.param_groups:
            group["lr"] = schedule.learning_rate * schedule.rate(step)
        torch.manual_seed(schedule.seed * 1_000_003 + step)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            loss = loss_of(np.random.default_rng((schedule.seed, step)))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(learning, 1.0)
        optimizer.step()
        keep = min(schedule.average, (step + 1) / (step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(averages, learning, 1 - keep)
        losses.append(float(loss.detach()))
        now = time.monotonic()
        last = step + 1 == schedule.steps
        if now - told >= _REPORT_S or last:
            told = now
            left = (now - began) / (step + 1 - start) * (schedule.steps - step - 1) / 60
            report(
                f"step {step + 1} of {schedule.steps}, loss {np.mean(losses):.4f}, "
                f"{left:.1f} min left"
            )
            losses.clear()
        if now - saved >= save_s or last:
            saved = now
            _save(checkpoint, step + 1, optimizer, learning, averages)
    with torch.no_grad():
        for weight, average in zip(learning, averages, strict=True):
            weight.copy_(average)
    model.eval()


def _save(
    path: Path,
    step: int,
    optimizer: torch.optim.Optimizer,
    weights: list[Tensor],
    averages: list[Tensor],
) -> None:
    state = {
        "step": step,
        "optimizer": optimizer.state_dict(),
        "weights": [weight.detach() for weight in weights],
        "averages": averages,
    }
    with atomic_path(path) as temporary:
        torch.save(state, temporary)
