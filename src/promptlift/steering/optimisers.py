"""Optimisers of embeddings: PyTorch's AdamW, and that of Deckers and others."""

from collections.abc import Callable, Iterable
from typing import Any

import torch


class AdamOnLion(torch.optim.Optimizer):
    """Steps in Lion's direction that have Adam's size.

    s = sign(g1 m + (1 - g1) g); a step is -rate s |a| / |s| for each tensor, with Adam's step a;
    then m becomes g2 m + (1 - g2) g. As in the code of Deckers, Peters and Potthast, IJCAI 2024.

    Args:
        parameters: to be moved.
        lr: the learning rate.
    """

    def __init__(self, parameters: Iterable[torch.Tensor], lr: float) -> None:
        super().__init__(
            parameters, {"lr": lr, "betas": (0.9, 0.999), "gammas": (0.9, 0.99), "eps": 1e-3}
        )

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Move every tensor by its gradient."""
        for group in self.param_groups:
            (b1, b2), (g1, g2) = group["betas"], group["gammas"]
            for one in group["params"]:
                if one.grad is None:
                    continue
                state, grad = self.state[one], one.grad
                if not state:
                    zeros = torch.zeros_like
                    state.update(step=0, mean=zeros(one), square=zeros(one), lion=zeros(one))
                state["step"] += 1
                state["mean"].mul_(b1).add_(grad, alpha=1 - b1)
                state["square"].mul_(b2).addcmul_(grad, grad, value=1 - b2)
                mean = state["mean"] / (1 - b1 ** state["step"])
                square = state["square"] / (1 - b2 ** state["step"])
                adam = mean / (square.sqrt() + group["eps"])
                sign = (g1 * state["lion"] + (1 - g1) * grad).sign()
                if length := float(sign.norm()):
                    one.sub_(group["lr"] * adam.norm() / length * sign)
                state["lion"].mul_(g2).add_(grad, alpha=1 - g2)


def _adamw(parameters: Iterable[torch.Tensor], rate: float) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=rate, eps=1e-8, weight_decay=0.0)


OPTIMISERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "adamw": _adamw, "adam-on-lion": AdamOnLion
}  # fmt: skip
