"""What all servers share: safe headers, a socket that is bound before its address is told."""

import socket
from collections.abc import Callable, Mapping

import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from promptlift.errors import ConfigError

# No script or style but our own files, nothing from elsewhere, not inside another page.
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_STOP_S = 5  # seconds that requests have to end when the server stops


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


def serve(app: FastAPI, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Serve until Ctrl-C or SIGTERM.

    Args:
        app: what is served.
        host: address to listen on.
        port: 0 for any that is free.
        ready: is told the address, as "http://127.0.0.1:8080", once it can be opened.

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
    shown = f"[{host}]" if ":" in host else host
    ready(f"http://{shown}:{listener.getsockname()[1]}")
    config = uvicorn.Config(
        app,
        log_level="warning",
        server_header=False,
        access_log=False,
        timeout_graceful_shutdown=_STOP_S,
    )
    uvicorn.Server(config).run(sockets=[listener])
