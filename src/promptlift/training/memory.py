"""Memory of the device that trains: what is free, what was taken, and what to do without it."""

import gc
import math
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from promptlift.devices import is_out_of_memory
from promptlift.errors import ConfigError
from promptlift.training.config import TrainingConfig
from promptlift.training.models import has_accelerator


class DeviceMemory:
    """Memory of the device, counted from now on.

    Attributes:
        device: "cuda", "mps" or "cpu".
        name: of the device, for people.
        free: bytes that are free now.
    """

    def __init__(self) -> None:
        import torch

        gc.collect()
        self.device, self.name = "cpu", "this machine"
        if torch.cuda.is_available():
            self.device = "cuda"
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            self.before = torch.cuda.memory_reserved()
            self.free, total = torch.cuda.mem_get_info()
            self.name = f"{torch.cuda.get_device_name()} ({in_gb(total)})"
            return
        if has_accelerator():
            self.device = self.name = "mps"
        with suppress(OSError):  # Linux: count the peak anew
            Path("/proc/self/clear_refs").write_text("5")
        self.before, self.free = peak_resident(), free_memory()

    def peak(self) -> int:
        """The most bytes that were taken since."""
        import torch

        if self.device == "cuda":
            return torch.cuda.max_memory_reserved() - self.before
        return max(0, peak_resident() - self.before)

    def release(self) -> None:
        """Give back what is no longer used."""
        import torch

        gc.collect()
        if self.device == "cuda":
            torch.cuda.empty_cache()


def peak_resident() -> int:
    """The most memory that this process held, in bytes; on macOS what it holds now."""
    import psutil

    status = Path("/proc/self/status")
    if status.exists() and (peak := re.search(r"VmHWM:\s+(\d+) kB", status.read_text())):
        return int(peak[1]) * 1024
    held = psutil.Process().memory_info()
    return int(getattr(held, "peak_wset", held.rss))


def free_memory() -> int:
    """Main memory that a process can still take, in bytes; the limit of a container counts."""
    import psutil

    free = int(psutil.virtual_memory().available)
    group = Path("/sys/fs/cgroup")
    with suppress(OSError, ValueError):  # no container, or one whose limit is "max"
        limit = int((group / "memory.max").read_text())
        free = min(free, limit - int((group / "memory.current").read_text()))
    return max(0, free)


def cache_bytes(shape: Any, batch: int, tokens: int) -> int:
    """Keys and values in float32, of a decoder that keeps so many tokens.

    T5 keeps as many of the source and of the result, a Llama both in one."""
    if shape.is_encoder_decoder:
        layers: int = shape.num_decoder_layers
        width: int = shape.d_kv * shape.num_heads
    else:
        layers = shape.num_hidden_layers
        width = shape.head_dim * shape.num_key_value_heads
    return layers * 2 * batch * tokens * width * 4


@contextmanager
def memory_errors_explained(config: TrainingConfig, checkpointing: bool) -> Iterator[None]:
    """Turn running out of memory into a ConfigError that says what to do."""
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        advice = how_to_save_memory("memory", config, checkpointing)
        raise ConfigError(
            f"out of memory: {advice} These are other settings: name another run folder."
        ) from error


def how_to_save_memory(device: str, config: TrainingConfig, checkpointing: bool) -> str:
    """Which settings to change where a run does not fit."""
    steps = []
    if not checkpointing:
        steps.append("--gradient-checkpointing on")
    if config.batch_size > 1:
        half = config.batch_size // 2
        more = math.ceil(config.gradient_accumulation_steps * config.batch_size / half)
        steps.append(f"--batch-size {half} --gradient-accumulation-steps {more} (the same update)")
    if not config.lora:
        steps.append("--lora")
    steps.append("--max-target-tokens below the longest target")
    return f"{device} is too small for this run. Take {', or '.join(steps)}."


def in_gb(count: float) -> str:
    """A number of bytes, for people."""
    return f"{count / 1e9:.1f} GB"
