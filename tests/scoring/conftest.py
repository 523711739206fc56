"""Tiny models that score pictures, made once."""

from pathlib import Path

import pytest

from tests.scoring.clip_models import draw_run, make_clip, make_siglip


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("models") / "clip")


@pytest.fixture(scope="session")
def siglip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_siglip(tmp_path_factory.mktemp("models") / "siglip")


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    """A run of four prompts, two seeds, an original and an improved picture each."""
    return draw_run(tmp_path / "run")
