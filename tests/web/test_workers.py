"""`promptlift serve --workers`: several processes behind one address."""

import os
import re
import signal
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from http.client import HTTPException
from pathlib import Path

import psutil
import pytest

from promptlift.improving.improver import Improver
from tests.cli.conftest import command
from tests.waiting import TIMEOUT_S, until
from tests.web.test_serve import Api

pytestmark = pytest.mark.slow
PROMPTS = ("a cat in armor", "a lighthouse", "two dogs", "an old castle", "a bowl of fruit")


def processes(api: Api) -> list[int]:
    """Those that serve, as the system has them: of the first process's children the spawned."""
    task = Path(f"/proc/{api.process.pid}/task/{api.process.pid}/children")
    return [
        int(pid)
        for pid in task.read_text().split()
        if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]


def is_there(pid: int) -> bool:
    """Whether a process is there, and not only its status for whoever asks."""
    try:
        return ") Z" not in Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False


def asked(api: Api, number: int) -> str:
    """The prompt of a request; asked again where the process that had it was killed."""
    prompt, seed = PROMPTS[number % len(PROMPTS)], number // len(PROMPTS)
    for _ in range(3):
        with suppress(OSError, HTTPException):
            status, answer = api.improve(prompt, seed=seed, max_new_tokens=6)
            assert status == 200, answer
            return str(answer["results"][0]["prompt"])
        time.sleep(0.3)  # it takes a moment to end, and is connected to until it has
    raise AssertionError("no answer")


def total(api: Api, figure: str) -> int:
    connection = api.raw(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    [value] = re.findall(rf"^{figure} (\S+)$", connection.decode(), re.MULTILINE)
    return int(float(value))


def test_two_processes_give_what_one_gives_though_one_is_killed(exported: Path) -> None:
    count = 200
    improver = Improver.load(exported, threads=1)
    expected = [
        improver.improve(
            PROMPTS[number % len(PROMPTS)], seed=number // len(PROMPTS), max_new_tokens=6
        )[0].prompt
        for number in range(count)
    ]
    assert len({*expected}) > len(PROMPTS)  # seeds matter
    api = Api(exported, "--workers", "2")
    first = processes(api)
    assert len(first) == 2
    with ThreadPoolExecutor(8) as clients:
        assert list(clients.map(lambda one: asked(api, one), range(count))) == expected
        assert total(api, "promptlift_results_total") == count
        assert all(served(api, pid) for pid in first)

        found = clients.map(lambda one: asked(api, one), range(count))
        os.kill(first[0], signal.SIGKILL)
        assert list(found) == expected
    api.log.until("a process ended; another begins")
    assert total(api, "promptlift_results_total") >= 2 * count - 8

    second = until(lambda: now if len(now := processes(api)) == 2 else None, api.process)
    assert first[0] not in second and first[1] in second
    assert asked(api, 7) == expected[7]
    until(lambda: all(sockets(pid, psutil.CONN_LISTEN) for pid in second) or None, api.process)
    os.kill(first[1], signal.SIGKILL)  # the new one serves alone
    assert asked(api, 8) == expected[8]
    assert api.end()[0] == 0
    assert not any(map(is_there, {*first, *second}))


def served(api: Api, pid: int) -> bool:
    """Whether a process has figures of requests: both accept, and neither takes all."""
    [folder] = [
        line.partition("=")[2]
        for line in Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
        if line.startswith("PROMETHEUS_MULTIPROC_DIR=")
    ]
    return (Path(folder) / f"counter_{pid}.db").is_file()


def test_connections_that_come_together_are_spread(exported: Path) -> None:
    api = Api(exported, "--workers", "2")
    with ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(socket.create_connection(("127.0.0.1", api.port)))

        def taken() -> list[int] | None:
            found = [sockets(pid, psutil.CONN_ESTABLISHED) for pid in processes(api)]
            return found if sum(found) == 40 else None

        # Each goes to one or the other: fewer than eight once in 10,000 runs.
        assert min(until(taken, api.process)) >= 8
    assert api.end()[0] == 0


def sockets(pid: int, status: str) -> int:
    """How many TCP sockets a process has that are in a status."""
    return sum(one.status == status for one in psutil.Process(pid).net_connections("tcp"))


def test_an_address_that_somebody_has_is_refused(exported: Path) -> None:
    """Also that of another server with several processes, which others could share."""
    api = Api(exported, "--workers", "2")
    line = command("serve", "--model", exported, "--workers", "2", "--port", api.port)
    done = subprocess.run(line, capture_output=True, text=True, timeout=TIMEOUT_S)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert f"cannot listen on 127.0.0.1:{api.port}" in done.stderr
    assert api.end()[0] == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_all_of_them_after_what_they_have_begun(
    exported: Path, number: signal.Signals
) -> None:
    api = Api(exported, "--workers", "2")
    pids = processes(api)
    body = {"prompts": "a cat", "min_new_tokens": 60, "max_new_tokens": 60, "stream": True}
    streams = [api.begin(**body, seed=seed) for seed in range(6)]
    answers = [connection.getresponse() for connection in streams]  # the head: it has begun
    status, said = api.end(number)
    assert all("event: done" in answer.read().decode() for answer in answers)
    assert status == (130 if number == signal.SIGINT else 0)
    assert said.splitlines()[-1] == "promptlift: stopped" and "Traceback" not in said
    assert not any(map(is_there, pids))
    for connection in streams:
        connection.close()


def test_they_end_with_the_first_process_though_it_is_killed(exported: Path) -> None:
    api = Api(exported, "--workers", "2")
    pids = processes(api)
    # They hold its stderr: it is closed once they have ended.
    status, said = api.end(signal.SIGKILL)
    assert status == -signal.SIGKILL and "Traceback" not in said
    assert not any(map(is_there, pids))


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (["--model", "./nowhere"], 1, "./nowhere"),
        (["--image-model", "sdxl"], 2, "several --workers draw no pictures"),
        (["--image-steps", "4"], 2, "several --workers draw no pictures"),
        (["--backend", "comfyui"], 2, "several --workers draw no pictures"),
    ],
)
def test_what_cannot_be_served_is_one_line(options: list[str], status: int, said: str) -> None:
    line = command("serve", "--workers", "2", "--port", "0", *options)
    done = subprocess.run(line, capture_output=True, text=True, timeout=TIMEOUT_S)
    assert done.returncode == status
    [error] = done.stderr.splitlines()
    assert said in error
