"""Examples in the docs run: doctests of the package, commands and Python blocks of the pages."""

import doctest
import re
import shlex
from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner

import promptlift
from promptlift.cli import app
from promptlift.improving import improver
from promptlift.improving.manifest import is_exported

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BUNDLED = pytest.mark.skipif(
    not is_exported(improver.bundled_model_path()), reason="no bundled model yet"
)


@BUNDLED
@pytest.mark.parametrize("module", [promptlift, improver], ids=["promptlift", "improver"])
def test_doctests(module: object) -> None:
    found = doctest.testmod(module)  # type: ignore[arg-type]
    assert found.attempted and not found.failed


@BUNDLED
def test_the_readmes_first_example_prints_what_it_shows() -> None:
    [block] = re.findall(r"```console\n\$ (.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    command, shown = block.split("\n", 1)
    result = CliRunner().invoke(app, shlex.split(command)[1:])
    assert result.stdout.strip() == shown.strip()


@cache
def help_of(*names: str) -> str:
    return str(CliRunner().invoke(app, [*names, "--help"], env={"COLUMNS": "200"}).stdout)


def test_commands_in_the_docs_have_real_options() -> None:
    checked = 0
    for page in PAGES:
        text = page.read_text("utf-8").replace("\\\n", " ")  # commands over several lines
        for line in re.findall(r"^promptlift (\w.*)$", text, re.MULTILINE):
            words = [word for word in shlex.split(line, comments=True) if word not in ("|", "head")]
            if words[0] == "--install-completion":
                continue
            names = words[:2] if words[0] in ("pairs", "votes", "world") else words[:1]
            given = help_of(*names)
            for option in (word for word in words if word.startswith("-") and word != "-"):
                assert option in given, f"{page.name}: {line}"
                checked += 1
    assert checked > 5


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_placeholder_was_left(page: Path) -> None:
    lines = page.read_text("utf-8").splitlines()
    assert not [line for line in lines if re.fullmatch(r"@?[A-Z]{4,}@?", line.strip())]
