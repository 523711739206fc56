"""Checks before a request is read: who sends it, from which page, and how long it is.

A page elsewhere must not use a server on this machine through its visitor's browser. The requests
of such a page carry its `Origin`. If it points a name of its own at 127.0.0.1 (DNS rebinding), they
carry that name as `Host`.
"""

import asyncio
import ipaddress
import re
from collections.abc import Collection
from hmac import compare_digest

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from promptlift.web.answers import refusal

BODY_S = 10.0  # seconds in which the body of a request must arrive
_PROTECTED = ("/v1/", "/metrics")
_SAFE_METHODS = ("GET", "HEAD", "OPTIONS")
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\[\]:]+)(?::[0-9]+)?")  # and its port
# The rest of a refused request is not read: nothing can follow on its connection.
_CLOSE = {"connection": "close"}


class Guard:
    """Refuses requests of strangers, and bodies that are too long or come too slowly.

    Args:
        app: the app to guard; it gets each body in one piece.
        token: callers must send it with requests below /v1/ and for /metrics; None asks for none.
        hosts: names that the server may be called by.
        max_body: bytes that a body may have.
        body_s: seconds in which a body must arrive.
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
        request = Request(scope, receive)
        try:
            self._check(request)
            if "transfer-encoding" in request.headers or _length(request) != "0":
                body = await asyncio.wait_for(self._body(request), self._body_s)
                if "json" in request.headers.get("content-type", ""):
                    _check_utf8(body)
                receive = _with_body(body, receive)
        except ClientDisconnect:
            return
        except asyncio.TimeoutError:
            line = f"the request did not come within {self._body_s:g} s"
            await refusal(408, line, _CLOSE)(scope, receive, send)
        except HTTPException as error:
            headers = {**_CLOSE, **(error.headers or {})}
            await refusal(error.status_code, error.detail, headers)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _check(self, request: Request) -> None:
        headers = request.headers
        if "transfer-encoding" in headers and "content-length" in headers:
            # Where a proxy goes by the one and we by the other, a second request hides in the body.
            raise HTTPException(400, "send Content-Length or Transfer-Encoding, not both")
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._is_own(hosts[0]):
            raise HTTPException(421, "this server does not have that name; see --allow-host")
        if request.method not in _SAFE_METHODS:
            origin = headers.get("origin", f"http://{hosts[0]}").partition("://")[2]
            site = headers.get("sec-fetch-site", "none")
            if origin.lower() != hosts[0].lower() or site not in ("none", "same-origin"):
                raise HTTPException(403, "pages of other origins may not use this server")
        if self._token is not None and request.scope["path"].startswith(_PROTECTED):
            given = headers.get("authorization", "").encode("latin-1")
            # Always compared, and in constant time: how long it takes says nothing of the token.
            if not compare_digest(given, b"Bearer " + self._token):
                line = "send the server's token as `Authorization: Bearer TOKEN`"
                raise HTTPException(401, line, {"www-authenticate": "Bearer"})

    def _is_own(self, host: str) -> bool:
        """Whether a Host header is a known name, or an address, which no name can stand in for."""
        if (found := _HOST.fullmatch(host.lower())) is None:
            return False
        if found[1] in self._hosts:
            return True
        try:
            ipaddress.ip_address(found[1].strip("[]"))
        except ValueError:
            return False
        return True

    async def _body(self, request: Request) -> bytes:
        length, body = _length(request), bytearray()
        announced = int(length[:20]) if length.isdigit() else 0
        if announced <= self._max_body:
            async for part in request.stream():
                body += part
                if len(body) > self._max_body:
                    break
            else:
                return bytes(body)
        raise HTTPException(413, f"a request may have {self._max_body} bytes")


def _check_utf8(body: bytes) -> None:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        line = f"the body is not UTF-8: byte 0x{body[error.start]:02x} at {error.start}"
        raise HTTPException(400, line) from error


def _length(request: Request) -> str:
    return request.headers.get("content-length", "0")


def _with_body(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the whole body first."""
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return left.pop() if left else await receive()

    return again
