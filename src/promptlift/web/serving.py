"""What all servers share: safe headers, files of pages, limits, and the loop until SIGTERM."""

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.resources import files
from typing import Any

import uvicorn
from fastapi import FastAPI, HTTPException, Response
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from promptlift.errors import ConfigError

# No script or style but our own files, nothing from elsewhere, not inside another page.
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' blob: data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
# Named here: the system's own table of types may be wrong.
_TYPES = {"css": "text/css", "html": "text/html", "js": "text/javascript", "svg": "image/svg+xml"}
STOP_S = 5.0  # seconds that requests have to end when the server stops
_MOST_CONNECTIONS = 1000


class SafeHeaders:
    """Adds `HEADERS` to each answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        await self._app(scope, receive, with_headers)


class HeadAsGet:
    """Answers HEAD as GET; the server leaves the body out."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        await self._app(scope, receive, send)


def send_file(folder: str, name: str, package: str = "promptlift.web") -> Response:
    """A file of a page; 404 where the folder in the package has none of that name."""
    known = {item.name: item for item in (files(package) / folder).iterdir()}
    kind = _TYPES.get(name.rpartition(".")[2])
    if name not in known or kind is None:
        raise HTTPException(404, "there is no such file")
    return Response(known[name].read_bytes(), media_type=kind)


def serve(
    app: FastAPI,
    host: str,
    port: int,
    ready: Callable[[str], None],
    *,
    stop_s: float = STOP_S,
) -> None:
    """Serve until Ctrl-C or SIGTERM; then finish the requests that have begun.

    Args:
        app: the app to serve.
        host: address to listen on.
        port: 0 for any that is free.
        ready: gets the address, as "http://127.0.0.1:8080", once browsers can open it.
        stop_s: seconds that requests have to end when the server stops.

    Raises:
        ConfigError: the server cannot listen on the address.
    """
    listener = listening(host, port)
    with terminable():
        ready(address_of(listener, host))
        run(app, listener, stop_s)


def listening(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """A socket that listens on an address; port 0 for any that is free.

    Args:
        host: a name or an IP address of this machine.
        port: its number.
        shared: with other sockets that are shared too, among which Linux spreads connections.

    Raises:
        ConfigError: it cannot.
    """
    is_v6 = ":" in host
    try:
        return socket.create_server(
            (host, port),
            family=socket.AF_INET6 if is_v6 else socket.AF_INET,
            backlog=128,
            dualstack_ipv6=is_v6 and socket.has_dualstack_ipv6(),
            reuse_port=shared,
        )
    except OSError as error:
        reason = str(error.strerror).partition(" (while")[0]  # it names the address once more
        raise ConfigError(
            f"cannot listen on {host}:{port}: {reason}. Give another --port"
        ) from error


def address_of(listener: socket.socket, host: str) -> str:
    """What browsers open, as "http://127.0.0.1:8080"."""
    shown = reachable(host)
    shown = f"[{shown}]" if ":" in shown else shown
    return f"http://{shown}:{listener.getsockname()[1]}"


def run(app: FastAPI, listener: socket.socket, stop_s: float) -> None:
    """Answer what comes to a socket until a signal ends it."""
    config = uvicorn.Config(
        app,
        http="h11",
        limit_concurrency=_MOST_CONNECTIONS,
        ws="none",
        log_config=None,
        log_level="warning",
        server_header=False,
        access_log=False,
        proxy_headers=False,
        timeout_graceful_shutdown=int(stop_s),
    )
    uvicorn.Server(config).run(sockets=[listener])


def reachable(host: str) -> str:
    """An address that other machines can open; for "all addresses", the one used on the network."""
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
def terminable() -> Iterator[None]:
    """Let SIGTERM end the block without an error: uvicorn raises it again after it has stopped."""

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
