"""What a step costs, counted from shapes."""

from dataclasses import replace

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from benchmarks.steering.cost import architecture_of
from benchmarks.steering.counted import LiveTensors, operations, peak_bytes, weight_bytes
from promptlift.illustrating.illustrator import Illustrator


@pytest.mark.parametrize("mode", [FakeTensorMode, torch.no_grad])
def test_what_lives_at_once_is_counted(mode: type) -> None:
    with mode(), LiveTensors() as live:
        one = torch.zeros(100, dtype=torch.float32)
        two = one + 1
        assert (live.now, live.peak) == (800, 800)
        view = two.reshape(10, 10)
        view.mul_(2)
        assert live.now == 800
        del two
        assert live.now == 800  # the view holds it
        del view
        assert live.now == 400
        three = one[:50].clone()
        assert (live.now, live.peak) == (600, 800)
        del one, three
        assert live.now == 0


def test_checkpoints_save_memory_and_cost_arithmetic(pocket: Illustrator) -> None:
    one = architecture_of(pocket)
    base = pocket.diffusers.pipelines.base
    weights = sum(each.numel() for part in (base.unet, base.vae) for each in part.parameters())
    assert weight_bytes(one) == 4 * weights
    half = replace(one, dtype=torch.float16)
    assert weight_bytes(half) == 2 * weights + 4 * sum(
        each.numel() for each in base.vae.parameters()
    )
    assert peak_bytes(one, 1) < peak_bytes(one, 1, checkpoint=False)
    work = operations(one)
    # On the way back weights get no gradients: as much again, and less than that for activations.
    assert 1 < work["unet back"] / work["unet"] < 2
    assert 1 < work["vae back"] / work["vae"] < 2
