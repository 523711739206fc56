"""Where and in which precision pictures are drawn."""

from promptlift.errors import ConfigError
from promptlift.illustrating.config import DTYPES, IllustrationConfig

# What PyTorch says, where it raises a plain RuntimeError: MPS, a CPU on Linux and on Windows, and
# the libraries of CUDA that allocate by themselves.
_OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "Invalid buffer size",
    "STATUS_ALLOC_FAILED",
)


def device_of(config: IllustrationConfig) -> str:
    """The device, as torch names it; auto is the best there is.

    Raises:
        ConfigError: there is no such device, or it cannot do what is asked for.
    """
    import torch

    device = config.device
    has_mps = torch.backends.mps.is_available()
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if has_mps else "cpu"
    try:
        named = torch.device(device)
    except RuntimeError as error:
        raise ConfigError(_wrong(device)) from error
    kind = named.type
    if kind not in ("cpu", "cuda", "mps") or (kind != "cuda" and named.index):
        raise ConfigError(_wrong(device))
    if (kind == "cuda" and not torch.cuda.is_available()) or (kind == "mps" and not has_mps):
        raise ConfigError(f"device is {device!r}, and this PyTorch finds none; --device cpu works")
    if kind == "cpu" and config.offload != "none":
        raise ConfigError("--offload moves weights out of a GPU's memory; on a CPU it does nothing")
    if kind != "cuda":
        return kind
    if (count := torch.cuda.device_count()) <= (named.index or 0):
        raise ConfigError(f"device is {device!r}, and there are {count} GPUs, counted from cuda:0")
    return device


def is_out_of_memory(error: Exception) -> bool:
    """Whether an error says that memory ran out, on any device."""
    import torch

    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(part in str(error) for part in _OUT_OF_MEMORY)


def _wrong(device: str) -> str:
    return f"device is {device!r} and must be auto, cpu, cuda, cuda:N or mps"


def dtype_of(config: IllustrationConfig, device: str) -> str:
    """The precision, as torch names it.

    Raises:
        ConfigError: the device cannot compute in it.
    """
    on_cpu = device == "cpu"
    if config.dtype == "auto":
        return "float32" if on_cpu else "float16"
    if on_cpu and config.dtype == "fp16":
        raise ConfigError("dtype is fp16, which is slow and inexact on a CPU; use bf16 or fp32")
    return DTYPES[config.dtype]
