"""Sweeps so small that a trial takes a second."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from promptlift.errors import PromptliftError
from promptlift.experimenting.config import ExperimentConfig
from promptlift.sweeping.config import Sweep, load_sweep
from promptlift.sweeping.run import run_sweep
from promptlift.sweeping.trial import Pruned

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
_SPACE = (
    "train.learning_rate = [1e-4, 1e-3, 1e-2]\ntrain.batch_size = [8, 20]\n"
    "train.group_by_length = [true, false]"
)


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


def _known(sweep: Sweep, config: ExperimentConfig, folder: Path, *rest: Any) -> float:
    """A figure that the learning rate decides, the batch size a little; one trial is ended."""
    after_epoch: Callable[[list[float]], bool] = rest[0]
    train = config.train
    if train.learning_rate == 1e-4 and train.batch_size == 8 and train.seed == 2:
        after_epoch([4.5])
        raise Pruned
    if train.learning_rate == 1e-4 and train.batch_size == 20 and train.seed == 2:
        raise PromptliftError("<b>no memory</b>")
    value = {1e-4: 3.0, 1e-3: 1.0, 1e-2: 2.0}[train.learning_rate] + train.batch_size / 100
    value += 0.05 * train.seed + 0.01 * train.seed * train.group_by_length
    after_epoch([value + 1, value])
    return value


def swept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a sweep of 36 trials, whose figures are known and of which two failed."""
    monkeypatch.setattr("promptlift.sweeping.run.run_trial", _known)
    sweep = load_sweep(str(Files(folder)("seeds = [1, 2, 3]", _SPACE)))
    left = run_sweep(sweep, folder / "sweep", lambda line: None)
    assert len(left.errors) == 2
    return folder / "sweep"
