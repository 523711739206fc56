"""What all servers share: safe headers, patience with limits, a socket bound before it is told."""

import asyncio
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import h11
import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from promptlift.errors import ConfigError
from promptlift.web.answers import refusal

# No script or style but our own files, nothing from elsewhere, not inside another page.
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_STOP_S = 5.0  # seconds that requests have to end when the server stops
_PATIENCE_S = 15.0


class SafeHeaders:
    """Adds `HEADERS` to each answer."""

    def __init__(self, app: ASGIApp, headers: Mapping[str, str] = HEADERS) -> None:
        self._app = app
        self._headers = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *self._headers]
            await send(message)

        await self._app(scope, receive, with_headers)


_FULL = SafeHeaders(
    refusal(503, "too many connections", {"connection": "close", "retry-after": "5"})
)


class PatientProtocol(H11Protocol):
    """HTTP that ends a connection on which nothing has moved for a while.

    uvicorn waits without end for the head of a request, and for a caller to take its answer. What
    it refuses itself is refused here as elsewhere, in JSON and with `HEADERS`.
    """

    most_connections = 1000
    _seen: object = None
    _watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self.most_connections:
            self.app = _FULL
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._watch is not None:
            self._watch.cancel()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        answer = refusal(400, msg, {"connection": "close"})
        headers = [*answer.raw_headers, *((k.encode(), v.encode()) for k, v in HEADERS.items())]
        for event in (
            h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
            h11.Data(data=bytes(answer.body)),
            h11.EndOfMessage(),
        ):
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _look(self) -> None:
        untaken = self.transport.get_write_buffer_size()
        between = self.cycle is None or self.cycle.response_complete
        seen = (self.cycle, untaken)
        if (between or untaken) and seen == self._seen:
            self.transport.abort()
            return
        self._seen = seen
        self._watch = self.loop.call_later(_PATIENCE_S, self._look)


def serve(
    app: FastAPI,
    host: str,
    port: int,
    ready: Callable[[str], None],
    *,
    stop_s: float = _STOP_S,
) -> None:
    """Serve until Ctrl-C or SIGTERM; what was begun is then finished.

    Args:
        app: what is served.
        host: address to listen on.
        port: 0 for any that is free.
        ready: is told the address, as "http://127.0.0.1:8080", once it can be opened.
        stop_s: seconds that requests have to end when the server stops.

    Raises:
        ConfigError: the address cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"{host}:{port} cannot be listened on: {error.strerror}. Give another --port"
        ) from error
    shown = reachable(host)
    shown = f"[{shown}]" if ":" in shown else shown
    config = uvicorn.Config(
        app,
        http=PatientProtocol,
        ws="none",
        log_config=None,
        log_level="warning",
        server_header=False,
        access_log=False,
        proxy_headers=False,
        timeout_graceful_shutdown=int(stop_s),
    )
    with _terminable():
        ready(f"http://{shown}:{listener.getsockname()[1]}")
        uvicorn.Server(config).run(sockets=[listener])


def reachable(host: str) -> str:
    """An address that others can open: of all addresses, that by which the network is reached."""
    everywhere = {"0.0.0.0": ("192.0.2.1", "127.0.0.1"), "::": ("2001:db8::1", "::1")}
    if host not in everywhere:
        return host
    elsewhere, here = everywhere[host]  # the first is for examples; nothing is sent to it
    try:
        with socket.socket(
            socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM
        ) as way:
            way.connect((elsewhere, 9))
            return str(way.getsockname()[0])
    except OSError:
        return here


class _Terminated(Exception):
    pass


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end the block, as an orderly end: uvicorn raises it again when it has stopped."""

    def end(*_: Any) -> None:
        raise _Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        with suppress(_Terminated):
            yield
    finally:
        signal.signal(signal.SIGTERM, before)
