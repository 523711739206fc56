"""ComfyUI itself, where the environment has it.

`PROMPTLIFT_COMFYUI` names the folder that holds ComfyUI's `main.py`, `PROMPTLIFT_COMFYUI_PYTHON`
a Python with its requirements and promptlift. The folder itself is left as it is.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import until

COMFYUI = os.environ.get("PROMPTLIFT_COMFYUI", "")
NEEDS_IT = pytest.mark.skipif(not COMFYUI, reason="PROMPTLIFT_COMFYUI names no ComfyUI")


class Host:
    """A ComfyUI that runs."""

    def __init__(self, address: str, process: "subprocess.Popen[bytes]") -> None:
        self.address, self.process = address, process

    def call(self, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.address + path, data, headers)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def run(self, nodes: dict[str, Any]) -> dict[str, Any]:
        """Queue a graph, and the record of its run."""
        return self.record(self.call("/prompt", {"prompt": nodes})["prompt_id"])

    def record(self, number: str) -> dict[str, Any]:
        """What it has to say of a run, once that has ended."""

        def found() -> dict[str, Any] | None:
            record: dict[str, Any] | None = self.call(f"/history/{number}").get(number)
            return record

        return until(found, self.process)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def base_folder(base: Path, *nodes: Path) -> Path:
    """A folder of ComfyUI's files with some custom nodes."""
    for node in nodes:
        shutil.copytree(node, base / "custom_nodes" / node.name)
    for name in ("input", "output", "models", "user", "custom_nodes"):
        (base / name).mkdir(exist_ok=True)
    return base


@contextmanager
def running(base: Path, port: int, **environment: str) -> Iterator[Host]:
    """A ComfyUI that answers."""
    python = os.environ.get("PROMPTLIFT_COMFYUI_PYTHON", sys.executable)
    line = [python, "main.py", "--cpu", "--port", str(port), "--base-directory", str(base)]
    log, given = base / "log", {**os.environ, **environment}
    with (
        open(log, "ab") as file,
        subprocess.Popen(
            line, cwd=COMFYUI, stdout=file, stderr=subprocess.STDOUT, env=given
        ) as process,
    ):
        found = Host(f"http://127.0.0.1:{port}", process)

        def ready() -> Any:
            try:
                return found.call("/system_stats")
            except OSError:  # it does not listen yet
                return None

        try:
            until(ready, process)
            yield found
        finally:
            process.kill()
            print(log.read_text()[-2000:])  # pytest shows it where something went wrong
