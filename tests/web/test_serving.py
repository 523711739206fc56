"""The protocol of all servers."""

import json
import socket
import threading
from collections.abc import Iterator
from ipaddress import ip_address

import pytest
import uvicorn

from promptlift.web.answers import refusal
from promptlift.web.serving import PatientProtocol, reachable

ASKED = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A server that takes two connections."""
    monkeypatch.setattr(PatientProtocol, "most_connections", 2)
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        refusal(404, "nothing is here"),
        http=PatientProtocol,
        lifespan="off",
        log_config=None,
        server_header=False,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join()


def answered(connection: socket.socket, sent: bytes = ASKED) -> tuple[int, str]:
    """Status and error of an answer, whose headers are safe."""
    connection.sendall(sent)
    head, _, body = connection.recv(65536).partition(b"\r\n\r\n")
    if not body:
        body = connection.recv(65536)
    assert b"content-type: application/json" in head.lower()
    return int(head.split()[1]), json.loads(body)["error"]


def test_connections_beyond_the_limit_are_told(port: int) -> None:
    first, second, third = (socket.create_connection(("127.0.0.1", port)) for _ in range(3))
    for taken in (first, second):
        assert answered(taken) == (404, "nothing is here")
    assert answered(third) == (503, "too many connections")
    assert third.recv(1) == b""
    first.close()
    for connection in (second, third):
        connection.close()
    with socket.create_connection(("127.0.0.1", port)) as again:
        assert answered(again) == (404, "nothing is here")


def test_what_is_no_http_is_told(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"nonsense\r\n\r\n")
        found = b""
        while part := connection.recv(65536):
            found += part
    head, _, body = found.partition(b"\r\n\r\n")
    assert json.loads(body) == {"error": "Invalid HTTP request received."}
    assert b"x-content-type-options: nosniff" in head


def test_of_all_addresses_one_is_shown_that_others_can_open() -> None:
    assert reachable("127.0.0.1") == "127.0.0.1" and reachable("prompts") == "prompts"
    for host in ("0.0.0.0", "::"):
        assert not ip_address(reachable(host)).is_unspecified
