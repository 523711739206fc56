"""A run with pictures, and its study."""

from pathlib import Path

import pytest

from promptlift.judging.collecting.study import Study
from promptlift.judging.config import JudgingConfig
from tests.judging.runs import draw_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return draw_run(tmp_path / "run", 12)


@pytest.fixture
def study(run: Path) -> Study:
    config = JudgingConfig(raters=("ada", "ben"), per_pair=2, repeats=0.1, attention=1)
    return Study.open([run], config)
