"""Threads: those that are free, and the same number when a run goes on."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from promptlift import threads
from promptlift.errors import ConfigError
from promptlift.runs import Run
from promptlift.threads import check_threads, free, torch_threads
from promptlift.training.config import TrainingConfig
from promptlift.training.train import train
from tests.reporting.conftest import CONFIG, PAIRS


@pytest.fixture
def four(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine of four threads, half of which other work has."""
    before = torch.get_num_threads()
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(threads, "free", lambda: 0.5)
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("four")
def test_free_ones_are_taken_noted_and_taken_again(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: dict[str, int] = {}
    lines: list[str] = []
    for share in (0.5, 1.0, 0.0):  # the load of later does not count
        monkeypatch.setattr(threads, "free", lambda share=share: share)
        with torch_threads(None, kept, "drawing", lines.append):
            assert torch.get_num_threads() == kept["drawing"] == 2
            with torch_threads(None, kept, "inner", lines.append):
                assert torch.get_num_threads() == 2
        assert torch.get_num_threads() == 4
    assert lines == ["2 of 4 processor threads, as other work is going on; --threads N"]
    with torch_threads(None, kept, "new", lines.append):
        assert torch.get_num_threads() == kept["new"] == 1  # never none
    with torch_threads(3, kept, "drawing", lines.append):
        assert torch.get_num_threads() == kept["drawing"] == 3


@pytest.mark.usefixtures("four")
def test_the_environment_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "4")
    with torch_threads(None, {}, "drawing", print):
        assert torch.get_num_threads() == 4


@pytest.mark.parametrize("count", [0, -1, 10_000])
def test_a_number_out_of_range_is_refused(count: int) -> None:
    with pytest.raises(ConfigError, match=f"threads is {count} and must be a whole number"):
        check_threads(count)


def test_a_share_of_the_machine_is_free() -> None:
    assert 0 <= free() <= 1


def test_a_run_keeps_its_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, used = tmp_path / "run", []
    config = TrainingConfig(**{**vars(CONFIG), "epochs": 1.0})

    def stop(line: str) -> None:
        used.append(torch.get_num_threads())
        raise KeyboardInterrupt

    for asked in (2, None):
        with pytest.raises(KeyboardInterrupt):
            train(PAIRS, folder, config, preflight=True, threads=asked, report=stop)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert used == [2, 2]
    assert manifest["threads"] == Run.open(folder).threads == {"training": 2}
