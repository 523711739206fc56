"""Examples in the docs run: doctests of the package, commands and Python blocks of the pages."""

import doctest
import itertools
import re
import shlex
from pathlib import Path

import pytest
import typer.core
import typer.main
from typer.testing import CliRunner

import promptlift
from promptlift.cli import app
from promptlift.improving import improver
from promptlift.improving.improver import Improver
from promptlift.improving.loading import MODEL_VARIABLE
from tests.conftest import NEEDS_BUNDLED

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
COMMAND = typer.main.get_command(app)


@NEEDS_BUNDLED
@pytest.mark.parametrize("module", [promptlift, improver], ids=["promptlift", "improver"])
def test_doctests(module: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MODEL_VARIABLE)
    found = doctest.testmod(module)  # type: ignore[arg-type]
    assert found.attempted and not found.failed


@NEEDS_BUNDLED
def test_the_readmes_first_example_is_a_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MODEL_VARIABLE)
    [block] = re.findall(r"```console\n\$ (.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    command, shown = block.split("\n", 1)
    result = CliRunner().invoke(app, shlex.split(command)[1:])
    prompt = shlex.split(command)[2]
    for text in (result.stdout, shown):  # another kind of processor may draw other words
        assert text.startswith(f"{prompt}, ") and len(text.splitlines()) == 1
    found = Improver.load().improve(prompt, seed=int(command.split()[-1]))[0]
    assert found.prompt == result.stdout.strip()
    assert len(shown.split(", ")) >= 3


def commands_of(page: str) -> list[list[str]]:
    """Words of every promptlift command in the console blocks of a page, up to a pipe."""
    commands = []
    for block in re.findall(r"^```console\n(.*?)^```", page, re.DOTALL | re.MULTILINE):
        for line in block.replace("\\\n", " ").split("\n"):  # commands over several lines
            found = re.search(r"^(?:.*\| |\$ )?(?:\S*/bin/)?promptlift\b(.*)", line)
            if found:
                words = shlex.shlex(found[1], posix=True, punctuation_chars="|>")
                words.whitespace_split = True
                commands.append(list(itertools.takewhile(lambda word: word not in "|>", words)))
    return commands


def command_of(words: list[str]) -> tuple[typer.core.TyperCommand, list[str]]:
    """The command that words name, and the words that follow its name."""
    command: object = COMMAND
    while isinstance(command, typer.core.TyperGroup) and words and words[0][0] != "-":
        name, *words = words
        assert name in command.commands, name
        command = command.commands[name]
    return command, words  # type: ignore[return-value]


def unknown_options(words: list[str]) -> list[str]:
    """Options of a command as typed that it does not have."""
    command, rest = command_of(words)
    known = {
        name for option in command.params for name in (*option.opts, *option.secondary_opts)
    } | {"--help", "-h", "--install-completion"}
    given = [word.split("=")[0] for word in rest if re.match(r"--?[a-zA-Z]", word)]
    return [option for option in given if option not in known]


def test_whole_options_of_real_commands_are_found() -> None:
    page = """
promptlift outside --of-a-block

```console
$ promptlift pick "a cat" --seed 1 --seeds 2    # --not-this
cat a.txt | .venv/bin/promptlift improve --input - -n 2 \\
  --json | head --lines 3
pip install 'promptlift[web]'
```
"""
    pick, improve = commands_of(page)
    assert pick == ["pick", "a cat", "--seed", "1", "--seeds", "2"]
    assert improve == ["improve", "--input", "-", "-n", "2", "--json"]
    assert unknown_options(pick) == unknown_options(improve) == []
    assert unknown_options(["score", "--pair", "a.jsonl", "--pairs", "b.jsonl"]) == ["--pair"]
    assert unknown_options(["pairs", "build", "--outpu", "x"]) == ["--outpu"]
    with pytest.raises(AssertionError, match="imrpove"):
        unknown_options(["imrpove", "a cat"])


def test_commands_in_the_docs_have_real_options() -> None:
    commands = [
        (page.name, words) for page in PAGES for words in commands_of(page.read_text("utf-8"))
    ]
    assert len(commands) > 50
    faults = {(page, *words): unknown_options(words) for page, words in commands}
    assert not {command: options for command, options in faults.items() if options}


# Names of settings that the scripts write into a picture: `promptlift source` is no command.
SETTINGS = {"source", "model", "result", "prompt", "negative"}


def test_commands_within_sentences_exist() -> None:
    """`promptlift NAME ...` between backticks, with its options."""
    checked = 0
    for page in PAGES:
        for quoted in re.findall(r"`promptlift ([^`\n]*)`", page.read_text("utf-8")):
            if quoted not in SETTINGS:
                assert not unknown_options(shlex.split(quoted)), f"{page}: promptlift {quoted}"
                checked += 1
    assert checked > 20


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


# What writers leave where something is to follow; @NAME@ as scripts fill in.
PLACEHOLDER = re.compile(r"\b(?:TODO|FIXME|XXX+|TBD|TBA|TK)\b|@[A-Z][A-Z0-9_]*@|\?\?\?|lorem ipsum")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The median is TODO.", "TODO"),
        ("| 64x64 | XXX |", "XXX"),
        ("so @MEDIAN_MS@ ms", "@MEDIAN_MS@"),
        ("measured by (TBD) prompts", "TBD"),
        ("FIXME", "FIXME"),
        ("a CLIP of SDXL, METEOR, a LoRA, a@b.org, BREAK, PATH_TO_COMFYUI, todos", None),
        ("`--styles 0.9`, 'what?', XX-large", None),
    ],
)
def test_placeholders_are_found(text: str, expected: str | None) -> None:
    found = PLACEHOLDER.search(text)
    assert (found and found[0]) == expected


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_placeholder_was_left(page: Path) -> None:
    lines = page.read_text("utf-8").splitlines()
    assert not [line for line in lines if PLACEHOLDER.search(line)]
