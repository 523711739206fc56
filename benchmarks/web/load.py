"""How many prompts `promptlift serve` improves when many ask at once, and how long they wait.

    python -m benchmarks.web.load [--clients 64] [--seconds 60] [--requests N]
        [--output results.json] [-- OPTIONS OF promptlift serve]

Each client sends one prompt, waits for the answer and sends the next, on a connection of its own;
after 429 it waits as long as it was told. Every prompt is another. Runs against the real command
twice: as it is, and with `--batch-size 1`, which shares no batch. With --requests N it runs once,
until so many are answered, and tells the memory of the server on the way.
"""

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

SUBJECTS = (
    "cat", "dog", "lighthouse", "castle", "robot", "old man", "girl with a red hat", "dragon",
    "forest", "city", "fox", "sailor", "violin", "bowl of fruit", "steam train", "mountain hut",
)  # fmt: skip
PLACES = (
    "in armor", "on a hill", "reading a book", "in the rain", "under the sea", "made of glass",
    "with two birds", "in a garden", "at night", "beside a river", "behind a window", "in snow",
    "at the edge of a desert", "on a wooden table", "in an empty station", "between tall trees",
)  # fmt: skip
MOODS = (
    "quiet",
    "small",
    "ancient",
    "golden",
    "broken",
    "happy",
    "giant",
    "lonely",
    "pale",
    "wild",
)

_WARM_UP_S = 3.0


@dataclass
class Tally:
    """What was answered.

    Attributes:
        statuses: how often each came.
        seconds: that each improved prompt took, the waiting after 429 not included.
        memory: resident kB of the server, after so many answers.
        processor_s: processor time of the server.
    """

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    memory: list[tuple[int, int]] = field(default_factory=list)
    processor_s: float = 0.0


def prompt(rng: random.Random) -> str:
    number = rng.randrange(1_000)
    return f"a {rng.choice(MOODS)} {rng.choice(SUBJECTS)} {rng.choice(PLACES)}, number {number}"


async def client(address: str, seed: int, tally: Tally, until: float, requests: float) -> None:
    """Ask until the time is over or so many were answered by all clients together."""
    rng, parts = random.Random(seed), urlsplit(address)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    while time.monotonic() < until and len(tally.seconds) < requests:
        body = json.dumps({"prompts": prompt(rng), "seed": rng.randrange(2**32)}).encode()
        head = (
            f"POST /v1/improve HTTP/1.1\r\nHost: {parts.netloc}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        began = time.perf_counter()
        writer.write(head.encode() + body)
        status, headers, answer = await response(reader)
        tally.statuses[status] += 1
        if status == 429:
            await asyncio.sleep(int(headers["retry-after"]))
        else:
            tally.seconds.append(time.perf_counter() - began)
            assert status != 200 or b'"results"' in answer
    writer.close()


async def response(reader: asyncio.StreamReader) -> tuple[int, dict[str, str], bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
    body = await reader.readexactly(int(headers["content-length"]))
    return int(head[0].split()[1]), headers, body


async def watch(process: int, tally: Tally) -> None:
    while True:
        status = Path(f"/proc/{process}/status").read_text()
        [line] = [line for line in status.splitlines() if line.startswith("VmRSS")]
        tally.memory.append((len(tally.seconds), int(line.split()[1])))
        await asyncio.sleep(1)


def processor_seconds(process: int) -> float:
    """Processor time of a process so far."""
    user, system = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


async def ask(address: str, process: int, clients: int, seconds: float, requests: float) -> Tally:
    await asyncio.gather(
        *(client(address, -n, Tally(), time.monotonic() + _WARM_UP_S, 99) for n in (1, 2))
    )
    tally = Tally()
    tally.processor_s -= processor_seconds(process)
    watching = asyncio.create_task(watch(process, tally))
    until = time.monotonic() + seconds
    await asyncio.gather(*(client(address, n, tally, until, requests) for n in range(clients)))
    watching.cancel()
    tally.processor_s += processor_seconds(process)
    return tally


def measure(clients: int, seconds: float, requests: float, options: list[str]) -> dict[str, Any]:
    line = [
        sys.executable, "-m", "promptlift", "serve", "--port", "0", "--image-model", "none",
        *options,
    ]  # fmt: skip
    with subprocess.Popen(
        line, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        began = time.monotonic()
        tally = asyncio.run(ask(address, server.pid, clients, seconds, requests))
        took = time.monotonic() - began - _WARM_UP_S
        server.terminate()
    return {
        "options": options,
        "clients": clients,
        "seconds": round(took, 1),
        "statuses": dict(tally.statuses),
        "prompts_a_second": round(tally.statuses[200] / took, 1),
        "processor_ms_a_prompt": round(1000 * tally.processor_s / tally.statuses[200], 1),
        "ms": {
            "median": round(1000 * float(np.median(tally.seconds))),
            "p99": round(1000 * float(np.quantile(tally.seconds, 0.99))),
            "max": round(1000 * max(tally.seconds)),
        },
        "memory_mb": [
            {"answers": answers, "mb": round(kilobytes / 1024, 1)}
            for answers, kilobytes in tally.memory[:: max(1, len(tally.memory) // 20)]
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--requests", type=int)
    parser.add_argument("--output", type=Path)
    parser.add_argument("options", nargs="*", help="of promptlift serve, behind --")
    given = parser.parse_args()
    if given.requests is not None:
        found = [measure(given.clients, 1e9, given.requests, given.options)]
    else:
        found = [
            measure(given.clients, given.seconds, 1e9, [*given.options, *more])
            for more in ([], ["--batch-size", "1"])
        ]
    text = json.dumps(found, indent=2)
    print(text)
    if given.output:
        given.output.write_text(text + "\n")


if __name__ == "__main__":
    main()
