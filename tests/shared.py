"""Data that lives beside the checkout: tests that read it skip where it is absent."""

import os
from pathlib import Path

import pytest


def shared_file(name: str) -> Path:
    """A file of the shared folder, `PROMPTLIFT_SHARED` or `../shared` beside the checkout."""
    beside = Path(__file__).parents[2] / "shared"
    path = Path(os.environ.get("PROMPTLIFT_SHARED") or beside) / name
    if not path.is_file():
        pytest.skip(f"{path} is not there; PROMPTLIFT_SHARED names the folder that holds {name}")
    return path
