"""Where models run: the device that was asked for, and whether its memory ran out."""

from promptlift.errors import ConfigError

# What PyTorch says, where it raises a plain RuntimeError: MPS, a CPU on Linux and on Windows, and
# the libraries of CUDA that allocate by themselves.
_OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "invalid buffer size",
    "alloc_failed",
)


def find_device(asked: str) -> str:
    """The device, as torch names it; for "auto" the first that is there of cuda, mps and cpu.

    Raises:
        ConfigError: it is not there.
    """
    import torch

    there = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if asked == "auto":
        return next(name for name, found in there.items() if found)
    kind, _, number = asked.partition(":")
    if kind not in there or (asked != kind and (kind != "cuda" or not number.isdecimal())):
        raise ConfigError(f"device is {asked!r} and must be auto, cpu, cuda, cuda:N or mps")
    if not there[kind]:
        raise ConfigError(f"device is {asked!r}, and this PyTorch finds none; --device cpu works")
    if number and int(number) >= (count := torch.cuda.device_count()):
        raise ConfigError(f"device is {asked!r}, and there are {count} GPUs, counted from cuda:0")
    return asked


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory ran out, on any device."""
    import torch

    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    said = str(error).lower()
    return isinstance(error, RuntimeError) and any(part in said for part in _OUT_OF_MEMORY)
