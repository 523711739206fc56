"""Weights rounded during training as export will round them, so that LoRA learns around the errors.

Each step reads weights of few bits. Their gradient is taken as if nothing had been rounded
(straight-through, Bengio et al., 2013), and falls to the LoRA matrices alone, so a step costs
little more than one of plain LoRA.
"""

from typing import Any

import torch
from transformers import TrainerCallback

from promptlift.export.quantize import BLOCK_SIZES


def rounded(matrix: torch.Tensor, bits: int) -> torch.Tensor:
    """A matrix [rows, columns] as `export.quantize.by_block` keeps it, in its own type."""
    rows, columns = matrix.shape
    size = BLOCK_SIZES[bits]
    padded = torch.nn.functional.pad(matrix.float(), (0, -columns % size))
    groups = padded.view(rows, -1, size)
    lowest, highest = torch.aminmax(groups, dim=2, keepdim=True)
    middle = 1 << (bits - 1)
    scales = torch.where(highest > -lowest, highest, lowest).div_(-middle).half().float()
    scales[scales == 0] = 1
    whole = (groups / scales).round_().clamp_(-middle, middle - 1)
    return whole.mul_(scales).view(rows, -1)[:, :columns].to(matrix.dtype)


class Rounding(TrainerCallback):  # type: ignore[misc]
    """Keeps the weights under LoRA at what export will make of them, after each step.

    Args:
        model: peft's model.
        bits: of a weight.
    """

    def __init__(self, model: Any, bits: int) -> None:
        from peft.tuners.lora import LoraLayer

        self.bits = bits
        self.layers = [item for item in model.modules() if isinstance(item, LoraLayer)]
        self.exact = [layer.base_layer.weight.detach().clone() for layer in self.layers]
        # The rounded weights hold what LoRA adds: it gets gradients, and adds no value. To what
        # comes before, the weights pass gradients on already.
        self.hooks = []
        for layer in self.layers:
            first, second = layer.lora_A["default"], layer.lora_B["default"]
            self.hooks += [
                first.register_forward_pre_hook(lambda _, inputs: inputs[0].detach()),
                second.register_forward_hook(lambda _, __, output: output - output.detach()),
            ]

    @torch.no_grad()
    def refresh(self) -> None:
        """Round the weights with what LoRA adds to them now."""
        for layer, exact in zip(self.layers, self.exact, strict=True):
            learned = exact + layer.get_delta_weight("default")
            layer.base_layer.weight.copy_(rounded(learned, self.bits))

    @torch.no_grad()
    def undo(self) -> None:
        """The weights as they were, so that what LoRA learned can be added to them."""
        for hook in self.hooks:
            hook.remove()
        for layer, exact in zip(self.layers, self.exact, strict=True):
            layer.base_layer.weight.copy_(exact)

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self.refresh()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.refresh()
