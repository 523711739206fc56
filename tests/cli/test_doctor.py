"""`promptlift doctor`: what is there, what would run, what is missing."""

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from promptlift.cli import doctor
from promptlift.improving import loading
from promptlift.improving.loading import MODEL_VARIABLE
from tests.cli.conftest import Run
from tests.conftest import POCKET, CopyOf
from tests.llm.server import Endpoint, Reply, dripping, serving


@pytest.fixture(autouse=True)
def no_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    """None of the user's own."""
    monkeypatch.setattr(doctor, "SERVERS", {"none": (9, "/v1", "/models")})


@pytest.fixture
def bundled(exported: Path, copy_of: CopyOf, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the tiny model in the bundled one's place."""
    folder = copy_of(exported)
    monkeypatch.setattr(loading, "bundled_model_path", lambda: folder)
    monkeypatch.delenv(MODEL_VARIABLE)
    return folder


def test_says_that_all_is_ready(run: Run, bundled: Path) -> None:
    result = run("doctor")
    assert result.exit_code == 0
    assert "model: talking@" in result.stdout
    assert "ready    improve\n" in result.stdout
    assert "ready    train\n" in result.stdout
    assert "missing" not in result.stdout
    [packages] = [line for line in result.stdout.splitlines() if line.startswith("packages: ")]
    assert "promptlift 0.2.0, " in packages


def test_packages_that_are_absent_have_a_dash(
    run: Run, bundled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "versions_of", lambda names: {})
    assert "promptlift -, " in run("doctor").stdout


def test_json_has_the_same(run: Run, bundled: Path) -> None:
    result = run("doctor", "--json")
    found = json.loads(result.stdout)
    assert found["schema_version"] == 1
    assert found["ready"] is True
    assert found["packages"]["promptlift"] == "0.2.0"
    assert found["model"]["modes"] == ["extend", "rewrite"]
    assert found["model"]["forms"] == ["tags"]
    assert {"improve", "train"} <= found["stages"].keys()
    assert all(stage["ready"] for stage in found["stages"].values())
    assert found["cores"] >= 1


def test_a_missing_extra_comes_with_its_command(
    run: Run, bundled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_torch(name: str) -> Any:
        return None if name == "torch" else find_spec(name)

    monkeypatch.setattr(doctor, "find_spec", without_torch)
    result = run("doctor")
    assert result.exit_code == 0  # the base install works
    assert (
        f"missing  train: torch; {sys.executable} -m pip install 'promptlift[train]'"
        in result.stdout
    )
    monkeypatch.setattr(doctor, "find_spec", lambda name: None)
    result = run("doctor")
    assert result.exit_code == 1
    assert "-m pip install promptlift\n" in result.stdout


def test_a_damaged_model_is_told(run: Run, bundled: Path) -> None:
    with (bundled / "decoder.onnx").open("ab") as file:
        file.write(b"x")
    result = run("doctor")
    assert result.exit_code == 1
    assert "is damaged" in result.stdout
    found = json.loads(run("doctor", "--json").stdout)
    assert found["ready"] is False


def test_the_model_that_the_variable_names_is_shown(
    run: Run, t5_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert f", PROMPTLIFT_MODEL={POCKET}, int8, " in run("doctor").stdout
    found = json.loads(run("doctor", "--json").stdout)["model"]
    assert (found["place"], found["named_by"]) == (str(POCKET), "PROMPTLIFT_MODEL")
    monkeypatch.setenv(MODEL_VARIABLE, str(t5_folder))
    result = run("doctor")
    assert result.exit_code == 0
    assert f"model: PROMPTLIFT_MODEL={t5_folder}, not exported; PyTorch runs it\n" in result.stdout
    monkeypatch.setenv(MODEL_VARIABLE, "owner/name")
    assert "owner/name, no folder, so a name on the Hub; PyTorch" in run("doctor").stdout
    monkeypatch.setenv(MODEL_VARIABLE, "pocket")
    result = run("doctor")
    assert result.exit_code == 1
    assert "model: the model pocket is not in this release" in result.stdout


def port_of(server: Endpoint) -> int:
    return int(server.server_address[1])


def test_servers_at_the_usual_ports_are_listed(
    run: Run, bundled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
    with serving() as first, serving() as empty, serving() as page, serving() as silent:
        first.names, empty.names = ["qwen3:4b", "gemma3:1b"], []
        page.listing = Reply(b"<html>another program</html>")
        silent.listing = dripping(Reply({"data": []}), 5)
        ports = {
            "Ollama": port_of(first), "LM Studio": port_of(empty), "llama.cpp": 9,
            "vLLM": port_of(page), "mute": port_of(silent),
        }  # fmt: skip
        listed = {name: (port, "/v1", "/models") for name, port in ports.items()}
        monkeypatch.setattr(doctor, "SERVERS", listed)
        result = run("doctor")
        found = json.loads(run("doctor", "--json").stdout)["servers"]
    assert result.exit_code == 0
    assert [line for line in result.stdout.splitlines() if line.startswith("server")] == [
        f"server   Ollama's port, {first.url}: qwen3:4b, gemma3:1b",
        f"server   LM Studio's port, {empty.url}: no model",
    ]
    assert found == [
        {"name": "Ollama", "url": first.url, "models": first.names},
        {"name": "LM Studio", "url": empty.url, "models": []},
    ]
    assert all("Authorization" not in headers for _, headers, _ in first.others)


def test_without_a_server_none_is_listed(run: Run, bundled: Path) -> None:
    assert json.loads(run("doctor", "--json").stdout)["servers"] == []
