"""Waiting for another process: for what it says, or, where it says nothing, for what it has done.

A test never sleeps for a while and hopes. A busy machine gets minutes, and a process that ends
without what is waited for fails the test at once, with its last words.
"""

import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Any, TypeVar

TIMEOUT_S = 300.0
_LOOK_S = 0.1
_T = TypeVar("_T")


class Said:
    """All that a process writes into a pipe, read by a thread of its own: the pipe never fills.

    Args:
        pipe: text, read to its end and closed.
    """

    def __init__(self, pipe: IO[str] | None) -> None:
        assert pipe is not None
        self.lines: list[str] = []
        self._more, self._ended = threading.Condition(), False
        self._reader = threading.Thread(target=self._read, args=(pipe,), daemon=True)
        self._reader.start()

    def until(self, part: str, times: int = 1, timeout_s: float = TIMEOUT_S) -> None:
        """Wait until so many lines have had a part."""

        def enough() -> bool:
            return sum(part in line for line in self.lines) >= times

        with self._more:
            self._more.wait_for(lambda: enough() or self._ended, timeout_s)
            assert enough(), f"{part!r} was not said {times} times: {self.lines[-20:]}"

    def to_the_end(self, timeout_s: float = TIMEOUT_S) -> str:
        """Everything, once the process has closed the pipe."""
        self._reader.join(timeout_s)
        assert self._ended, "the pipe is open still"
        return "".join(self.lines)

    def _read(self, pipe: IO[str]) -> None:
        with suppress(ValueError), pipe:  # a test that has killed the process may close it first
            for line in pipe:
                with self._more:
                    self.lines.append(line)
                    self._more.notify_all()
        with self._more:
            self._ended = True
            self._more.notify_all()


def until(
    found: Callable[[], _T | None], process: "subprocess.Popen[Any]", timeout_s: float = TIMEOUT_S
) -> _T:
    """What is there in the end; looked for again and again, as long as the process lives.

    For a foreign program alone, which tells nobody when it has come so far. Between two looks this
    waits for the end of the process.
    """
    for _ in range(int(timeout_s / _LOOK_S)):
        value = found()
        if value is not None:
            return value
        try:
            status = process.wait(_LOOK_S)
        except subprocess.TimeoutExpired:
            continue
        raise AssertionError(f"the process ended with {status} before")
    raise AssertionError(f"not there after {timeout_s:.0f} s")
