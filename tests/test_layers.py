"""Rooms import the floor and rooms upstream, never downstream and never a door."""

import ast
from pathlib import Path

import promptlift

PACKAGE = Path(promptlift.__file__).parent
FLOOR = {"records", "config", "errors", "files", "tables", "runs"}
ROOMS = ["lexicon", "pairs", "improving", "training"]  # data flows from left to right
DOORS = {"cli"}
# The package's own surface, and `python -m promptlift`.
ENTRANCES = {"__init__", "__main__"}


def place_of(module: Path) -> str:
    """The room, floor module or door that a file belongs to."""
    return module.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(module: Path) -> set[str]:
    """Places that a file imports, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "promptlift":
            found |= {f"promptlift.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
    names = {name.split(".")[1] for name in found if name.startswith("promptlift.")}
    return {
        name for name in names if (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").exists()
    }


def allowed(place: str) -> set[str]:
    if place in FLOOR:
        return FLOOR
    if place in ROOMS:
        return FLOOR | set(ROOMS[: ROOMS.index(place) + 1])
    return FLOOR | set(ROOMS) | DOORS


def test_every_module_has_a_place() -> None:
    places = {place_of(module) for module in PACKAGE.rglob("*.py")}
    assert places <= FLOOR | set(ROOMS) | DOORS | ENTRANCES


def test_imports_go_upstream() -> None:
    wrong = [
        f"{module.relative_to(PACKAGE)} imports {name}"
        for module in PACKAGE.rglob("*.py")
        for name in imports_of(module) - allowed(place_of(module))
    ]
    assert wrong == []


def test_the_check_sees_imports_inside_functions() -> None:
    assert "improving" in imports_of(PACKAGE / "cli" / "improve.py")
    assert imports_of(PACKAGE / "errors.py") == set()
