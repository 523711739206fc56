"""Files of a run folder, read as far as they are sound; what is not is named in `missing`."""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from promptlift.errors import PromptliftError
from promptlift.tables import Fault, read_rows

Row = Mapping[str, Any]


def json_of(folder: Path, file: str, missing: list[str]) -> dict[str, Any] | None:
    """The object of a JSON file of this version; None where there is none, named if damaged."""
    try:
        value = json.loads((folder / file).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        missing.append(f"{file} cannot be read and was left out: {error}")
        return None
    if not isinstance(value, dict) or value.get("schema_version") != 1:
        missing.append(f"{file} is of another version of promptlift and was left out")
        return None
    return value


def rows_of(
    folder: Path,
    file: str,
    needed: Sequence[str],
    missing: list[str],
    *,
    absent: str | None = None,
) -> list[dict[str, Any]]:
    """Rows that have the needed fields as text; the others are counted in `missing`.

    Where there is no file, `missing` gets the line `absent`.
    """
    if absent and not (folder / file).exists():
        missing.append(absent)
        return []
    try:
        rows = [*read_rows(folder / file)]
    except PromptliftError as error:
        missing.append(f"{file} was left out: {error}")
        return []
    sound = [
        dict(row.value)
        for row in rows
        if not isinstance(row, Fault) and not isinstance(row.value, str)
        and all(isinstance(row.value.get(name), str) for name in needed)
    ]  # fmt: skip
    if faulty := len(rows) - len(sound):
        fields = ", ".join(f"`{name}`" for name in needed)
        missing.append(f"{file}: {faulty} rows without a valid {fields} were left out")
    return sound


def number(value: Any) -> float | None:
    """A figure of a file: NaN where it says so, None where there is none."""
    try:
        return None if value is None or value == "" else float(value)
    except (TypeError, ValueError):
        return None


def finite(value: Any) -> float | None:
    """A figure of a file; None where there is none or it is not finite."""
    found = number(value)
    return found if found is not None and math.isfinite(found) else None
