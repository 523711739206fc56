"""What a worker expects to go wrong arrives as the error it was."""

import pytest

from promptlift.errors import ModelError, PromptliftError
from promptlift.ray.cluster import cluster, each
from promptlift.ray.config import RayConfig

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]


class Worker:
    def __init__(self, wrong: str) -> None:
        if wrong == "model":
            raise ModelError("this machine has another model")
        self.wrong = wrong

    def __call__(self, item: object) -> object:
        if self.wrong == "disk":
            raise OSError(28, "No space left on device", "/data/part")
        if self.wrong == "bug":
            raise ZeroDivisionError("a bug")
        return item


def test_items_and_errors_come_as_they_are() -> None:
    items = [None, [1, 2], [3], {"a": 1}]
    lines: list[str] = []
    with cluster(RayConfig(engine="ray"), lines.append):
        found = list(each(items, Worker, {"wrong": ""}, actors=1, cpus=1))
        assert sorted(found, key=str) == sorted(items, key=str)
        for wrong, kind, said in (
            ("model", ModelError, "another model"),
            ("disk", PromptliftError, "/data/part: No space left on device"),
            ("bug", PromptliftError, "the cluster gave up"),
        ):
            with pytest.raises(kind, match=said):
                list(each(items, Worker, {"wrong": wrong}, actors=1, cpus=1))
    assert "processor cores" in lines[0]
