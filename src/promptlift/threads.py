"""How many processor threads to use: those that other work leaves free, the same to the end."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from promptlift.errors import ConfigError

MOST_THREADS = 64  # or as many as there are processors
_LOOK_S = 0.3
_set = False  # whether a block of `torch_threads` has set them


def check_threads(threads: int | None) -> int | None:
    """The number, if it can be used.

    Raises:
        ConfigError: it is below 1, or far above the number of processors.
    """
    most = max(MOST_THREADS, os.cpu_count() or 1)
    if threads is not None and threads not in range(1, most + 1):
        raise ConfigError(f"threads is {threads} and must be a whole number from 1 to {most}")
    return threads


@contextmanager
def torch_threads(
    asked: int | None, kept: dict[str, int], stage: str, report: Callable[[str], None]
) -> Iterator[None]:
    """So many threads of PyTorch for a while: results differ in rounding with others.

    Args:
        asked: as many; where None those that the stage began with, in a new one those that are
            free, or OMP_NUM_THREADS. A block within another keeps its threads.
        kept: `Run.threads`, where the number is noted.
        stage: of the run.
        report: takes a line where the number was chosen here.

    Raises:
        ConfigError: the number cannot be used.
    """
    global _set
    check_threads(asked)
    try:
        import torch
    except ImportError:  # who needs it says so
        yield
        return
    before, outer = torch.get_num_threads(), _set
    count = asked or (before if outer else kept.get(stage))
    if count is None:
        count = before if os.environ.get("OMP_NUM_THREADS") else max(1, round(before * free()))
        if count < before:
            report(f"{count} of {before} processor threads, as other work is going on; --threads N")
    kept[stage] = count
    torch.set_num_threads(count)
    _set = True
    try:
        yield
    finally:
        torch.set_num_threads(before)
        _set = outer


def cores() -> int:
    """The processor cores that this process may use, which a container may limit."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def free() -> float:
    """The share of the processors that is idle: now on Linux, elsewhere over the last minute."""
    try:
        first = _ticks()
        time.sleep(_LOOK_S)
        idle, every = (now - then for now, then in zip(_ticks(), first, strict=True))
        return idle / every if every else 1.0
    except (OSError, ValueError, IndexError):
        load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
        return max(0.0, 1 - load / (os.cpu_count() or 1))


def _ticks() -> tuple[int, int]:
    """Idle ticks of all processors since the start, and all ticks."""
    ticks = [int(one) for one in Path("/proc/stat").read_text().split("\n")[0].split()[1:9]]
    return ticks[3] + ticks[4], sum(ticks)
