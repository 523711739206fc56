"""What is asked of a cluster before it is started."""

import sys

import pytest

from promptlift.errors import ConfigError, MissingExtraError
from promptlift.ray.config import RayConfig


def test_nothing_is_asked_without_an_engine() -> None:
    assert RayConfig.asked({}) is None
    with pytest.raises(ConfigError, match="--part-rows, --actors needs --engine ray"):
        RayConfig.asked({"part_rows": 5, "actors": 2})
    with pytest.raises(ConfigError, match="engine is 'dask' and must be ray"):
        RayConfig.asked({"engine": "dask"})


@pytest.mark.parametrize("absent", ["ray", "pyarrow"])
def test_the_extra_is_named(absent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert RayConfig.asked({"engine": "ray"}) == RayConfig(engine="ray")
    monkeypatch.setitem(sys.modules, absent, None)
    with pytest.raises(MissingExtraError, match=r"promptlift\[ray\]"):
        RayConfig.asked({"engine": "ray"})
