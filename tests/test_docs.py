"""Examples in the docs do what they say.

A ```console block below the line `<!-- tested -->` is run: its lines that begin with `$ ` one after
another, in a folder that the blocks of a page share. Each must end with status 0, and where output
is shown, it must be that; `...` stands for anything, as in doctest.
"""

import doctest
import os
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

import promptlift
from promptlift.improving import improver
from promptlift.improving.improver import bundled_model_path
from promptlift.improving.manifest import is_exported

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"^<!-- tested -->\n+```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)

needs_model = pytest.mark.skipif(
    not is_exported(bundled_model_path()), reason="the bundled model is not in this checkout"
)


def examples(page: str) -> list[tuple[str, str]]:
    """Commands of the tested blocks, each with the output that is shown below it."""
    found: list[tuple[str, str]] = []
    for block in _BLOCK.findall(page):
        for line in block.splitlines(keepends=True):
            if line.startswith("$ "):
                found.append((line[2:].strip(), ""))
            else:
                command, output = found[-1]
                found[-1] = (command, output + line)
    return found


def test_examples_are_found() -> None:
    page = "<!-- tested -->\n```console\n$ one\nits output\n$ two\n```\n```console\n$ three\n```\n"
    assert examples(page) == [("one", "its output\n"), ("two", "")]


@needs_model
@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_examples_do_what_they_say(page: Path, tmp_path: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    for command, expected in examples(page.read_text(encoding="utf-8")):
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", command],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "PATH": path},
            timeout=60,
        )
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        if expected:
            checker, flags = doctest.OutputChecker(), doctest.ELLIPSIS
            got = done.stdout or done.stderr
            assert checker.check_output(expected, got, flags), f"{command}\n{got}"


@needs_model
@pytest.mark.parametrize("module", [promptlift, improver])
def test_examples_in_docstrings(module: object) -> None:
    result = doctest.testmod(module, optionflags=doctest.ELLIPSIS)  # type: ignore[arg-type]
    assert result.attempted > 0
    assert result.failed == 0


def test_version_and_changelog_agree() -> None:
    assert version("promptlift") == promptlift.__version__
    changelog = ROOT / "CHANGELOG.md"
    if not changelog.exists():
        pytest.skip("there is no CHANGELOG.md")
    headings = re.findall(r"^## \[?([\w.]+)", changelog.read_text(encoding="utf-8"), re.MULTILINE)
    released = [heading for heading in headings if heading.lower() != "unreleased"]
    assert released[0] == promptlift.__version__
