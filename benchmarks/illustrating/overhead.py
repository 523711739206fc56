"""What drawing through promptlift costs beside the bare diffusers calls, a picture.

    python -m benchmarks.illustrating.overhead

The same tiny SDXL base and refiner, the same prompts and seeds, alternating rounds: by hand (two
diffusers calls and `image.save`), through `Illustrator`, and through a job in a run folder, which
also writes receipts, checks what is there and makes the index. 64x64 pictures are all overhead;
1024x1024 ones show what grows with the picture. Nothing depends on the size of the model, so the
milliseconds are those of a large one too. Time is that of the processor, on one thread, so that a
busy machine does not show in it.
"""

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from promptlift.illustrating.illustrator import Illustrator
from promptlift.illustrating.job import IllustrationJob
from promptlift.illustrating.records import Request
from promptlift.illustrating.sampling import ClipSampler
from promptlift.runs import Run
from tests.illustrating.models import save_refiner, save_sdxl

STEPS = 2  # a step each: what is not denoising shows best


def main() -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        base, refiner = save_sdxl(root / "base"), save_refiner(root / "refiner")
        for size, pictures, rounds in ((64, 10, 9), (1024, 2, 7)):
            illustrator = Illustrator.load(
                base,
                refiner=str(refiner),
                num_inference_steps=STEPS,
                denoising_end=0.5,
                width=size,
                height=size,
            )
            measure(illustrator, pictures, rounds, root)


def measure(illustrator: Illustrator, pictures: int, rounds: int, root: Path) -> None:
    """Print the median time a picture of each way, and how much more it is than by hand."""
    prompts = [f"a cat in armor, number {number}" for number in range(pictures)]
    ways: dict[str, Callable[[Path], None]] = {
        "by hand": lambda folder: by_hand(illustrator, prompts, folder),
        "Illustrator": lambda folder: through_library(illustrator, prompts, folder),
        "job": lambda folder: through_job(illustrator, prompts, folder),
    }
    found: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(rounds + 1):
        order = list(ways) if number % 2 else list(ways)[::-1]
        for way in order:
            folder = root / f"{illustrator.diffusers.width}-{number}-{way}"
            folder.mkdir()
            forget(illustrator)
            started = time.process_time()
            ways[way](folder)
            if number:  # the first round warms up
                found[way].append((time.process_time() - started) / pictures * 1000)
    size = f"{illustrator.diffusers.width}x{illustrator.diffusers.height}"
    for way, times in found.items():
        more = [a - b for a, b in zip(times, found["by hand"], strict=True)]
        print(
            f"{size} {way}: {statistics.median(times):.1f} ms a picture, "
            f"{statistics.median(more):+.1f} ms ({min(more):+.1f} to {max(more):+.1f})"
        )


def by_hand(illustrator: Illustrator, prompts: list[str], folder: Path) -> None:
    """As one would write it without promptlift."""
    base, refiner = illustrator.diffusers.pipelines.base, illustrator.diffusers.pipelines.refiner
    size = {"width": illustrator.diffusers.width, "height": illustrator.diffusers.height}
    for seed, prompt in enumerate(prompts):
        generator = torch.Generator().manual_seed(seed)
        given: dict[str, Any] = {
            "prompt": prompt,
            "generator": generator,
            "num_inference_steps": STEPS,
        }
        latents = base(**given, **size, denoising_end=0.5, output_type="latent").images
        image = refiner(**given, image=latents, denoising_start=0.5).images[0]
        image.save(folder / f"{seed}.png")


def through_library(illustrator: Illustrator, prompts: list[str], folder: Path) -> None:
    """With `Illustrator.draw_all`."""
    requests = (Request(prompt=prompt, seed=seed) for seed, prompt in enumerate(prompts))
    for seed, picture in enumerate(illustrator.draw_all(requests)):
        picture.image.save(folder / f"{seed}.png")


def through_job(illustrator: Illustrator, prompts: list[str], folder: Path) -> None:
    """With a run folder: half of the pictures are originals, half improved ones."""
    path = folder / "improvements.jsonl"
    pairs = zip(prompts[::2], prompts[1::2], strict=True)
    rows = ({"source": source, "prompt": prompt} for source, prompt in pairs)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for _ in IllustrationJob(Run.open(folder / "run"), path, illustrator):
        pass


def forget(illustrator: Illustrator) -> None:
    """Encoded prompts of earlier rounds: each round encodes anew, as by hand."""
    assert isinstance(illustrator.diffusers.sampler, ClipSampler)
    for encoder in illustrator.diffusers.sampler.encoders:
        encoder._encoded.cache_clear()


if __name__ == "__main__":
    main()
