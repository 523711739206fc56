"""Odd requests against a server that runs: whether it answers 500, hangs, grows or dies.

    python -m benchmarks.web.odd_requests http://127.0.0.1:8017 [--seconds 600] [--seed 0]
        [--pid PID]

Each is made at random of a route, a body and a way of sending it: odd bytes, huge numbers, deep
nesting, long prompts, many variants, wrong content types, bodies that come slowly or stop, heads
that break off, connections half closed, several requests at once on one connection, jobs that are
cancelled. Prints how often each status came, the slowest answer, and with --pid (Linux) the memory
before and after; ends with 1 on a 500, a hang, or a server that no longer answers.
"""

import argparse
import json
import random
import re
import socket
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

ROUTES = (
    *("/v1/improve",) * 14, *("/v1/illustrate",) * 3, "/v1/illustrate/x",
    "/v1/illustrate/x/pictures/0", "/v1/models", "/v1/edit", "/v1/reasons", "/v1/picture-text",
    "/healthz", "/docs", "/", "/studio/..%2f", "/%00", "/" + "a" * 3000,
)  # fmt: skip
METHODS = (b"POST",) * 24 + (
    b"GET",
    b"DELETE",
    b"HEAD",
    b"PUT",
    b"OPTIONS",
    b"PATCH",
    b"get",
    b"\xff",
)
TYPES = (
    *(b"application/json",) * 8, b"text/plain", b"image/png", b"application/x-www-form-urlencoded",
    b"multipart/form-data", b"application/json; charset=utf-16", b"\xc3\xa9", b"",
)  # fmt: skip
TEXTS = (
    "a cat", "", " ", "\0", "\ud800", "a" * 3999, "a" * 4001, "((((a:1.1)" * 300,
    "<lora:x:1>" * 50, "\u202e\u200b", "猫" * 500, "{a|b|" * 400, "--ar " * 200, '"' * 50,
    "🐈" * 900, "BREAK " * 100,
)  # fmt: skip
NUMBERS = (
    0,
    1,
    -1,
    2,
    64,
    65,
    2**31,
    2**63,
    10**400,
    -(10**30),
    1e308,
    0.5,
    float("inf"),
    float("nan"),
)
OPTIONS = (
    "n", "seed", "temperature", "top_k", "top_p", "max_new_tokens", "min_new_tokens", "length",
    "avoid", "include", "styles", "artists", "mode", "stream", "negative", "chunks", "seeds",
    "receipt", "receipts", "removed", "max_prompt_tokens", "x",
)  # fmt: skip
PATIENCE_S = 60.0
CALLERS = 8


def value(rng: random.Random, depth: int = 0) -> object:
    """Any JSON value, and some that are none."""
    kind = rng.randrange(8 if depth < 4 else 5)
    if kind < 2:
        return rng.choice(TEXTS)
    if kind < 4:
        return rng.choice(NUMBERS)
    if kind == 4:
        return rng.choice((None, True, False))
    if kind == 5:
        return {rng.choice(OPTIONS): value(rng, depth + 1) for _ in range(rng.randrange(4))}
    return [value(rng, depth + 1) for _ in range(rng.choice((0, 1, 3, 70)))]


def body(rng: random.Random) -> bytes:
    """A body: mostly nearly right, now and then bytes, or brackets without end."""
    kind = rng.randrange(12)
    if kind == 0:
        return rng.randbytes(rng.choice((0, 1, 30, 5000)))
    if kind == 1:
        return rng.choice((b"[", b'{"a":', b"[{")) * rng.choice((10, 1000, 100_000))
    if kind == 2:
        return b'{"prompts": "a cat", "seed": ' + b"9" * rng.choice((10, 4000, 100_000)) + b"}"
    found = {rng.choice(OPTIONS): value(rng) for _ in range(rng.randrange(3))}
    found["prompts"] = value(rng) if kind == 3 else rng.choice(TEXTS)
    if kind > 8:
        found = {"prompts": "a cat", "n": rng.choice((1, 8, 64)), "max_new_tokens": 6}
    sent = json.dumps(found, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
    return sent[: rng.randrange(len(sent))] if kind == 4 else sent


def request(rng: random.Random) -> bytes:
    """A request as bytes, whole or broken."""
    content = body(rng)
    length = (
        len(content) if rng.random() < 0.93 else rng.choice((0, 1, len(content) + 9, 10**7, -1))
    )
    head = b"%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: %s\r\n" % (
        rng.choice(METHODS), rng.choice(ROUTES).encode(), rng.choice(TYPES),
    )  # fmt: skip
    if rng.random() < 0.1:
        head += b"X-%s: %s\r\n" % (rng.choice((b"a", b"\0", b"b" * 9000)), rng.randbytes(20))
    if rng.random() < 0.15:
        pieces = [content[i : i + 700] for i in range(0, len(content), 700)]
        content = b"".join(b"%x\r\n%s\r\n" % (len(one), one) for one in pieces) + b"0\r\n\r\n"
        return head + b"Transfer-Encoding: chunked\r\n\r\n" + content
    return head + b"Content-Length: %d\r\n\r\n" % length + content


def send(address: tuple[str, int], rng: random.Random) -> tuple[bytes, list[int], float]:
    """Send a request in some way; what was sent, what statuses came, and how long it took."""
    way = rng.choice(("whole",) * 8 + ("slow", "half", "pipelined", "left", "cut", "closed"))
    sent = request(rng)
    if way == "pipelined":
        sent = b"".join([sent, *(request(rng) for _ in range(3))])
    if way == "cut":
        sent = sent[: rng.randrange(1, len(sent))]
    began, found = time.monotonic(), b""
    with socket.create_connection(address, timeout=PATIENCE_S) as connection:
        try:
            if way == "slow":
                for start in range(0, min(len(sent), 60), 6):
                    connection.sendall(sent[start : start + 6])
                    time.sleep(0.02)
            connection.sendall(sent[60:] if way == "slow" else sent)
            if way in ("left", "cut"):  # nobody waits for an answer
                return sent, [], 0.0
            if way in ("half", "closed"):
                connection.shutdown(socket.SHUT_WR)
            connection.settimeout(PATIENCE_S)
            while part := connection.recv(65536):
                found += part
                connection.settimeout(0.3)  # it may wait for the next request
        except TimeoutError:
            if not found:
                return sent, [-1], time.monotonic() - began
        except OSError:  # the server has closed the connection
            pass
    statuses = [int(one) for one in re.findall(rb"(?:^|\n)HTTP/1\.1 (\d{3}) ", found)]
    return sent, statuses, time.monotonic() - began


def memory_mb(pid: int | None) -> int | None:
    """Resident memory of a process."""
    if pid is None:
        return None
    words = Path(f"/proc/{pid}/status").read_text().split("VmRSS:")[1].split()
    return int(words[0]) // 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("server")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pid", type=int)
    given = parser.parse_args()
    parts = urlsplit(given.server)
    address = (parts.hostname or "127.0.0.1", parts.port or 80)
    before, statuses, slowest = memory_mb(given.pid), Counter[int](), [0.0]
    end = time.monotonic() + given.seconds

    def ask(caller: int) -> int:
        rng, count = random.Random(f"{given.seed} {caller}"), 0
        while time.monotonic() < end:
            sent, found, took = send(address, rng)
            count += 1
            slowest.append(took)
            statuses.update(found)
            if {500, -1} & {*found}:
                print(f"answered {found}: {sent[:500]!r}", flush=True)
        return count

    with ThreadPoolExecutor(CALLERS) as callers:
        count = sum(callers.map(ask, range(CALLERS)))
    with urlopen(f"{given.server}/healthz", timeout=PATIENCE_S) as answer:
        is_well = answer.status == 200
    print(
        f"{count} requests; statuses {dict(sorted(statuses.items()))}; slowest {max(slowest):.1f} s"
    )
    print(f"memory {before} MB before, {memory_mb(given.pid)} MB after; alive: {is_well}")
    sys.exit(bool(statuses[500] or statuses[-1] or not is_well))


if __name__ == "__main__":
    main()
