"""How the prompts of a run are improved, in runs that older versions began too."""

import json
from pathlib import Path
from typing import Any

import pytest

from promptlift.errors import ConfigError
from promptlift.illustrating import sources
from promptlift.illustrating.sources import FILE, STAGE, ImprovingChoice, improvements_of
from promptlift.improving.journal import improve_to_file, journal_of
from promptlift.runs import Run
from promptlift.schema import ADDED
from tests.conftest import with_forms

PROMPTS = ["a cat", "a lighthouse", "old castle"]


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    path = tmp_path / "prompts.txt"
    path.write_text("\n".join(PROMPTS))
    return path


def improved(folder: Path, prompts: Path, choice: ImprovingChoice) -> list[dict[str, Any]]:
    run = Run.open(folder)
    with run.alone("improved"):
        path = improvements_of(run, prompts, choice)
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def begun_before(
    folder: Path, prompts: Path, choice: ImprovingChoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run of version 3, which knew neither `coherent` nor `form`, stopped after a prompt."""

    def stopped(*args: Any, **kwargs: Any) -> Any:
        def progress(done: int) -> None:
            if done == 1:
                raise KeyboardInterrupt

        return improve_to_file(*args, **{**kwargs, "progress": progress})

    with monkeypatch.context() as patch:
        patch.setattr(sources, "improve_to_file", stopped)
        with pytest.raises(KeyboardInterrupt):
            improved(folder, prompts, choice)
    journal = journal_of(folder / FILE)
    header, *rows = journal.read_text("utf-8").splitlines()
    older = {name: value for name, value in json.loads(header).items() if name not in ADDED}
    lines = [json.dumps({**older, "schema_version": 3}), *rows, ""]
    journal.write_text("\n".join(lines), "utf-8")
    assert not {*ADDED} & {*Run.open(folder).stage(STAGE)["config"]}


def test_a_run_begun_before_goes_on_as_it_was_begun(
    exported: Path, prompts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choice = ImprovingChoice(improver=str(exported), coherent=False)
    whole = improved(tmp_path / "whole", prompts, choice)
    folder = tmp_path / "run"
    begun_before(folder, prompts, choice, monkeypatch)
    with pytest.raises(ConfigError, match="coherent was None, now True"):
        improved(folder, prompts, ImprovingChoice(improver=str(exported), coherent=True))
    assert improved(folder, prompts, ImprovingChoice(improver=str(exported))) == whole
    assert improved(folder, prompts, ImprovingChoice(improver=str(exported))) == whole


def test_a_new_run_is_coherent_and_notes_it(exported: Path, prompts: Path, tmp_path: Path) -> None:
    for preset, coherent in ((None, True), ("paper", False)):
        folder = tmp_path / str(preset)
        choice = ImprovingChoice(improver=str(exported), preset=preset, sample=1)
        rows = improved(folder, prompts, choice)
        assert [row["settings"]["coherent"] for row in rows] == [coherent]
        assert Run.open(folder).stage(STAGE)["config"].get("coherent", False) is coherent
        assert improved(folder, prompts, choice) == rows


@pytest.mark.parametrize(
    ("forms", "asked", "used"),
    [
        (["tags", "paragraph"], None, "tags"),
        (["tags", "paragraph"], "paragraph", "paragraph"),
        (["paragraph"], None, "paragraph"),
    ],
)
def test_the_form_is_the_one_asked_for_or_the_models_own(
    exported: Path, prompts: Path, tmp_path: Path, forms: list[str], asked: str | None, used: str
) -> None:
    model = with_forms(exported, tmp_path / "model", forms)
    choice = ImprovingChoice(improver=str(model), form=asked)
    rows = improved(tmp_path / "run", prompts, choice)
    assert {row["settings"]["form"] for row in rows} == {used}
    config = Run.open(tmp_path / "run").stage(STAGE)["config"]
    assert config.get("form", "tags") == used
