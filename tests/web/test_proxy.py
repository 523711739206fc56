"""`promptlift serve` behind nginx, with the configuration that docs/serving.md gives."""

import http.client
import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.waiting import until
from tests.web.test_serve import GOOD, HEAD, Api

NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")
HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: localhost\r\n\r\n"
CHUNKED = b"%x\r\n%s\r\n0\r\n\r\n" % (len(GOOD), GOOD)
SHORT = b"Content-Length: 5\r\n"
AMBIGUOUS = [  # headers of a POST that two servers could read in two ways, and its body
    (SHORT + b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    (b"Transfer-Encoding: chunked\r\n" + SHORT, b"0\r\n\r\n"),
    (SHORT + b"Transfer-Encoding : chunked\r\n", b"0\r\n\r\n"),
    (SHORT + b"Transfer-Encoding: \x0bchunked\r\n", b"0\r\n\r\n"),
    (SHORT + b"Transfer-Encoding:\r\n chunked\r\n", b"0\r\n\r\n"),
    (SHORT + b"X: a\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    (SHORT + b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"),
    (b"Transfer-Encoding : chunked\r\n", CHUNKED),
    (b"Transfer-Encoding: chunked, identity\r\n", CHUNKED),
    (b"Transfer-Encoding: identity, chunked\r\n", CHUNKED),
    (b"Transfer-Encoding: \x0bchunked\r\n", CHUNKED),
    (b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", CHUNKED),
    (b"Content-Length: %d\r\n" % len(GOOD) + SHORT, GOOD),
    (b"Content-Length: %d, 5\r\n" % len(GOOD), GOOD),
    (b"Content-Length: +%d\r\n" % len(GOOD), GOOD),
    (b"Content-Length : %d\r\n" % len(GOOD), GOOD),
]


@pytest.fixture(scope="module")
def api(exported: Path) -> Iterator[Api]:
    api = Api(exported, "--batch-size", "4", "--timeout-s", "60")
    yield api
    assert api.end()[0] == 0


@pytest.fixture(scope="module")
def proxy(api: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of an nginx in front of it."""
    if NGINX is None:
        pytest.skip("no nginx")
    folder = tmp_path_factory.mktemp("nginx")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    page = (Path(__file__).parents[2] / "docs" / "serving.md").read_text("utf-8")
    [block] = re.findall(r"```nginx\n(.*?)```", page, re.DOTALL)
    block = block.replace("listen 443 ssl", f"listen 127.0.0.1:{port}")
    block = re.sub(r".*ssl_certificate.*\n", "", block)
    block = block.replace("http://127.0.0.1:8017", api.address)
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in kinds)
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{\naccess_log off;\n{paths}{block}}}\n"
    )
    server = subprocess.Popen([NGINX, "-p", folder, "-c", folder / "nginx.conf"])
    until(lambda: True if listens(port) else None, server)
    yield port
    server.terminate()
    assert server.wait(60) == 0


def listens(port: int) -> bool:
    with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


def answers(port: int, sent: bytes) -> tuple[list[int], bool]:
    """The statuses that come back, and whether the connection is closed after them."""
    found, is_closed = b"", False
    with socket.create_connection(("127.0.0.1", port), timeout=3) as connection:
        connection.sendall(sent)
        try:
            while part := connection.recv(65536):
                found += part
            is_closed = True
        except ConnectionResetError:  # closed with something unread
            is_closed = True
        except TimeoutError:
            pass
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d+)", found)], is_closed


@pytest.mark.slow
@pytest.mark.parametrize(("headers", "body"), AMBIGUOUS)
def test_what_two_servers_could_read_in_two_ways_is_refused(
    api: Api, headers: bytes, body: bytes
) -> None:
    assert answers(api.port, HEAD + headers + b"\r\n" + body + HIDDEN) == ([400], True)


@pytest.mark.slow
@pytest.mark.parametrize(("headers", "body"), AMBIGUOUS)
def test_nor_does_a_second_request_come_through_nginx(
    proxy: int, headers: bytes, body: bytes
) -> None:
    statuses, is_closed = answers(proxy, HEAD + headers + b"\r\n" + body + HIDDEN)
    assert statuses in ([400], [501]) and is_closed


@pytest.mark.slow
def test_a_stream_comes_through_nginx_as_it_is_made(proxy: int, api: Api) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", proxy, timeout=60)
    length = {"min_new_tokens": 60, "max_new_tokens": 60}
    body = {"prompts": ["a cat"] * 16, "n": 2, "stream": True, "seed": 1, **length}
    page = {"content-type": "application/json", "origin": f"http://127.0.0.1:{proxy}"}
    connection.request("POST", "/v1/improve", json.dumps(body), page)
    answer = connection.getresponse()
    assert answer.status == 200
    events = (line for line in answer if line.startswith(b"event: "))
    first = next(events)
    assert not any('"results": 32' in line for line in api.log.lines)  # said at the end
    assert [first, *events] == [b"event: result\n"] * 32 + [b"event: done\n"]
    api.log.until('"results": 32')
    connection.request("GET", "/")
    start = connection.getresponse()
    assert start.headers["location"] == "/docs"
    start.close()
    connection.close()


@pytest.mark.slow
def test_what_is_too_long_is_refused_before_it_is_sent(proxy: int) -> None:
    sent = HEAD + b"Connection: close\r\nContent-Length: 1000001\r\n\r\n"
    assert answers(proxy, sent)[0] == [413]
