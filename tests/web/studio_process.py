"""`promptlift studio` as a process."""

import os
import subprocess
import sys


class Studio:
    """`promptlift studio` in a process of its own."""

    def __init__(self, *options: str, **environment: str) -> None:
        line = [
            sys.executable, "-m", "promptlift", "studio", "--no-open", "--port", "0",
            "--threads", "1", *options,
        ]  # fmt: skip
        self.process = subprocess.Popen(
            line, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
        )
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()
