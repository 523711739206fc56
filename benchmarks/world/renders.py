"""Renders of many scenes on disk, made once by all cores and read as needed."""

import os
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.world.render import render
from promptlift.files import atomic_path
from promptlift.world.scenes import SIZE, VERSION, draw_scene

_CHUNK = 500


def renders_of(
    folder: Path, first: int, count: int, report: Callable[[str], None]
) -> npt.NDArray[np.uint8]:
    """Pictures of the scenes `first` to `first + count - 1`, shape (count, 64, 64, 3), from disk.

    They are rendered where the folder does not have them yet.
    """
    path = folder / f"{VERSION}-{first}-{count}.npy"
    if not path.exists():
        chunks = [
            (at, min(_CHUNK, first + count - at)) for at in range(first, first + count, _CHUNK)
        ]
        with (
            atomic_path(path) as temporary,
            get_context("spawn").Pool(os.cpu_count()) as pool,
        ):
            pictures = np.lib.format.open_memmap(temporary, "w+", np.uint8, (count, SIZE, SIZE, 3))
            done = 0
            for chunk in pool.imap(_render_chunk, chunks):
                pictures[done : done + len(chunk)] = chunk
                done += len(chunk)
                if done % (10 * _CHUNK) == 0:
                    report(f"{done} of {count} scenes rendered")
            pictures.flush()
    found: npt.NDArray[np.uint8] = np.load(path, mmap_mode="r")
    return found


def _render_chunk(chunk: tuple[int, int]) -> npt.NDArray[np.uint8]:
    first, count = chunk
    return np.stack([render(draw_scene(seed)) for seed in range(first, first + count)])
