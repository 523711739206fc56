"""Which model is loaded: by folder, by name, by the environment, or the bundled one."""

import shutil
from pathlib import Path

import pytest

from promptlift.errors import ModelError
from promptlift.improving import loading
from promptlift.improving.improver import Improver
from promptlift.improving.loading import BUNDLED, MODEL_VARIABLE
from promptlift.improving.manifest import Manifest
from tests.conftest import POCKET


def test_a_folder_of_that_name_is_loaded(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = Manifest.read(exported).model_id
    monkeypatch.chdir(tmp_path)
    (tmp_path / BUNDLED).touch()  # a file is no model
    assert Improver.load(BUNDLED).model_id == Manifest.read(POCKET).model_id
    (tmp_path / BUNDLED).unlink()
    shutil.copytree(exported, tmp_path / BUNDLED)
    assert Improver.load(BUNDLED).model_id == expected


def test_the_variable_names_the_default_and_its_faults(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Improver.load().model_id == Manifest.read(POCKET).model_id
    monkeypatch.setenv(MODEL_VARIABLE, str(exported))
    assert Improver.load().model_id == Manifest.read(exported).model_id
    assert Improver.load(POCKET).model_id == Manifest.read(POCKET).model_id
    monkeypatch.setenv(MODEL_VARIABLE, str(tmp_path / "none"))
    with pytest.raises(ModelError, match=r"^PROMPTLIFT_MODEL: model '.*none' is no folder"):
        Improver.load()


def test_the_bundled_model_is_the_default_and_has_a_name(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bundled"
    monkeypatch.setattr(loading, "bundled_model_path", lambda: folder)
    monkeypatch.setenv(MODEL_VARIABLE, "")
    with pytest.raises(ModelError, match=r"bundled holds no bundled model\. Reinstall"):
        Improver.load()
    shutil.copytree(exported, folder)
    expected = Manifest.read(exported).model_id
    assert Improver.load().model_id == expected
    monkeypatch.setenv(MODEL_VARIABLE, str(POCKET))
    assert Improver.load(BUNDLED).model_id == expected
    # What lies in the current folder under that name is no default.
    (tmp_path / BUNDLED).mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(MODEL_VARIABLE)
    assert Improver.load().model_id == expected
