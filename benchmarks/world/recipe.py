"""Training the models of the pocket world, part by part, in one folder.

    python -m benchmarks.world.recipe all --folder world
    python -m benchmarks.world.recipe base refiner --folder world --control

A training that was stopped goes on with the same command.

Each part is trained once, goes on where it was stopped, and is saved under `models/`:
`oracle`, `reader`, `vae`, `base`, `refiner` and `clip`. `reader` is a second oracle, with other
scenes and another seed: simulated raters see through it, and `wants_shown` asks it, so that neither
shares the mistakes of the oracle that judges. Of the control world base, refiner and CLIP differ.
"""

import argparse
from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from benchmarks.world import clip, drawing, oracle, vae
from benchmarks.world.learning import Schedule
from benchmarks.world.renders import renders_of
from promptlift.errors import ConfigError
from promptlift.files import atomic_path
from promptlift.world.scenes import TRAINING, Scene, draw_scene

PARTS = ("oracle", "reader", "vae", "clip", "base", "refiner")
SCENES = 40_000


class Recipe:
    """The models of the pocket world as they are trained in a folder.

    Args:
        folder: holds renders, checkpoints and `models/`.
        report: is told what is done.
        control: base, refiner and CLIP of the world are taken up, and learn the captions of the
            control world, in a quarter of the steps.
    """

    def __init__(self, folder: Path, report: Callable[[str], None], *, control: bool = False):
        self.folder, self.control = folder, control
        self._report = report
        self._suffix = "-control" if control else ""
        self.models = folder / f"models{self._suffix}"

    def train(self, part: str) -> Path:
        """Train a part, and what it needs, where that is not done; returns its folder.

        Raises:
            ConfigError: there is no such part.
        """
        if part not in PARTS:
            raise ConfigError(f"{part} is no part of the pocket world: {', '.join(PARTS)}")
        if self.control and part in ("oracle", "reader", "vae"):
            return Recipe(self.folder, self._report).train(part)
        target = self.models / part
        if not target.exists():
            getattr(self, f"_train_{part}")(target)
        return target

    def _train_oracle(self, target: Path) -> None:
        trained = oracle.train_oracle(
            self._pictures, self._scenes, *self._how("oracle"), oracle.SCHEDULE
        )
        oracle.save_oracle(trained, target)

    def _train_reader(self, target: Path) -> None:
        first = TRAINING + SCENES  # scenes that the oracle did not learn from
        pictures = renders_of(self.folder, first, SCENES, self._report)
        scenes = [draw_scene(first + place) for place in range(SCENES)]
        schedule = replace(oracle.SCHEDULE, seed=oracle.SCHEDULE.seed + 1)
        trained = oracle.train_oracle(pictures, scenes, *self._how("reader"), schedule)
        oracle.save_oracle(trained, target)

    def _train_vae(self, target: Path) -> None:
        vae.train_vae(self._pictures, *self._how("vae"), vae.SCHEDULE).half().save_pretrained(
            target
        )

    def _train_clip(self, target: Path) -> None:
        trained = clip.train_clip(
            self._pictures, self._scenes, *self._how("clip"), *self._begin("clip", clip.SCHEDULE)
        )
        clip.save_clip(trained, target)

    def _train_base(self, target: Path) -> None:
        trained = drawing.train_base(
            self._latents,
            self._scenes,
            *self._how("base"),
            *self._begin("base", drawing.BASE_SCHEDULE),
        )
        drawing.save_base(trained, self._vae, target)

    def _train_refiner(self, target: Path) -> None:
        trained = drawing.train_refiner(
            drawing.load_base(self.train("base")),
            self._latents,
            self._scenes,
            *self._how("refiner"),
            *self._begin("refiner", drawing.REFINER_SCHEDULE),
        )
        drawing.save_refiner(trained, target)

    def _begin(self, part: str, schedule: Schedule) -> tuple[Schedule, Path | None]:
        """The schedule, and in the control world the model that is taken up."""
        if not self.control:
            return schedule, None
        return schedule.taken_up(), Recipe(self.folder, self._report).train(part)

    def _how(self, part: str) -> tuple[Path, Callable[[str], None]]:
        def report(line: str) -> None:
            self._report(f"{part}{self._suffix}: {line}")

        return self.folder / f"{part}{self._suffix}.checkpoint", report

    @cached_property
    def _pictures(self) -> npt.NDArray[np.uint8]:
        return renders_of(self.folder, TRAINING, SCENES, self._report)

    @cached_property
    def _scenes(self) -> list[Scene]:
        return [draw_scene(TRAINING + place) for place in range(SCENES)]

    @cached_property
    def _vae(self) -> AutoencoderKL:
        loaded: AutoencoderKL = AutoencoderKL.from_pretrained(self.train("vae")).float()
        return loaded

    @cached_property
    def _latents(self) -> Tensor:
        """Scaled latents of all pictures, (n, 8, 8, 8), kept on disk."""
        path = self.folder / "latents.pt"
        if not path.exists():
            self._report("encoding all pictures")
            found = vae.encode(self._vae, self._pictures) * self._vae.config.scaling_factor
            with atomic_path(path) as temporary:
                torch.save(found, temporary)
        latents: Tensor = torch.load(path, weights_only=True)
        return latents


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("parts", nargs="+", choices=[*PARTS, "all"])
    parser.add_argument(
        "--folder", type=Path, required=True, help="holds renders, checkpoints and the models"
    )
    parser.add_argument(
        "--control", action="store_true", help="of the world in which praise means nothing"
    )
    given = parser.parse_args()
    recipe = Recipe(given.folder, lambda line: print(line, flush=True), control=given.control)
    for part in PARTS if "all" in given.parts else given.parts:
        print(f"{part} is in {recipe.train(part)}", flush=True)


if __name__ == "__main__":
    main()
