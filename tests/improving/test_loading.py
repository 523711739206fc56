"""Which model is loaded: by folder, by name, by the environment, or the bundled one."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from promptlift.errors import ConfigError, ModelError
from promptlift.improving import loading
from promptlift.improving.improver import Improver
from promptlift.improving.loading import BUNDLED, EARLIER, MODEL_VARIABLE
from promptlift.improving.manifest import Manifest
from promptlift.improving.receipts import replay
from tests.conftest import POCKET

RELEASE = (
    "is not in this release; promptlift 0.1.0 carries it: install that release, or name the "
    "model's folder with --model"
)


def test_a_model_that_an_earlier_release_carried_is_named_with_the_release() -> None:
    assert list(EARLIER) == [Manifest.read(POCKET).model_id]
    for name in ("pocket", *EARLIER):
        with pytest.raises(ModelError) as caught:
            Improver.load(name)
        assert str(caught.value) == f"the model {name} {RELEASE}"


def test_a_folder_of_that_name_is_loaded(
    exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = Manifest.read(exported).model_id
    monkeypatch.chdir(tmp_path)
    (tmp_path / BUNDLED).touch()  # a file is no model
    assert Improver.load(BUNDLED).model_id == Manifest.read(loading.bundled_model_path()).model_id
    (tmp_path / BUNDLED).unlink()
    for name in ("pocket", BUNDLED):
        shutil.copytree(exported, tmp_path / name)
        assert Improver.load(name).model_id == expected


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
    monkeypatch.setenv(MODEL_VARIABLE, "pocket")
    with pytest.raises(ModelError, match=r"^PROMPTLIFT_MODEL: the model pocket is not in this rel"):
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
    assert Improver.load("writer").model_id == expected
    # What lies in the current folder under that name is no default.
    (tmp_path / "writer").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(MODEL_VARIABLE)
    assert Improver.load().model_id == expected


@pytest.mark.parametrize(
    "llm",
    [{"instruction": "none.txt"}, {"llm_json": True}, {"keep_alive": "0"}, {"llm_attempts": 2}],
)
def test_options_of_a_language_model_need_a_server(llm: dict[str, Any]) -> None:
    [name] = llm
    with pytest.raises(ConfigError, match=f"^{name}: for a language model alone; name its server"):
        Improver.load(**llm)


def test_a_receipt_of_an_earlier_release_says_which(bundled: Improver, exported: Path) -> None:
    [receipt] = bundled.improve("a lighthouse", seed=1)
    assert replay(receipt, Improver.load(POCKET)).same
    with pytest.raises(ModelError) as caught:
        replay(receipt, Improver.load(exported))
    assert str(caught.value) == f"the receipt is of {receipt.model}, which {RELEASE}"
