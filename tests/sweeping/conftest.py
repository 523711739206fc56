"""Sweeps so small that a trial takes a second."""

from pathlib import Path

import pytest

TINY = """
threads = 1
[sweep]
base = "pocket"
{sweep}
[space]
{space}
[pairs]
count = 40
test = 8
[train]
d_model = 16
d_ff = 16
num_heads = 2
batch_size = 20
epochs = 2
warmup_steps = 2
training_sample = 0
evaluation_decoding = "none"
save_steps = 1
"""


class Files:
    """Writes tiny sweep files into a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, sweep: str, space: str, more: str = "") -> Path:
        path = self.folder / "tiny.toml"
        path.write_text(TINY.format(sweep=sweep, space=space) + more)
        return path


@pytest.fixture
def sweep_file(tmp_path: Path) -> Files:
    return Files(tmp_path)
