"""Who may ask, from where, and how much: checked before a request is read.

A page elsewhere must not use a server on this machine through its visitor's browser. Its requests
carry its `Origin`; and where it points a name of its own at 127.0.0.1 (DNS rebinding), they carry
that name as `Host`.
"""

import asyncio
import ipaddress
from collections.abc import Collection
from hmac import compare_digest

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from promptlift.web.answers import refusal

BODY_S = 10.0  # seconds in which a request's body must have come
_PROTECTED = "/v1/"
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")


class Guard:
    """Refuses requests of strangers, and bodies that are too long or too slow.

    Args:
        app: what is guarded; it gets the body in one piece.
        token: must come with requests below /v1/, where it is given.
        hosts: names under which the server may be called.
        max_body: bytes.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        token: str | None,
        hosts: Collection[str],
        max_body: int,
        body_s: float = BODY_S,
    ) -> None:
        self._app, self._max_body, self._body_s = app, max_body, body_s
        self._token = None if token is None else token.encode()
        self._hosts = {"localhost", *(host.lower() for host in hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        found = self._refusal(scope, headers)
        if found is None and _has_body(headers):
            try:
                body = await asyncio.wait_for(self._body(headers, receive), self._body_s)
            except asyncio.TimeoutError:
                found = 408, f"the request did not come within {self._body_s:g} s"
            except _TooLong:
                found = 413, f"a request may have {self._max_body} bytes"
            except _Gone:
                return
            else:
                receive = _with_body(body, receive)
        if found is None:
            await self._app(scope, receive, send)
            return
        # The rest of such a request is not read: nothing can follow on its connection.
        extra = {"connection": "close"}
        if found[0] == 401:
            extra["www-authenticate"] = "Bearer"
        await refusal(*found, extra)(scope, receive, send)

    def _refusal(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        host = headers.getlist("host")
        if len(host) != 1 or not self._is_own(host[0]):
            return 421, "this server does not go by that name; see --allow-host"
        if scope["method"] not in _SAFE_METHODS:
            origin = headers.get("origin")
            if origin is not None and origin.partition("://")[2].lower() != host[0].lower():
                return 403, "pages of other origins may not use this server"
            if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
                return 403, "pages of other origins may not use this server"
        if self._token is not None and scope["path"].startswith(_PROTECTED):
            given = headers.get("authorization", "").encode("latin-1")
            # Always compared, and in constant time: how long it takes says nothing of the token.
            if not compare_digest(given, b"Bearer " + self._token):
                return 401, "send the server's token as `Authorization: Bearer TOKEN`"
        return None

    def _is_own(self, host: str) -> bool:
        """Whether a Host header is a known name, or an address, which no name can stand in for."""
        name = host.lower()
        if not name.endswith("]"):
            head, colon, port = name.rpartition(":")
            if colon and port.isascii() and port.isdigit():
                name = head
        if name in self._hosts:
            return True
        try:
            ipaddress.ip_address(name[1:-1] if name.startswith("[") else name)
        except ValueError:
            return False
        return True

    async def _body(self, headers: Headers, receive: Receive) -> bytes:
        length = headers.get("content-length", "0")
        if length.isdigit() and int(length[:20]) > self._max_body:
            raise _TooLong
        parts, size, more = [], 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise _Gone
            part = message.get("body", b"")
            size += len(part)
            if size > self._max_body:
                raise _TooLong
            parts.append(part)
            more = message.get("more_body", False)
        return b"".join(parts)


class _TooLong(Exception):
    pass


class _Gone(Exception):
    pass


def _has_body(headers: Headers) -> bool:
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


def _with_body(body: bytes, receive: Receive) -> Receive:
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return left.pop() if left else await receive()

    return again
