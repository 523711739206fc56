"""Devices that are there and not there, and errors that say that memory ran out."""

import pytest
import torch

from promptlift.devices import find_device, is_out_of_memory
from promptlift.errors import ConfigError


def test_devices() -> None:
    assert find_device("cpu") == "cpu"
    assert find_device("auto") in ("cpu", "cuda", "mps")
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="is 'cuda:1', and this PyTorch finds none; --device"):
            find_device("cuda:1")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("cuda:x", "device is 'cuda:x' and must be auto, cpu, cuda, cuda:N or mps"),
        ("cuda:7", "device is 'cuda:7', and there are 2 GPUs, counted from cuda:0"),
        ("cpu:x", "device is 'cpu:x' and must be auto"),
        ("cpu:1", "device is 'cpu:1' and must be auto"),
        ("cuda:", "device is 'cuda:' and must be auto"),
        ("", "device is '' and must be auto"),
    ],
)
def test_a_device_that_is_not_there_is_named(
    asked: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [find_device(name) for name in ("cuda:1", "cuda")] == ["cuda:1", "cuda"]
    with pytest.raises(ConfigError, match=said):
        find_device(asked)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (RuntimeError("Invalid buffer size: 9.00 GB"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("shapes do not fit"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_errors_of_memory(error: Exception, expected: bool) -> None:
    assert is_out_of_memory(error) is expected
