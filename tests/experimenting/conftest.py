"""Experiments so small that they take seconds; each module has its own config, `TINY`."""

from collections.abc import Callable
from pathlib import Path

import pytest

from promptlift.experimenting.chain import run_experiment
from promptlift.experimenting.config import ExperimentConfig, load_config


@pytest.fixture(scope="module")
def config(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> ExperimentConfig:
    path = tmp_path_factory.mktemp("config") / "tiny.toml"
    path.write_text(request.module.TINY)
    return load_config(str(path))


@pytest.fixture(scope="module")
def whole(config: ExperimentConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was stopped at its seventh stage only, once the pictures are drawn."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    with pytest.raises(KeyboardInterrupt):
        run_experiment(config, folder, interrupted_at("stage 7"))
    return folder


def interrupted_at(part: str) -> Callable[[str], None]:
    """A reporter during which Ctrl-C is pressed."""

    def report(line: str) -> None:
        if part in line:
            raise KeyboardInterrupt

    return report
