"""Rooms import the floor and rooms before them, and no file imports its way back to itself."""

import ast
import dataclasses
import importlib
import re
from collections.abc import Collection
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import promptlift

SOURCE = Path(promptlift.__file__).parent
FLOOR = {
    "errors", "records", "files", "tables", "runs", "devices", "png_text", "pictures",
    "picture_files", "picture_texts", "text_files", "delimited", "statistics", "progress",
    "options", "schema", "threads", "notebook", "endpoint", "shards"}  # fmt: skip
ROOMS = [
    "prompts", "llm", "pairs", "improving", "export", "training", "world", "illustrating",
    "scoring", "picking", "steering", "judging", "tuning", "reporting", "experimenting",
    "sweeping", "ray",
]  # fmt: skip
DOORS = {"cli", "web"}


def imported(path: Path) -> set[str]:
    """First parts below `promptlift` of all that a module imports, late imports included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            if node.module == "promptlift":
                names = [f"promptlift.{alias.name}" for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("promptlift.")}
    return found - {"__version__"}


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda path: path.stem)
def test_imports_point_upstream(path: Path) -> None:
    room = path.relative_to(SOURCE).parts[0].removesuffix(".py")
    if room in DOORS or (path.parent == SOURCE and room.startswith("__")):
        return
    allowed = set(FLOOR)
    if room in ROOMS:
        allowed |= set(ROOMS[: ROOMS.index(room) + 1])
    assert imported(path) <= allowed


def test_every_folder_is_a_room_or_a_door() -> None:
    folders = {path.parent.name for path in SOURCE.glob("*/__init__.py")}
    assert folders == set(ROOMS) | DOORS


def test_the_map_names_all_rooms_in_their_order_and_the_whole_floor() -> None:
    text = (Path(__file__).parents[1] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    below = text.split("\n## Map\n")[1]
    *rooms, one, other = re.findall(r"^\| `(\w+)` \|", below, re.MULTILINE)
    assert rooms == ROOMS and {one, other} == DOORS
    floor = re.search(r"^Beneath the rooms: (.+)$", below, re.MULTILINE)
    assert floor and sorted(re.findall(r"`(\w+)`", floor[1])) == sorted(FLOOR)
    assert {path.stem for path in SOURCE.glob("*.py") if not path.stem.startswith("__")} == FLOOR


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in SOURCE.rglob("*.py"):
        parts = path.relative_to(SOURCE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_of(path: Path, known: Collection[str]) -> set[str]:
    """Modules of the package that a file imports, late imports and those for types included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                found.add(name if name in known else node.module)
    return found & set(known)


def test_no_file_imports_its_way_back_to_itself() -> None:
    known = modules()
    # The package itself imports the names that it exports, some of them late.
    imports = {
        name: imports_of(path, known) - {"promptlift"}
        for name, path in known.items()
        if name != "promptlift"
    }
    for module in TopologicalSorter(imports).static_order():  # raises CycleError, which names it
        assert module in known


def test_a_circle_is_found() -> None:
    with pytest.raises(CycleError):
        tuple(TopologicalSorter({"a": {"b"}, "b": {"a"}}).static_order())


def configs() -> list[type]:
    """Every dataclass of settings in the package."""
    found = {}
    for path in SOURCE.rglob("*.py"):
        module = ".".join(path.relative_to(SOURCE.parent).with_suffix("").parts)
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and node.name.endswith("Config"):
                found[node.name] = getattr(importlib.import_module(module), node.name)
    return list(found.values())


@pytest.mark.parametrize("config", configs(), ids=lambda config: config.__name__)
def test_settings_cannot_be_changed_and_are_given_by_name(config: type) -> None:
    params = config.__dataclass_params__  # type: ignore[attr-defined]
    assert params.frozen
    assert all(item.kw_only for item in dataclasses.fields(config))


def functions() -> dict[str, int]:
    """The lines of every function of the package, from `def` to its last one."""
    return {
        f"{path.relative_to(SOURCE)} {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_no_function_has_more_than_80_lines() -> None:
    assert {name: lines for name, lines in functions().items() if lines > 80} == {}
