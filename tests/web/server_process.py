"""Commands that serve, each in a process of its own."""

import os
import re
import signal
import subprocess
import sys
import tempfile
from itertools import islice


class ServerProcess:
    """A command of promptlift that serves until it is stopped.

    Attributes:
        says: how many lines it prints once it can be visited.
        lines: those lines.
        port: where it listens.
    """

    says = 1

    def __init__(self, *words: str, **environment: str) -> None:
        line = [sys.executable, "-m", "promptlift", *words, "--no-open"]
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (a pipe could fill up)
        self.process = subprocess.Popen(
            line, stdout=subprocess.PIPE, stderr=self._errors, text=True,
            env={**os.environ, **environment},
        )  # fmt: skip
        assert self.process.stdout is not None
        self.lines = [said.strip() for said in islice(self.process.stdout, self.says)]
        found = re.search(r":(\d+)(/|$)", self.lines[0])
        assert found is not None
        self.port = int(found[1])

    def kill(self) -> None:
        self.process.kill()
        self._ended()

    def stop(self) -> str:
        """End it as Ctrl-C does; what it said on the way."""
        self.process.send_signal(signal.SIGINT)
        return self._ended()

    def _ended(self) -> str:
        self.process.communicate(timeout=60)
        with self._errors:
            self._errors.seek(0)
            return self._errors.read()


class Studio(ServerProcess):
    """`promptlift studio`."""

    def __init__(self, *options: str, **environment: str) -> None:
        super().__init__("studio", "--port", "0", "--threads", "1", *options, **environment)
        [self.address] = self.lines
