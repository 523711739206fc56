"""A real server on this computer that speaks OpenAI's format, or misbehaves as a test says."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = "sk-very-secret-0123456789"
PATIENCE_S = 20  # for what other threads and processes do; reached only when a test fails


class Reply:
    """A response of the server.

    Attributes:
        length: what `Content-Length` says, in place of the length of the body.
        raw: whether the body is all that is sent, in place of headers.
        drip_s: seconds between two bytes of the body.
    """

    length: int | None = None
    drip_s: float | None = None
    raw = False

    def __init__(self, body: Any, status: int = 200, **headers: str) -> None:
        self.status, self.headers = status, headers
        self.body = body if isinstance(body, bytes) else json.dumps(body).encode()


def answer(text: Any, finish_reason: str = "stop") -> Reply:
    message = {"role": "assistant", "content": text}
    return Reply({"choices": [{"message": message, "finish_reason": finish_reason}]})


def failure(status: int, text: str = "no", **headers: str) -> Reply:
    return Reply({"error": {"message": text}}, status, **headers)


def cut(reply: Reply) -> Reply:
    """The connection ends before the response does."""
    reply.length = len(reply.body) + 100
    return reply


def dripping(reply: Reply, seconds: float) -> Reply:
    """A byte comes every so many seconds."""
    reply.drip_s = seconds
    return reply


def head(prompt: str) -> Reply:
    return answer(prompt.split(",")[0])


class Endpoint(ThreadingHTTPServer):
    """Answers with `respond(prompt)`, and keeps what it was asked.

    Attributes:
        asked: the prompts.
        requests: path, headers and body of what was asked.
        others: the same of requests that ask nothing.
        names: of the models that it has.
        listing: the response to what asks for them, where it is another.
        other: the response to a POST to another path.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.respond: Callable[[str], Reply] = head
        self.asked: list[str] = []
        self.requests: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.others: list[tuple[str, dict[str, str], Any]] = []
        self.names, self.other = ["tiny"], Reply({"done": True})
        self.listing: Reply | None = None
        self.at_once = self.most_at_once = 0
        self.lock = threading.Lock()
        self.gate = threading.Event()  # opened at the end: for answers that do not come
        self.url = f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def do_GET(self) -> None:
        self.server.others.append((self.path, dict(self.headers), None))
        is_list = self.path == "/v1/models"
        models = Reply({"data": [{"id": name} for name in self.server.names]})
        self._give((self.server.listing or models) if is_list else failure(404))

    def do_POST(self) -> None:
        server = self.server
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not self.path.endswith("/chat/completions"):
            server.others.append((self.path, dict(self.headers), body))
            self._give(server.other)
            return
        prompt = body["messages"][-1]["content"].rsplit("Prompt: ", 1)[1]
        with server.lock:
            server.asked.append(prompt)
            server.requests.append((self.path, dict(self.headers), body))
            server.at_once += 1
            server.most_at_once = max(server.most_at_once, server.at_once)
        try:
            reply = server.respond(prompt)
        finally:
            with server.lock:
                server.at_once -= 1
        self._give(reply)

    def _give(self, reply: Reply) -> None:
        if reply.raw:
            assert reply.drip_s is not None
            self._drip(reply.body, reply.drip_s)
            return
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(reply.length or len(reply.body)))
        self.end_headers()
        if reply.drip_s is None:
            self.wfile.write(reply.body)
            return
        self._drip(reply.body, reply.drip_s)

    def _drip(self, data: bytes, seconds: float) -> None:
        for byte in data:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            self.server.gate.wait(seconds)

    def log_message(self, *arguments: Any) -> None:
        """Nothing on stderr."""


@contextmanager
def serving() -> Iterator[Endpoint]:
    """A server that answers until the end."""
    server = Endpoint()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.gate.set()
        server.shutdown()
        thread.join()
        server.server_close()
