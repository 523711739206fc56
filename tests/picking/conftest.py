"""A tiny CLIP; see `tests/scoring/clip_models.py`."""

from pathlib import Path

import pytest

from tests.scoring.clip_models import make_clip


@pytest.fixture(scope="session")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_clip(tmp_path_factory.mktemp("models") / "clip")
