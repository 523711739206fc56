"""How the oracle of the pocket world learns: on renders, with what is in the scene of each."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from benchmarks.world.learning import Schedule, learn
from promptlift.files import atomic_path
from promptlift.world.oracle import FILE, PARTS_OF_THING, PARTS_OF_WHOLE, Oracle
from promptlift.world.scenes import BACKGROUNDS, COLOURS, FAULTS, SHAPES, SIZE, STYLES, Scene

SCHEDULE = Schedule(steps=3000, batch_size=64, learning_rate=2e-3, seed=3)


def targets_of(scenes: Sequence[Scene]) -> dict[str, Tensor]:
    """What the oracle is to see in scenes.

    Returns:
        presence (n, shapes); number, colour (n, shapes); centre (n, shapes, 2) and radius
        (n, shapes), as shares of the picture and of a quarter of it; background, style, fault
        (n); whole (n): whether the things are all in the picture.
    """
    shapes, count, colours = len(SHAPES), len(scenes), tuple(COLOURS)
    presence = torch.zeros(count, shapes)
    number, colour = (torch.zeros(count, shapes, dtype=torch.long) for _ in range(2))
    centre, radius = torch.zeros(count, shapes, 2), torch.zeros(count, shapes)
    for row, scene in enumerate(scenes):
        for shape in {thing.shape for thing in scene.things}:
            alike = [thing for thing in scene.things if thing.shape == shape]
            at = SHAPES.index(shape)
            presence[row, at] = 1
            number[row, at] = len(alike) - 1
            colour[row, at] = colours.index(alike[0].colour)
            centre[row, at, 0] = float(np.mean([thing.x for thing in alike])) / SIZE
            centre[row, at, 1] = float(np.mean([thing.y for thing in alike])) / SIZE
            scale = 1.0 if len(scene.things) == 1 else 0.75
            radius[row, at] = alike[0].radius / scale * 4 / SIZE
    return {
        "presence": presence,
        "number": number,
        "colour": colour,
        "centre": centre,
        "radius": radius,
        "background": torch.tensor([BACKGROUNDS.index(scene.background) for scene in scenes]),
        "style": torch.tensor([STYLES.index(scene.style) for scene in scenes]),
        "fault": torch.tensor([FAULTS.index(scene.fault) for scene in scenes]),
        "whole": torch.tensor([float(scene.fault != "cropped") for scene in scenes]),
    }


def oracle_loss(oracle: Oracle, pictures: Tensor, targets: dict[str, Tensor]) -> Tensor:
    """Cross-entropies and squared errors; number, centre and radius only where all is visible."""
    things, whole = oracle(pictures)
    background, style, fault = torch.split(whole.float(), PARTS_OF_WHOLE, -1)
    presence, number, colour, centre, radius = torch.split(things.float(), PARTS_OF_THING, -1)
    there = targets["presence"]
    visible = there * targets["whole"][:, None]

    def among(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        losses = functional.cross_entropy(
            logits.flatten(0, 1), target.flatten(), reduction="none"
        ).view_as(weight)
        return (losses * weight).sum() / weight.sum().clamp(min=1)

    def near(found: Tensor, target: Tensor) -> Tensor:
        return (((found - target) ** 2) * visible[..., None]).sum() / visible.sum().clamp(min=1)

    total = (
        len(SHAPES) / 2 * functional.binary_cross_entropy_with_logits(presence[..., 0], there)
        + among(number, targets["number"], visible)
        + among(colour, targets["colour"], there)
        + 20 * near(centre, targets["centre"])
        + 5 * near(radius, targets["radius"][..., None])
        + functional.cross_entropy(background, targets["background"])
        + functional.cross_entropy(style, targets["style"])
        + functional.cross_entropy(fault, targets["fault"])
    )
    return total


def train_oracle(
    pictures: npt.NDArray[np.uint8],
    scenes: Sequence[Scene],
    checkpoint: Path,
    report: Callable[[str], None],
    schedule: Schedule,
) -> Oracle:
    """Train on renders (n, 64, 64, 3) of scenes."""
    torch.manual_seed(schedule.seed)
    oracle = Oracle()
    targets = targets_of(scenes)

    def loss_of(rng: np.random.Generator) -> Tensor:
        at = np.sort(rng.integers(0, len(pictures), schedule.batch_size))
        wanted = {name: values[at] for name, values in targets.items()}
        return oracle_loss(oracle, torch.from_numpy(pictures[at]), wanted)

    learn(oracle, loss_of, schedule, checkpoint, report)
    return oracle


def save_oracle(oracle: Oracle, folder: Path) -> None:
    """Save in half precision, as `oracle.safetensors`."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = {name: value.half().contiguous() for name, value in oracle.state_dict().items()}
    with atomic_path(folder / FILE) as temporary:
        save_file(weights, temporary)
