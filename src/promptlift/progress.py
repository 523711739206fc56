"""Progress of long work: a bar on a terminal, elsewhere a line from time to time."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

EVERY_S = 10.0  # between two lines
QUIET_S = 30.0  # without a line at most, where lines come with parts of the work


class Show(Protocol):
    """Takes the number of things that are done, and of all things where it is known."""

    def __call__(self, done: int, total: int | None = None) -> None: ...


class Pulse:
    """Lines for work whose own lines may be minutes apart: one after each silence.

    Args:
        report: takes the lines.
        clock: seconds from any start.
    """

    def __init__(
        self, report: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._report, self._clock, self._last = report, clock, clock()

    def said(self, line: str) -> None:
        """A line that is due anyway."""
        self._report(line)
        self._last = self._clock()

    def still(self, line: str) -> None:
        """A line, if there was none for a while."""
        if self._clock() - self._last >= QUIET_S:
            self.said(line)


@contextmanager
def progress(
    what: str,
    *,
    report: Callable[[str], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Show]:
    """Show how far work has come, how fast it is, and how long it will take.

    The pace counts from the first call on, so that work which goes on from an earlier stop is not
    taken for faster than it is.

    Args:
        what: the things that are counted, as "pictures".
        report: takes the lines; without it they go to stderr, and a terminal there shows a bar.
        clock: seconds from any start.
    """
    if report is None and sys.stderr.isatty():
        with _bar(what) as show:
            yield show
    else:
        yield _lines(what, report or _to_stderr, clock)


@contextmanager
def _bar(what: str) -> Iterator[Show]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        MofNCompleteColumn(), TextColumn(what), BarColumn(), TextColumn("{task.fields[pace]}"),
        TimeRemainingColumn(),
    )  # fmt: skip
    # Results on stdout pass by the bar only where both share a terminal: rich would send them to
    # its own console, stderr.
    bar = Progress(
        *columns,
        console=Console(stderr=True, soft_wrap=True),
        transient=True,
        redirect_stdout=sys.stdout.isatty(),
        speed_estimate_period=3600,  # a picture may take minutes
    )
    task = bar.add_task(what, total=None, pace="")

    def show(done: int, total: int | None = None) -> None:
        bar.update(task, completed=done, total=total)
        if speed := bar.tasks[0].speed:
            bar.update(task, pace=_pace(speed))

    with bar:
        yield show


def _lines(what: str, report: Callable[[str], None], clock: Callable[[], float]) -> Show:
    first: int | None = None
    started = last = clock()

    def show(done: int, total: int | None = None) -> None:
        nonlocal first, started, last
        now = clock()
        if first is None:
            first, started = done, now
        if now - last < EVERY_S:
            return
        last = now
        line = f"{done} {what}" if total is None else f"{done} of {total} {what}"
        if done > first and now > started:
            speed = (done - first) / (now - started)
            line += f", {_pace(speed)}"
            if total is not None:
                line += f", {(total - done) / speed / 60:.1f} min left"
        report(line)

    return show


def _pace(speed: float) -> str:
    return f"{speed:.1f} a second" if speed >= 1 else f"{1 / speed:.2f} s each"


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
