"""Muon: its direction by singular values, and learning on a small problem."""

from copy import deepcopy

import pytest
import torch

from promptlift.training.muon import Muon, orthogonalized


@pytest.mark.parametrize("shape", [(2, 8, 8), (3, 4, 12), (1, 12, 4)])
def test_singular_values_come_near_one(shape: tuple[int, int, int]) -> None:
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalized(matrices))
    assert values.min() > 0.3 and values.max() < 1.4


def test_directions_are_kept() -> None:
    left, _ = torch.linalg.qr(torch.randn(6, 6, generator=torch.Generator().manual_seed(1)))
    result = orthogonalized((5 * left)[None])[0]
    cosine = torch.nn.functional.cosine_similarity(result.flatten(), left.flatten(), dim=0)
    assert cosine > 0.99


def network() -> torch.nn.Sequential:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.Tanh(), torch.nn.Linear(16, 4))


def steps(model: torch.nn.Module, optimizer: Muon, count: int) -> float:
    inputs = torch.randn(64, 8, generator=torch.Generator().manual_seed(2))
    loss = torch.tensor(0.0)
    for _ in range(count):
        loss = ((model(inputs) - inputs[:, :4].sin()) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return loss.item()


def test_it_learns_and_goes_on_from_its_state() -> None:
    model = network()
    optimizer = Muon([*model.named_parameters()], 0.02)
    assert steps(model, optimizer, 1) > 0.3
    steps(model, optimizer, 9)
    other = network()
    other.load_state_dict(model.state_dict())
    resumed = Muon([*other.named_parameters()], 0.02)
    resumed.load_state_dict(deepcopy(optimizer.state_dict()))  # else they share its tensors
    assert steps(model, optimizer, 60) == steps(other, resumed, 60) < 0.1


def test_only_matrices_of_layers_are_orthogonalized() -> None:
    names = ["encoder.q.weight", "shared.weight", "lm_head.weight", "norm.weight",
             "relative_attention_bias.weight"]  # fmt: skip
    shapes = [(4, 4), (9, 4), (9, 4), (4,), (32, 2)]
    named = [
        (name, torch.nn.Parameter(torch.zeros(shape)))
        for name, shape in zip(names, shapes, strict=True)
    ]
    muon, adamw = Muon(named, 0.1).param_groups
    assert [tuple(item.shape) for item in muon["params"]] == [(4, 4)]
    assert len(adamw["params"]) == 4
