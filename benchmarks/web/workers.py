"""How many requests a second `promptlift serve` answers with one process and with several.

    python -m benchmarks.web.workers [--workers 1 2] [--rounds 2] [--clients 16] [--seconds 30]
        [--output results.json] [-- OPTIONS OF promptlift serve]

Each process has one thread. Each client sends one prompt, waits for the answer and sends the next
(`benchmarks.web.load`). Numbers of processes take turns, so that other work on the machine meets
all of them.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.web.load import Tally, client


async def _ask(address: str, clients: int, seconds: float) -> Tally:
    until = time.monotonic() + 3
    await asyncio.gather(*(client(address, -n, Tally(), until, 1e9) for n in range(1, clients + 1)))
    tally, until = Tally(), time.monotonic() + seconds
    await asyncio.gather(*(client(address, n, tally, until, 1e9) for n in range(clients)))
    return tally


def measure(workers: int, clients: int, seconds: float, options: list[str]) -> dict[str, Any]:
    """Ask a server with so many processes for a while."""
    line = [
        sys.executable, "-m", "promptlift", "serve", "--port", "0", "--image-model", "none",
        "--threads", "1", "--workers", str(workers), *options,
    ]  # fmt: skip
    with subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        tally = asyncio.run(_ask(address, clients, seconds))
        server.terminate()
    taken = sorted(tally.seconds)
    return {
        "workers": workers,
        "answers": tally.statuses[200],
        "others": sum(tally.statuses.values()) - tally.statuses[200],
        "a_second": round(tally.statuses[200] / seconds, 1),
        "median_ms": round(1000 * taken[len(taken) // 2]),
        "p99_ms": round(1000 * taken[int(0.99 * len(taken))]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--output", type=Path)
    parser.add_argument("options", nargs="*", help="of promptlift serve, after --")
    given = parser.parse_args()
    found = [
        measure(workers, given.clients, given.seconds, given.options)
        for _ in range(given.rounds)
        for workers in given.workers
    ]
    text = json.dumps({"clients": given.clients, "runs": found}, indent=2)
    print(text)
    if given.output:
        given.output.write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
