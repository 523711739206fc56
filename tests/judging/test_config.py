"""Settings of judging."""

import pytest

from promptlift.errors import ConfigError
from promptlift.judging.config import JudgingConfig


def test_problems_are_named_together() -> None:
    with pytest.raises(ConfigError, match=r"per_pair is 3.*; questions is what"):
        JudgingConfig(per_pair=3, questions=("what",))
