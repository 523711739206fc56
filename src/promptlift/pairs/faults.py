"""Faulty rows of files: the first are reported, all are kept and counted."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar

from promptlift.pairs.load import Unfit
from promptlift.pairs.unfit import counted
from promptlift.tables import Fault

T = TypeVar("T")
_REPORTED = 20


class Faults:
    """The faulty rows of one or more files.

    Args:
        report: takes a line for each of the first twenty.

    Attributes:
        rows: `file`, `line` and `fault` of each.
        unfit: how many of them hold a text that is no prompt to learn, by its kind.
    """

    def __init__(self, report: Callable[[str], None]) -> None:
        self.rows: list[dict[str, object]] = []
        self.unfit = Counter[str]()
        self._report = report

    def sound(self, path: Path, rows: Iterable[T | Fault]) -> Iterator[T]:
        """The rows of a file that are not faulty."""
        for row in rows:
            if not isinstance(row, Fault):
                yield row
                continue
            if isinstance(row, Unfit):
                self.unfit[row.kind] += 1
            self.rows.append({"file": str(path), "line": row.number, "fault": row.message})
            if len(self.rows) <= _REPORTED:
                self._report(f"{path} line {row.number}: {row.message}")

    def summary(self, hint: str = "") -> str:
        """How many there are; reports how many of them were not reported, and `hint`."""
        if (more := len(self.rows) - _REPORTED) > 0:
            self._report(f"… and {more} more faulty rows{hint}")
        left_out = f"{len(self.rows)} faulty rows left out"
        if not self.unfit:
            return left_out
        kinds = counted(self.unfit)
        return f"{left_out}, of them no prompts to learn: {kinds} (--keep-unfit keeps those)"
