"""Folders of tiny pipelines; see `models.py`."""

from pathlib import Path

import pytest

from tests.illustrating.models import save_refiner, save_sd15, save_sdxl


@pytest.fixture(scope="session")
def sdxl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_sdxl(tmp_path_factory.mktemp("pictures") / "sdxl")


@pytest.fixture(scope="session")
def turbo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_sdxl(tmp_path_factory.mktemp("pictures") / "turbo", turbo=True, seed=3)


@pytest.fixture(scope="session")
def refiner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_refiner(tmp_path_factory.mktemp("pictures") / "refiner")


@pytest.fixture(scope="session")
def sd15(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_sd15(tmp_path_factory.mktemp("pictures") / "sd15")
