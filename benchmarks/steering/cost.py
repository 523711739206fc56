"""What a step of optimising costs: measured with small models, calculated for large ones.

    python -m benchmarks.steering.cost [-o docs/world/steered-cost.json]

Small models are measured, each way in a process of its own on one thread: seconds of a plain
drawing and of a step, and the memory that a step takes for a while (Linux only). For the real
architectures memory and arithmetic are counted from shapes (`counted`), as for the small ones, so
that counted and measured can be compared.
"""

import argparse
import ctypes
import gc
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from benchmarks.steering.counted import (
    SD15,
    SDXL,
    Architecture,
    operations,
    peak_bytes,
    weight_bytes,
)
from benchmarks.steering.tables import MEMORY, THROUGH, of_cost
from promptlift.files import write_json
from promptlift.illustrating.illustrator import Illustrator
from promptlift.picture_files import PictureReader
from promptlift.scoring.pictures.config import PictureScoringConfig
from promptlift.scoring.pictures.feature_cache import FeatureCache
from promptlift.scoring.pictures.preference_models import ScorerContext
from promptlift.steering.config import OptimiseConfig
from promptlift.steering.optimise import Optimisation, graded_scorer
from promptlift.world import bundle
from tests.illustrating.models import save_sd15, save_sdxl

STEPS, TIMED = 10, 8
CHECKPOINTED, WAYS = "checkpoints", tuple(MEMORY)
LARGE_STEPS = 30  # of denoising; what is calculated for a drawing rests on it
TINY = {"tiny SD 1.5": save_sd15, "tiny SDXL": save_sdxl}
LARGE = {"SD 1.5": SD15, "SDXL": SDXL}
# Large blocks go back to the system when they are freed, so that what is resident is what is used.
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": "16384", "MALLOC_TRIM_THRESHOLD_": "0",
    "MALLOC_TOP_PAD_": "0",
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--one", nargs=3, metavar=("MODEL", "THROUGH", "WAY"),
                        help="measure one way, in this process")  # fmt: skip
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    if args.one:
        model, through, way = args.one
        print(json.dumps(measured(model, int(through), checkpoint=way == CHECKPOINTED)))
        return
    found: dict[str, Any] = {"steps": STEPS, "measured": {}, "calculated": {}}
    with TemporaryDirectory() as folder:
        models = {name: save(Path(folder) / save.__name__) for name, save in TINY.items()}
        for name, model in {**models, "pocket": "pocket"}.items():
            found["measured"][name] = {
                way: {through: _in_a_process(str(model), through, way) for through in THROUGH}
                for way in WAYS
            }
            counted = _counted(architecture_of(Illustrator.load(str(model))))
            found["measured"][name]["counted"] = counted["peak"]
            print(name, found["measured"][name], flush=True)
    for name, one in LARGE.items():
        found["calculated"][name] = {"denoising steps": LARGE_STEPS, **_counted(one)}
        print(name, found["calculated"][name], flush=True)
    if args.output:
        write_json(args.output, found)
    print(of_cost(found))


def measured(model: str, through: int, *, checkpoint: bool) -> dict[str, float]:
    """Seconds of a plain drawing and of a step, and the MiB that a step takes.

    Seconds are the processor's, and the least of several, so that other processes count little.
    """
    torch.set_num_threads(1)
    illustrator = Illustrator.load(model, num_inference_steps=STEPS, device="cpu")
    scoring = PictureScoringConfig().resolved(bundle.NAME)
    context = ScorerContext(config=scoring, cache=FeatureCache(), reader=PictureReader(8))
    config = OptimiseConfig(metric="sharpness", through=through, iterations=TIMED)
    run = Optimisation(illustrator, "a red star", graded_scorer("sharpness", context), config)
    base = illustrator.diffusers.pipelines.base
    if not checkpoint:
        base.unet.disable_gradient_checkpointing()
        base.vae.disable_gradient_checkpointing()
    drawing = []
    for seed in range(TIMED):
        begun = time.process_time()
        illustrator.draw("a red star", seed=seed)
        drawing.append(time.process_time() - begun)
    steps = iter(run)
    next(steps)  # the first one loads code too, which stays
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    before = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    taken = []
    for _ in range(TIMED):
        begun = time.process_time()
        next(steps)
        taken.append(time.process_time() - begun)
    return {
        "drawing_s": round(min(drawing), 3),
        "step_s": round(min(taken), 3),
        "step_mib": round((_resident("VmHWM") - before) / 1024, 1),
    }


def architecture_of(illustrator: Illustrator) -> Architecture:
    """That of a small model, which is in float32."""
    base: Any = illustrator.diffusers.pipelines.base
    return Architecture(
        unet=_own(base.unet.config), vae=_own(base.vae.config), encoders=[],
        side=illustrator.diffusers.height // base.vae_scale_factor, dtype=torch.float32,
    )  # fmt: skip


def _own(config: Any) -> dict[str, Any]:
    return {name: value for name, value in config.items() if not name.startswith("_")}


def _counted(one: Architecture) -> dict[str, Any]:
    """MiB of weights and of a step, and floating-point operations."""
    peak: dict[str, dict[str, float]] = {way: {} for way in WAYS}
    for way in WAYS:
        for through in THROUGH:
            found = peak_bytes(one, int(through), checkpoint=way == CHECKPOINTED)
            peak[way][through] = round(found / 2**20, 1)
    work = {name: round(value / 1e12, 4) for name, value in operations(one).items()}
    drawing = LARGE_STEPS * work["unet"] + work["vae"]
    return {
        "weights_mib": round(weight_bytes(one) / 2**20, 1), "peak": peak, "tflop": work,
        "drawing_tflop": round(drawing, 2),
        "step in drawings": {
            through: round(
                1 + (int(through) * work["unet back"] + work["vae back"]) / drawing, 3
            )
            for through in THROUGH
        },
    }  # fmt: skip


def _in_a_process(model: str, through: str, way: str) -> dict[str, float]:
    command = [sys.executable, "-m", __spec__.name, "--one", model, through, way]
    done = subprocess.run(
        command, env={**os.environ, **_ENVIRONMENT}, capture_output=True, text=True, check=True
    )
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def _resident(name: str) -> int:
    """KiB of this process, now (VmRSS) or at most (VmHWM)."""
    [found] = re.findall(rf"{name}:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(found)


if __name__ == "__main__":
    main()
