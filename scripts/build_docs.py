"""Build the documentation as a site: `build/site`, from `docs`, the README and the code.

Pages that other pages of the repository lead to are part of it: the README is the start, and a file
of code that a page names has a page that shows it. The reference of commands and of Python is made
from the code. `zensical.toml` has the navigation and the looks.
"""

import importlib
import posixpath
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import is_dataclass
from pathlib import Path
from typing import Any

import typer.main
from typer.core import TyperGroup

import promptlift
from promptlift.cli import app
from promptlift.options import kinds, options_of

ROOT = Path(__file__).parents[1]
PAGES = ROOT / "build" / "docs"
SITE = ROOT / "build" / "site"
# Pages outside docs, and what they are in the site.
MOVED = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "docs/decisions": "decisions/index.md",
}
# `from MODULE import NAMES`; `NAME(...)` of `MODULE`; `MODULE.NAME(...)`.
_NAMED = re.compile(
    r"^from (?P<module>promptlift\.[\w.]+) import (?P<names>.+)$"
    r"|`(?P<one>\w+)\([^`]*\)` of `(?P<of>promptlift\.[\w.]+)`"
    r"|`(?P<within>promptlift\.[\w.]+)\.(?P<call>\w+)\(",
    re.MULTILINE,
)
_LINK = re.compile(r"(\]\()([^)#\s]+)((?:#[^)]*)?\))")


def main() -> None:
    """Write the pages, and build the site with warnings as errors."""
    write_pages(PAGES)
    shutil.rmtree(SITE, ignore_errors=True)
    command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict"]
    sys.exit(subprocess.run(command, cwd=ROOT).returncode)


def write_pages(folder: Path) -> None:
    """Write every page as Markdown, and copy the pictures and data beside them."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(ROOT / "docs", folder)
    pages = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"]
    pages += [path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md")]
    shown: set[str] = set()
    made = {place_of(page): moved(page, shown) for page in pages}
    made |= {place_of(path): source_page(path) for path in shown}
    made |= {"decisions/index.md": decisions_page(), **command_pages(), **python_pages()}
    for place, text in made.items():
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def place_of(path: str) -> str:
    """Where something of the repository is in the site."""
    if path in MOVED:
        return MOVED[path]
    if path.startswith("docs/"):
        return path.removeprefix("docs/")
    return f"source/{path}.md"


def moved(page: str, shown: set[str]) -> str:
    """A page whose links lead to where things are in the site.

    Args:
        page: its path in the repository.
        shown: gets the files and folders outside the documentation that it leads to.
    """

    def link(found: re.Match[str]) -> str:
        before, target, after = found.groups()
        if "://" in target:
            return found[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(page), target))
        if path not in MOVED and not path.startswith("docs/"):
            shown.add(path)
        here = posixpath.dirname(place_of(page))
        return f"{before}{posixpath.relpath(place_of(path), here or '.')}{after}"

    return _LINK.sub(link, (ROOT / page).read_text(encoding="utf-8"))


def source_page(path: str) -> str:
    """A page that shows a file, or every file of a folder."""
    place = ROOT / path
    parts = [f"# {path}\n"]
    for file in sorted(place.iterdir()) if place.is_dir() else [place]:
        if place.is_dir():
            parts.append(f"## {file.name}\n")
        language = {".py": "python", ".md": "markdown"}.get(file.suffix, "text")
        parts.append(f"````{language}\n{file.read_text(encoding='utf-8').rstrip()}\n````\n")
    return "\n".join(parts)


def decisions_page() -> str:
    """A list of the decisions by their titles."""
    lines = ["# Decisions", "", "What was decided, why, and what else there was.", ""]
    for path in sorted((ROOT / "docs" / "decisions").glob("*.md")):
        lines.append(f"- [{_title(path)}]({path.name})")
    return "\n".join([*lines, ""])


def _title(page: Path) -> str:
    return page.read_text(encoding="utf-8").split("\n", 1)[0].removeprefix("# ")


# Commands


def command_pages() -> dict[str, str]:
    """A page for each command, those of a group on one, and an index."""
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    index = ["# Commands", "", _help(group), "", *_options(group, "promptlift")]
    index += ["| command | what it does |", "| --- | --- |"]
    pages = {}
    for name, command in group.commands.items():
        pages[f"reference/commands/{name}.md"] = "\n".join(_command(command, f"promptlift {name}"))
        summary = text((command.help or "").split("\n\n")[0])
        index.append(f"| [`promptlift {name}`]({name}.md) | {summary} |")
    return pages | {"reference/commands/index.md": "\n".join([*index, ""])}


def _command(command: Any, name: str, level: int = 1) -> Iterator[str]:
    """A command as a section, and beneath it those of its group."""
    yield from (f"{'#' * level} {name}", "", _help(command), "", *_options(command, name))
    for part, inner in getattr(command, "commands", {}).items():
        yield from _command(inner, f"{name} {part}", level + 1)


def _help(command: Any) -> str:
    """What a command says of itself, its examples as code."""
    lines: list[str] = []
    for paragraph in (command.help or "").split("\n\n"):
        if not paragraph.startswith("  "):
            lines += [text(" ".join(paragraph.split())), ""]
        elif lines and lines[-1] == "```":
            lines[-1:] = [paragraph.strip(), "```"]
        else:
            lines += ["```console", paragraph.strip(), "```"]
    return "\n".join(lines).rstrip()


def _options(command: Any, name: str) -> list[str]:
    """How a command is typed, and a table of what it takes."""
    context = command.context_class(command, info_name=name)
    records = [known.get_help_record(context) for known in command.get_params(context)]
    rows = [f"| `{names}` | {text(help)} |" for names, help in filter(None, records)]
    table = ["| option | what it does |", "| --- | --- |", *rows[:-1], ""]  # the last is --help
    usage = command.get_usage(context).removeprefix("Usage: ")
    return ["```text", usage, "```", "", *(table if len(rows) > 1 else [])]


def text(plain: str) -> str:
    """Plain text as Markdown in a table; what stands between backticks stays code."""
    parts = re.split(r"(`[^`\n]+`)", plain)
    for place in range(0, len(parts), 2):
        parts[place] = re.sub(r"([\\*_\[\]#])", r"\\\1", parts[place]).replace("<", "&lt;")
    return "".join(parts).replace("|", r"\|")


# Python


def public_names() -> dict[str, str]:
    """What `promptlift` exports, and what else the pages import or name with its module.

    Returns:
        by full name, as `promptlift.records.Improvement`, the module to import it from.
    """
    names = {
        f"{getattr(promptlift, name).__module__}.{name}": "promptlift"
        for name in promptlift.__all__
    }
    for page in (ROOT / "docs").glob("*.md"):
        for found in _NAMED.finditer(page.read_text(encoding="utf-8")):
            module = found["module"] or found["of"] or found["within"]
            for name in (found["names"] or found["one"] or found["call"]).split(", "):
                names.setdefault(f"{module}.{name}", module)
    return dict(sorted(names.items()))


def python_pages() -> dict[str, str]:
    """A page for each room that has something public, and an index."""
    index = ["# Python", "", "| import | what it is |", "| --- | --- |"]
    rooms: dict[str, list[str]] = {}
    for name, module in public_names().items():
        room, short = name.split(".")[1], name.rpartition(".")[2]
        rooms.setdefault(room, []).append(_object(name))
        summary = (_found(name).__doc__ or "").split("\n\n")[0]
        line = f"[`from {module} import {short}`]({room}.md#{name})"
        index.append(f"| {line} | {text(' '.join(summary.split()))} |")
    pages = {
        f"reference/python/{room}.md": "\n".join([f"# promptlift.{room}", "", *parts])
        for room, parts in rooms.items()
    }
    return pages | {"reference/python/index.md": "\n".join([*index, ""])}


def _found(name: str) -> Any:
    module, _, short = name.rpartition(".")
    return getattr(importlib.import_module(module), short)


def _object(name: str) -> str:
    """What mkdocstrings fills in; and the fields of a config, whose help is in its options."""
    found = _found(name)
    fields = options_of(found) if isinstance(found, type) and is_dataclass(found) else {}
    lines = [f"::: {name}", ""]
    if fields:
        short = name.rpartition(".")[2]
        lines[1:] = [
            "    options:",
            "      show_signature: false",
            "",
            f"### Fields of {short}",
            "",
        ]
        lines += ["| field | type | default | what it does |", "| --- | --- | --- | --- |"]
        for field, (item, known) in fields.items():
            kind = " or ".join(getattr(one, "__name__", str(one)) for one in kinds(item.type))
            default = item.default if known.shown is None else known.shown
            lines.append(f"| `{field}` | {kind} | {text(str(default))} | {text(known.help)} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
