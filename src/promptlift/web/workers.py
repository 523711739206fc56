"""Several processes behind one address: each has the whole app, and they share nothing but it.

One process begins the others and answers nothing itself. Each of these listens on the address, and
the system spreads connections among them (SO_REUSEPORT): of one socket that all accept from, the
first that wakes takes whatever waits, and keeps it as long as the callers keep their connections.
"""

import logging
import multiprocessing
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from tempfile import TemporaryDirectory

from fastapi import FastAPI
from prometheus_client.multiprocess import mark_process_dead

from promptlift.errors import ConfigError, PromptliftError
from promptlift.web.metrics import FOLDER
from promptlift.web.serving import STOP_S, address_of, listening, run, terminable

_log = logging.getLogger("promptlift.web")
# A process is replaced so long after it began, at the earliest: one that cannot start again, as
# its model is gone, would otherwise be begun without end.
_PAUSE_S = 5.0
_KILL_S = 5.0  # after `stop_s`
Make = Callable[[], FastAPI]


class _Worker:
    """A process that serves.

    Args:
        make: makes its app; can be pickled.
        host, port, stop_s: as in `serve_workers`; the port is a number of its own.
    """

    def __init__(self, make: Make, host: str, port: int, stop_s: float) -> None:
        context = multiprocessing.get_context("spawn")
        self._told, tell = context.Pipe(duplex=False)
        self.process: SpawnProcess = context.Process(
            target=_work, args=(make, host, port, tell, stop_s), daemon=True
        )
        self.began = time.monotonic()
        self.process.start()
        tell.close()  # the process has its own, and this one would hold the pipe open

    def error(self) -> str | None:
        """Why it could not begin to serve, where it has ended and said so."""
        with suppress(EOFError, OSError):
            if self._told.poll() and (error := self._told.recv()) is not None:
                return str(error)
        return None

    def wait(self) -> None:
        """Wait until it serves.

        Raises:
            PromptliftError: it cannot.
        """
        try:
            error: PromptliftError | None = self._told.recv()
        except EOFError:
            self.process.join()
            error = PromptliftError(
                f"a process of the server ended with status {self.process.exitcode} before it "
                "could serve; if memory ran out, give fewer --workers"
            )
        if error is not None:
            raise error


def serve_workers(
    make: Make,
    host: str,
    port: int,
    ready: Callable[[str], None],
    *,
    workers: int,
    stop_s: float = STOP_S,
) -> None:
    """Serve in several processes until Ctrl-C or SIGTERM; then each finishes what it has begun.

    A process that ends is replaced. All end when this one does, even if it is killed.

    Args:
        make: makes the app, once in each process; can be pickled.
        host, port, ready, stop_s: as in `serving.serve`.
        workers: how many processes.

    Raises:
        ConfigError: nothing can listen on the address, or an option cannot be used.
        PromptliftError: no process can serve.
    """
    if not hasattr(socket, "SO_REUSEPORT"):
        raise ConfigError(
            "several --workers cannot share an address on this system; start several servers on "
            "ports of their own, behind a proxy"
        )
    with listening(host, port) as listener:  # nobody else does
        address, port = address_of(listener, host), listener.getsockname()[1]
    with _figures() as folder, terminable():
        running = list[_Worker]()
        try:
            for _ in range(workers):
                running.append(_Worker(make, host, port, stop_s))
            for worker in running:
                worker.wait()
            ready(address)
            while True:
                wait([worker.process.sentinel for worker in running])
                for place, worker in enumerate(running):
                    if (status := worker.process.exitcode) is not None:
                        fields: dict[str, object] = {"pid": worker.process.pid, "status": status}
                        if error := worker.error():
                            fields["error"] = error
                        _log.warning("a process ended; another begins", extra={"fields": fields})
                        mark_process_dead(worker.process.pid, folder)  # type: ignore[no-untyped-call]
                        time.sleep(max(0.0, worker.began + _PAUSE_S - time.monotonic()))
                        running[place] = _Worker(make, host, port, stop_s)
        finally:
            _end([worker.process for worker in running], stop_s + _KILL_S)


def _end(processes: list[SpawnProcess], most_s: float) -> None:
    for process in processes:
        process.terminate()
    until = time.monotonic() + most_s
    for process in processes:
        process.join(max(0.0, until - time.monotonic()))
        process.kill()  # of one that has ended, nothing


@contextmanager
def _figures() -> Iterator[str]:
    """A folder for the figures of all processes, which they find in their environment."""
    with TemporaryDirectory(prefix="promptlift-figures-") as folder:
        os.environ[FOLDER] = folder
        try:
            yield folder
        finally:
            del os.environ[FOLDER]


def _work(make: Make, host: str, port: int, tell: Connection, stop_s: float) -> None:
    """What a process does."""
    # Ctrl-C comes to all: while the app is made, the first process alone heeds it, and ends this.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    with terminable():
        try:
            app = make()
            listener = listening(host, port, shared=True)
        except PromptliftError as error:
            kind = ConfigError if isinstance(error, ConfigError) else PromptliftError
            tell.send(kind(str(error)))
            raise SystemExit(1) from None
        tell.send(None)
        tell.close()
        with listener:
            run(app, listener, stop_s)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)
