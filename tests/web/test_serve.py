"""`promptlift serve` as a process: strangers, slow callers, attacks, stopping and being killed."""

import http.client
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.cli.conftest import command
from tests.illustrating.models import save_sd15
from tests.waiting import Said


class Api:
    """`promptlift serve` with a tiny model, in a process of its own."""

    def __init__(
        self,
        model: Path,
        *options: str,
        port: int = 0,
        image_model: str = "none",
        before: str = "",
    ) -> None:
        line = command(
            "serve", "--model", model, "--threads", "1", "--port", port,
            "--image-model", image_model, *options, before=before,
        )  # fmt: skip
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(line, stdout=pipe, stderr=pipe, text=True)
        self.log = Said(self.process.stderr)
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()
        self.port = urlsplit(self.address).port or 0

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        sent = None if body is None else json.dumps(body)
        connection.request(method, path, sent, {"content-type": "application/json", **headers})
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, json.loads(content) if content else None

    def improve(self, prompt: str = "a cat", **options: Any) -> tuple[int, Any]:
        return self.ask("POST", "/v1/improve", {"prompts": prompt, **options})

    def begin(self, **body: Any) -> http.client.HTTPConnection:
        """Ask to improve, and leave the answer for later."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        headers = {"content-type": "application/json"}
        connection.request("POST", "/v1/improve", json.dumps(body), headers)
        return connection

    def raw(self, sent: bytes, wait_s: float = 10) -> bytes:
        """All that comes back on a connection until it is closed, or nothing more comes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=wait_s) as connection:
            connection.sendall(sent)
            found = b""
            try:
                while part := connection.recv(65536):
                    found += part
            except (TimeoutError, ConnectionResetError):
                pass
            return found

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Exit status, and what was said and logged."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return self.process.wait(120), self.log.to_the_end()


@pytest.fixture(scope="module")
def api(exported: Path) -> Iterator[Api]:
    api = Api(exported, "--max-new-tokens", "32", "--timeout-s", "20")
    yield api
    status, errors = api.end()
    assert status == 0
    assert "Traceback" not in errors
    assert '"status": 500' not in errors


GOOD = b'{"prompts": "a cat", "max_new_tokens": 4}'
HEAD = b"POST /v1/improve HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
CLOSE = b"Connection: close\r\n"


@pytest.mark.parametrize(
    ("sent", "statuses"),
    [
        (b"\r\n\r\n\r\nnonsense\r\n\r\n", (400,)),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64 + b"\r\n\r\n", (400,)),
        (b"GET /healthz HTTP/1.1\r\n" + CLOSE + b"\r\n", (400, 421)),
        (b"GET /healthz HTTP/1.0\r\n\r\n", (400, 421)),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n", (400, 421)),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n", (400,)),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 200_000, (400,)),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n" + b"X: a\r\n" * 30_000, (400,)),
        (b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", (400,)),
        (b"GET http://evil.example/healthz HTTP/1.1\r\nHost: localhost\r\n" + CLOSE + b"\r\n",
         (400, 404)),
        (b"GET /%c0%ae%c0%ae/ HTTP/1.1\r\nHost: localhost\r\n" + CLOSE + b"\r\n", (404,)),
        (b"GET /docs/..%5c..%5capi.py HTTP/1.1\r\nHost: localhost\r\n" + CLOSE + b"\r\n", (404,)),
        (b"GET /../../../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n" + CLOSE + b"\r\n", (404,)),
        (b"GET /docs/%0d%0aSet-Cookie:x HTTP/1.1\r\nHost: localhost\r\n" + CLOSE + b"\r\n", (404,)),
        (HEAD + b"Content-Length: -1\r\n\r\n" + GOOD, (400,)),
        (HEAD + b"Content-Length: 1e3\r\n\r\n" + GOOD, (400,)),
        (HEAD + b"Content-Length: 41\r\nContent-Length: 5\r\n\r\n" + GOOD, (400,)),
        (HEAD + b"Content-Length: 99999999999999999999\r\n\r\n", (400, 413)),
        (HEAD + b"Content-Length: 2000000\r\n\r\n" + b"x" * 5000, (413,)),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", (400,)),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + (b"ffff\r\n" + b"x" * 65535 + b"\r\n") * 40,
         (413,)),
        (HEAD + b"Transfer-Encoding: gzip\r\n\r\n" + GOOD, (400, 501)),
        (HEAD + b"Content-Encoding: gzip\r\n" + CLOSE + b"Content-Length: 3\r\n\r\n\x1f\x8b\x08",
         (400, 415, 422)),
        (HEAD + b"Expect: 100-continue\r\n" + CLOSE + b"Content-Length: 41\r\n\r\n" + GOOD,
         (100, 200)),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
         b"Connection: upgrade, close\r\nSec-WebSocket-Key: x\r\n\r\n", (200,)),
        (b"TRACE / HTTP/1.1\r\nHost: localhost\r\nCookie: secret\r\n" + CLOSE + b"\r\n",
         (404, 405)),
        (b"<script> / HTTP/1.1\r\nHost: localhost\r\n" + CLOSE + b"\r\n", (400,)),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, 421)),
    ],
)  # fmt: skip
def test_requests_out_of_order_are_refused_at_once(
    api: Api, sent: bytes, statuses: tuple[int, ...]
) -> None:
    began = time.monotonic()
    found = api.raw(sent)
    assert time.monotonic() - began < 9
    # Connections that are closed with something unread may be reset before their answer is seen.
    if found:
        assert int(found.split(b" ", 2)[1]) in statuses
    for leak in (b"Traceback", b"site-packages", b"/src/", b"secret", b"uvicorn", b"set-cookie"):
        assert leak not in found.lower()
    assert api.improve(max_new_tokens=4)[0] == 200


def test_the_example_of_the_docs_runs(api: Api) -> None:
    code = example("improve(", api).replace("n=3", "n=3, max_new_tokens=4")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 3


@pytest.mark.slow
def test_the_example_of_pictures_runs(exported: Path, tmp_path: Path) -> None:
    pipeline = save_sd15(tmp_path / "sd15")
    api = Api(exported, "--image-steps", "1", "--offline", image_model=str(pipeline))
    code = example("/v1/illustrate", api)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    for number in range(2):
        assert (tmp_path / f"lighthouse-{number}.png").read_bytes().startswith(b"\x89PNG")
    assert api.end()[0] == 0


def example(word: str, api: Api) -> str:
    """The example of the docs that has a word, for this server."""
    page = (Path(__file__).parents[2] / "docs" / "serving.md").read_text("utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    [code] = [block for block in blocks if word in block]
    assert "http://127.0.0.1:8017" in code
    return str(code.replace("http://127.0.0.1:8017", api.address))


@pytest.mark.parametrize("options", [("--port", "70000"), ("--timeout-s", "inf")])
def test_settings_that_cannot_be_used_are_one_line(
    exported: Path, options: tuple[str, str]
) -> None:
    status, errors = Api(exported, *options).end()
    assert status == 2
    assert options[0].strip("-").replace("-", "_") in errors.replace("-", "_")
    assert "Traceback" not in errors


def test_a_second_request_cannot_be_smuggled_in(api: Api) -> None:
    inner = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
    sent = HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner
    found = api.raw(sent, 1)
    assert b"smuggled" not in found
    assert found.startswith(b"HTTP/1.1 400 ")
    assert found.count(b"HTTP/1.1") == 1


def test_callers_who_leave_give_their_place_up(api: Api) -> None:
    asked = '"route": "/v1/improve"'
    before = sum(asked in line for line in api.log.lines)
    for _ in range(30):
        with socket.create_connection(("127.0.0.1", api.port)) as connection:
            body = json.dumps({"prompts": ["a cat"] * 16, "n": 4, "min_new_tokens": 32}).encode()
            connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    api.log.until(asked, before + 30)  # it knows that they left
    assert api.improve(max_new_tokens=4)[0] == 200


@pytest.mark.slow
def test_what_was_begun_is_finished_when_it_stops(exported: Path) -> None:
    api = Api(exported)
    body = {"prompts": "a cat", "n": 10, "min_new_tokens": 250, "max_new_tokens": 250}
    whole = [api.begin(**body, seed=number) for number in range(3)]
    # The head of a stream says that its request was begun, and so were those before it.
    streams = [api.begin(**body, seed=number, stream=True) for number in range(3)]
    answers = [connection.getresponse() for connection in streams]
    assert select.select([connection.sock for connection in whole], [], [], 0)[0] == []
    status, errors = api.end()
    answers += [connection.getresponse() for connection in whole]
    assert [answer.status for answer in answers] == [200] * 6
    texts = [answer.read().decode() for answer in answers]
    assert [text.count("event: result") for text in texts[:3]] == [10] * 3
    assert ["event: done" in text for text in texts[:3]] == [True] * 3
    assert [len(json.loads(text)["results"]) for text in texts[3:]] == [10] * 3
    for connection in (*streams, *whole):
        connection.close()
    assert status == 0
    assert errors.splitlines()[-1] == "promptlift: stopped"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", api.port))


@pytest.mark.slow
def test_a_killed_server_comes_back_on_its_port(exported: Path) -> None:
    api = Api(exported)
    wanted = api.improve(seed=1, max_new_tokens=6)
    long = {"prompts": ["a cat"] * 64, "min_new_tokens": 250, "max_new_tokens": 250}
    busy = [api.begin(**long) for _ in range(6)]
    stream = api.begin(**long, stream=True)
    assert stream.getresponse().status == 200  # it has begun, and those before it
    api.end(signal.SIGKILL)
    with suppress(ConnectionResetError):
        assert busy[-1].sock.recv(1) == b""  # it had not come to this one
    for connection in (*busy, stream):
        connection.close()
    again = Api(exported, port=api.port)
    assert again.port == api.port
    assert again.improve(seed=1, max_new_tokens=6) == wanted
    again.end()


def test_beyond_this_machine_a_token_is_needed(exported: Path, tmp_path: Path) -> None:
    refused = Api(exported, "--host", "0.0.0.0")
    status, errors = refused.end()
    assert status == 2
    assert "a token is needed" in errors
    file = tmp_path / "token"
    file.write_text("a-token-of-some-length\n")
    api = Api(exported, "--host", "0.0.0.0", "--token-file", str(file))
    assert api.improve(max_new_tokens=4)[0] == 401
    authorization = "Bearer a-token-of-some-length"
    assert api.ask("GET", "/v1/models", authorization=authorization)[0] == 200
    _, errors = api.end()
    assert "can be reached by others" in errors
    assert "a-token" not in errors


# What the server waits for in ten seconds, it waits for in one.
IMPATIENT = """
from promptlift.web import guard
guard.Guard.__init__.__kwdefaults__["body_s"] = 1.0
"""


def drip(connection: socket.socket, part: bytes) -> None:
    """Send a little every tenth of a second, until an answer or the end comes."""
    end = time.monotonic() + 60
    while not select.select([connection], [], [], 0.1)[0]:
        assert time.monotonic() < end, "the server has patience without end"
        connection.sendall(part)


@pytest.mark.slow
def test_a_body_that_does_not_come_is_refused_and_delays_nobody(exported: Path) -> None:
    """Heads that do not end and answers that nobody takes are the reverse proxy's to close."""
    api = Api(exported, before=IMPATIENT)
    with socket.create_connection(("127.0.0.1", api.port), timeout=60) as body:
        body.sendall(HEAD + b"Content-Length: 4100\r\n\r\n")
        assert api.ask("GET", "/healthz")[0] == 200
        drip(body, b" ")
        assert body.recv(100).startswith(b"HTTP/1.1 408")
    assert api.improve(max_new_tokens=4)[0] == 200
    assert api.end()[0] == 0


@pytest.mark.slow
def test_requests_made_from_the_description_meet_no_failure(exported: Path, tmp_path: Path) -> None:
    # Beside this Python first, which need not be on the path.
    tool = shutil.which(
        "schemathesis", path=f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}"
    )
    if tool is None:
        pytest.skip("no schemathesis")
    pipeline = save_sd15(tmp_path / "sd15")
    api = Api(
        exported,
        "--image-steps",
        "1",
        "--offline",
        "--max-jobs",
        "100000",
        image_model=str(pipeline),
    )
    line = [
        tool, "run", f"{api.address}/openapi.json", "--seed", "1", "--max-examples", "50",
        "--workers", "1", "--generation-database", "none", "--request-timeout", "60",
        # Options may exclude each other, which a schema does not say.
        "--exclude-checks", "positive_data_acceptance",
    ]  # fmt: skip
    done = subprocess.run(line, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    status, errors = api.end()
    assert status == 0
    lines = [json.loads(line) for line in errors.splitlines() if line.startswith("{")]
    assert len(lines) > 300
    assert not [line for line in lines if line.get("status") in (500, 503)]
