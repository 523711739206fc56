"""Votes as files: CSV, TSV, JSONL or Parquet, written and read back."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from promptlift.errors import InputError
from promptlift.judging.collecting.store import VoteStore
from promptlift.tables import Fault, read_rows, write_rows

COLUMNS = (
    "study", "rater", "kind", "pair", "prompt_index", "prompt", "seed", "position", "purpose",
    "question", "left", "right", "answer", "seconds", "given", "page_version", "standing", "key",
    "undoes",
)  # fmt: skip


def export_votes(store: VoteStore, path: Path) -> int:
    """Write all records of a study to a file, by its ending; returns how many there are."""
    rows = store.records()
    write_rows(path, rows, COLUMNS)
    return len(rows)


def import_votes(store: VoteStore, path: Path) -> int:
    """Add the records of a file that `export_votes` wrote, all or none; returns how many are new.

    Raises:
        InputError: the file, or a row of it, cannot be used.
    """
    return store.add_records(_read(path))


def _read(path: Path) -> Iterator[dict[str, Any]]:
    for row in read_rows(path):
        if isinstance(row, Fault):
            raise InputError(f"{path} row {row.number}: {row.message}; nothing was added")
        if isinstance(row.value, str):
            raise InputError(f"{path} row {row.number} is no exported vote; nothing was added")
        try:
            values = {name: row.value[name] for name in COLUMNS}
            seconds = float(values["seconds"])
            if not math.isfinite(seconds):
                raise ValueError(f"seconds is {seconds}")
            yield {
                **values,
                "position": int(values["position"]),
                "seconds": seconds,
                "undoes": values["undoes"] or None,
            }
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{path} row {row.number} is no exported vote ({error}); nothing was added"
            ) from error
