"""promptlift installed as the README says, each time in an environment of its own."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from promptlift.errors import install_command
from promptlift.improving.loading import MODEL_VARIABLE
from tests.conftest import NEEDS_BUNDLED

ROOT = Path(__file__).parents[1]
Environment = dict[str, str]


def run(*line: str | Path, env: Environment, folder: Path) -> str:
    """What a command prints; it must succeed."""
    done = subprocess.run(line, env=env, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, f"{shlex.join(map(str, line))}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of commands with `pip`, `pipx` and `uv`."""
    venv = tmp_path_factory.mktemp("tools") / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    line = [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet", "pipx", "uv"]
    done = subprocess.run(line, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"pipx and uv cannot be had: {done.stderr.splitlines()[-1]}")
    return venv / "bin"


@pytest.fixture
def env(tools: Path, tmp_path: Path) -> Environment:
    """A user who has these tools, and nothing of promptlift."""
    theirs = {name: value for name, value in os.environ.items() if name != MODEL_VARIABLE}
    home = tmp_path / "home"
    return theirs | {
        "HOME": str(home),
        "PATH": f"{home / '.local' / 'bin'}{os.pathsep}{tools}{os.pathsep}{os.environ['PATH']}",
        "UV_CACHE_DIR": str(tools.parent / "uv-cache"),
        "PIP_CACHE_DIR": str(tools.parent / "pip-cache"),
    }


@pytest.fixture(scope="module")
def wheel(tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make wheel` makes."""
    if shutil.which("make") is None:
        pytest.skip("there is no make")
    folder = tmp_path_factory.mktemp("dist")
    run("make", "wheel", f"BIN={tools}", f"DIST={folder}", env={**os.environ}, folder=ROOT)
    [found] = folder.iterdir()
    return found


def size_of(folder: Path) -> int:
    """What the files of a folder take on the disk, in bytes."""
    return sum(path.lstat().st_blocks * 512 for path in folder.rglob("*"))


def with_tool(*command: str) -> Callable[[Environment, Path], Path]:
    """Installs with a tool that makes the environment itself, and puts the command on the path."""

    def install(env: Environment, folder: Path) -> Path:
        run(*command, ROOT, env=env, folder=folder)
        return Path(env["HOME"]) / ".local" / "bin" / "promptlift"

    return install


def check(promptlift: Path, env: Environment, folder: Path) -> None:
    """It improves a prompt, and the command that it gives for a missing extra adds the extra."""
    improved = run(promptlift, "improve", "a cat in armor", "--seed", "0", env=env, folder=folder)
    assert improved.startswith("a cat in armor, ") and improved.count("\n") == 1
    stage = "ask a language model's server"
    before = json.loads(run(promptlift, "doctor", "--json", env=env, folder=folder))
    assert before["packages"]["torch"] is before["packages"]["pyarrow"] is None
    assert not before["stages"][stage]["ready"]
    run(*shlex.split(before["stages"][stage]["command"]), env=env, folder=folder)
    after = json.loads(run(promptlift, "doctor", "--json", env=env, folder=folder))
    assert after["stages"][stage]["ready"]


@pytest.mark.slow
@NEEDS_BUNDLED
@pytest.mark.parametrize(
    "install",
    [
        pytest.param(with_tool("pipx", "install"), id="pipx install ."),
        pytest.param(with_tool("uv", "tool", "install"), id="uv tool install ."),
    ],
)
def test_a_checkout_installs(
    install: Callable[[Environment, Path], Path], env: Environment, tmp_path: Path
) -> None:
    check(install(env, tmp_path), env, tmp_path)


@pytest.mark.slow
@NEEDS_BUNDLED
def test_a_wheel_installs_alone_and_is_small(wheel: Path, env: Environment, tmp_path: Path) -> None:
    """The wheel is under 100 MB; what it brings with it, without torch and pyarrow, under 350."""
    assert wheel.stat().st_size < 100e6
    run(sys.executable, "-m", "venv", "venv", env=env, folder=tmp_path)
    venv = tmp_path / "venv"
    empty = size_of(venv)
    run("venv/bin/pip", "install", "--quiet", wheel, env=env, folder=tmp_path)
    assert size_of(venv) - empty < 350e6
    check(venv / "bin" / "promptlift", env, tmp_path)


def test_the_command_for_an_extra_is_for_this_environment() -> None:
    *python, tool, install, what = shlex.split(install_command("web", "train"))
    assert python == [sys.executable, "-m"] and (tool, install) == ("pip", "install")
    assert what == "promptlift[web,train]"
    assert install_command().endswith(" install promptlift")


def test_asking_for_the_command_leaves_setuptools_alone() -> None:
    """Once its finder is asked for pip, setuptools imports the standard library's distutils."""
    code = "from promptlift.errors import install_command; install_command(); import setuptools"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
