"""A command as a process, how it is killed, and what is noted of it."""

import os
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
_PATIENCE_S = 3600.0
_INTERRUPTED = 130
_TRAINING = ("train", "tune", "experiment")


@dataclass
class Tally:
    """What came of the kills of a command."""

    command: str
    whole_s: float = 0.0  # processor seconds of an undisturbed run
    jobs: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    compared: int = 0  # files, over all jobs
    rows: int = 0  # rows, pictures or votes that were counted
    faults: list[str] = field(default_factory=list)

    @contextmanager
    def told(self, folder: Path) -> Iterator[None]:
        """Print the faults of a job as they are found, and remove the job's folder without one."""
        before = len(self.faults)
        yield
        for line in self.faults[before:]:
            print(f"fault: {line}", file=sys.stderr, flush=True)
        if len(self.faults) == before:
            shutil.rmtree(folder)


class Process:
    """A command in a session of its own, which writes to `FOLDER.out` and `FOLDER.err`."""

    def __init__(self, line: tuple[str, ...], folder: Path) -> None:
        self.errors, self.output = folder.with_suffix(".err"), folder.with_suffix(".out")
        self.said = self.errors.stat().st_size if self.errors.exists() else 0
        self.output.write_bytes(b"")
        self.status: int | None = None
        self.pid = os.fork()
        if not self.pid:
            self._become(line, folder)

    def _become(self, line: tuple[str, ...], folder: Path) -> None:
        os.setsid()
        os.chdir(folder)
        for number, path in ((1, self.output), (2, self.errors)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
        status = 1
        try:
            from promptlift.__main__ import main

            sys.argv = ["promptlift", *line]
            main()
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else 1
        except BaseException:
            traceback.print_exc()
        finally:
            with suppress(Exception):
                sys.stdout.flush()
            os._exit(status)

    def seconds(self) -> float:
        """Its processor time."""
        try:
            words = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        except FileNotFoundError:
            return 0.0
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def poll(self) -> int | None:
        """Its exit status, below 0 for a signal; None while it runs."""
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status

    def wait(self, until: Callable[[], bool] = lambda: False) -> int | None:
        """Wait for its end, or for something else before; an end that does not come is an error."""
        end = time.monotonic() + _PATIENCE_S
        while self.poll() is None and not until():
            if time.monotonic() > end:
                os.killpg(self.pid, signal.SIGKILL)
                raise TimeoutError(f"{self.errors} did not end")
            time.sleep(0.003)
        return self.status

    def new_errors(self) -> str:
        """What it wrote to stderr."""
        return self.errors.read_bytes()[self.said :].decode(errors="replace")

    def strays(self) -> bool:
        """Whether processes that it started live on."""
        for _ in range(100):
            try:
                os.killpg(self.pid, 0)
            except ProcessLookupError:
                return False
            time.sleep(0.02)
        return True


def kill(
    process: Process, number: signal.Signals, tally: Tally, label: str, *, counts: bool = True
) -> None:
    """Send a signal, and look at how the process ends."""
    os.kill(process.pid, number)
    status = process.wait()
    tally.kills[number.name] += counts
    # While it trains, a command saves a checkpoint on SIGTERM and ends as on Ctrl-C.
    wanted = {0, _INTERRUPTED if number is signal.SIGINT else -number}
    if tally.command in _TRAINING and number is signal.SIGTERM:
        wanted.add(_INTERRUPTED)
    if status not in wanted:
        tally.faults.append(f"{label}: {number.name} ended it with {status}")
    errors = process.new_errors()
    if "Traceback" in errors:
        tally.faults.append(f"{label}: {number.name}: {errors[-1500:]}")
    if process.strays():
        tally.faults.append(f"{label}: {number.name} left processes")
