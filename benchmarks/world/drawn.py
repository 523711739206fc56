"""Pictures of the pocket world, drawn once, kept in a folder, and read by the oracle."""

import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from promptlift.files import atomic_path, sha256_of_file
from promptlift.illustrating.illustrator import Illustrator
from promptlift.illustrating.records import Request
from promptlift.scoring.pictures.pair_scores import Values
from promptlift.statistics import mean_interval
from promptlift.world.oracle import Oracle, judge, score
from promptlift.world.wanted import wanted_of

Pictures = npt.NDArray[np.uint8]
STEPS, GUIDANCE = 25, 7.5  # of the preset `pocket`
BATCH_SIZE = 50
_PROGRESS_S = 30.0


class Album:
    """Pictures of one model and its settings, by prompt and seed.

    Args:
        folder: keeps them, a file for each set.
        base, refiner: folders of models; no refiner where None.
        steps, guidance: as of `Illustrator`.
    """

    def __init__(
        self,
        folder: Path,
        base: Path,
        refiner: Path | None = None,
        *,
        steps: int = STEPS,
        guidance: float = GUIDANCE,
    ) -> None:
        self._folder, self._base, self._refiner = folder, base, refiner
        self.settings: dict[str, Any] = {
            "refiner": refiner is not None,
            "num_inference_steps": steps,
            "guidance_scale": guidance,
        }
        unets = [model / "unet" for model in (base, refiner) if model is not None]
        self._weights = [
            sha256_of_file(file) for unet in unets for file in sorted(unet.glob("*.safetensors"))
        ]
        self._known: dict[tuple[str, int], Pictures] = {}
        self._illustrator: Illustrator | None = None

    def pictures(self, name: str, prompts: Sequence[str], seeds: Sequence[int]) -> Pictures:
        """A picture for each prompt with the seed at its place, (n, 64, 64, 3)."""
        wanted = list(zip(prompts, seeds, strict=True))
        path = self.path(name, prompts, seeds)
        if path.exists():
            found: Pictures = np.load(path)
        else:
            lacking = [pair for pair in dict.fromkeys(wanted) if pair not in self._known]
            self._known |= zip(lacking, self._draw(name, lacking), strict=True)
            found = np.stack([self._known[pair] for pair in wanted])
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(path) as temporary, temporary.open("wb") as file:
                np.save(file, found)
        self._known |= zip(wanted, found, strict=True)
        return found

    def path(self, name: str, prompts: Sequence[str], seeds: Sequence[int]) -> Path:
        """The file of a set: another one where prompts, seeds, settings or weights differ."""
        text = json.dumps([list(zip(prompts, seeds, strict=True)), self.settings, self._weights])
        return self._folder / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:10]}.npy"

    def _draw(self, name: str, wanted: Sequence[tuple[str, int]]) -> list[Pictures]:
        if self._illustrator is None:
            self._illustrator = Illustrator.load(
                self._base,
                refiner=str(self._refiner or "none"),
                num_inference_steps=self.settings["num_inference_steps"],
                guidance_scale=self.settings["guidance_scale"],
                batch_size=BATCH_SIZE,
                device="cpu",
                offline=True,
            )
            for part in ("unet", "vae"):  # an eighth faster on a CPU; other rounding
                model = getattr(self._illustrator.diffusers.pipelines.base, part)
                model.to(memory_format=torch.channels_last)
        requests = [Request(prompt=prompt, seed=seed) for prompt, seed in wanted]
        found, said = [], time.monotonic()
        for picture in self._illustrator.draw_all(requests):
            found.append(np.asarray(picture.image.convert("RGB")))
            if time.monotonic() - said > _PROGRESS_S:
                said = time.monotonic()
                print(f"{name}: {len(found)} of {len(wanted)} pictures", flush=True)
        return found


def judged(oracle: Oracle, prompts: Sequence[str], pictures: Pictures) -> dict[str, Values]:
    """What the oracle says of pictures, by what these prompts asked for.

    Returns:
        `score`, `shown` (share of what was asked for), `clean` (probability of no fault), and
        each fact, NaN where it was not asked for; float64 [pictures] each.
    """
    readings = oracle.read(pictures)
    facts = [
        judge(wanted_of(prompt), reading) for prompt, reading in zip(prompts, readings, strict=True)
    ]
    clean = [reading.clean for reading in readings]
    found = {
        "score": [score(*pair) for pair in zip(facts, clean, strict=True)],
        "shown": [score(one, 1.0) for one in facts],
        "clean": clean,
    }
    for name in dict.fromkeys(name for one in facts for name in one):
        found[name] = [float(one[name]) if name in one else np.nan for one in facts]
    return {name: np.array(values, np.float64) for name, values in found.items()}


def interval(values: Values, groups: Sequence[Any] | None = None) -> list[float]:
    """Mean of what is not NaN, with its 95% interval over groups, and how many it rests on."""
    known = ~np.isnan(values)
    kept = (
        None
        if groups is None
        else [group for group, is_known in zip(groups, known, strict=True) if is_known]
    )
    found = mean_interval(values[known], kept)
    return [*(round(float(value), 4) for value in found), int(known.sum())]
