"""A server that the user named, asked over HTTP: in bounded time and size, and nobody else.

Redirects are not followed, no proxy of the environment leads to this computer, and no error
repeats a key.
"""

import json
import os
import re
import socket
import threading
import time
from base64 import b64encode
from collections.abc import Iterable, Mapping
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from promptlift import __version__
from promptlift.errors import ConfigError, MissingExtraError

_NOBODY = "nothing answers there; `promptlift doctor` lists the servers at the usual ports"
_URL = re.compile(r"https?://(?:[\w.-]+|\[[\da-f:]+\])(?::\d{1,5})?(?:/[\w.~%/-]*)?", re.A)
_KEY = re.compile(r"[!-~]+")
_NOWHERE = ("", None, None)
_MAX_RESPONSE_BYTES = 1 << 20


class NoAnswer(Exception):
    """A request without an answer.

    Attributes:
        wait_s: how long to wait before it is repeated; infinite where that is of no use.
        is_down: whether nobody listens there.
    """

    def __init__(self, message: str, wait_s: float = 0.0, *, is_down: bool = False) -> None:
        super().__init__(message)
        self.wait_s, self.is_down = wait_s, is_down


@dataclass(frozen=True)
class Response:
    """What a server answered.

    Attributes:
        status: of HTTP.
        data: the content, cut off at the longest that is read.
        headers: by name, in any case.
    """

    status: int
    data: bytes
    headers: Mapping[str, str]

    @property
    def wait_s(self) -> float:
        """The wait in seconds that a header `Retry-After` asks for; 0 where it names a date."""
        try:
            return max(0.0, float(self.headers.get("Retry-After") or 0))
        except ValueError:
            return 0.0


class Endpoint:
    """A server, which several threads may ask at once.

    Args:
        base: its address, before the paths.
        key: sent as a bearer token; None for none.
        timeout_s: seconds after which a request has failed.
        doing: what it is asked for, as an error begins with it.
        extra: of promptlift, which brings what asks.
        basic: whether a key `USER:PASSWORD` is sent as these.
        most_bytes: of a response; what is longer is cut off.

    Raises:
        MissingExtraError: the extra is not installed.
        ConfigError: the environment names a proxy that cannot be used.
    """

    def __init__(
        self,
        base: str,
        key: str | None,
        timeout_s: float,
        *,
        doing: str,
        extra: str,
        basic: bool = False,
        most_bytes: int = _MAX_RESPONSE_BYTES,
    ) -> None:
        try:
            import httpx
        except ImportError as error:
            raise MissingExtraError(doing, extra) from error
        self.base, self._key, self._timeout_s, self._most = base, key, timeout_s, most_bytes
        self._basic = basic and ":" in (key or "")
        # No connection outlives its request: threads that nobody waits for could not close it.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        headers = {"Content-Type": "application/json", "User-Agent": f"promptlift/{__version__}"}
        headers |= self.credentials
        try:
            own = httpx.HTTPTransport(limits=limits) if is_local(base) else None
            self._client = httpx.Client(
                headers=headers, timeout=timeout_s, limits=limits, transport=own
            )
        except (ImportError, ValueError, httpx.InvalidURL) as error:
            raise ConfigError(f"the proxy that the environment names: {error}") from error

    @property
    def credentials(self) -> dict[str, str]:
        """The header that carries the key; none where there is none."""
        if self._key is None:
            return {}
        if self._basic:
            return {"Authorization": f"Basic {b64encode(self._key.encode()).decode()}"}
        return {"Authorization": f"Bearer {self._key}"}

    def at(self, base: str) -> "Endpoint":
        """The same server under another of its addresses."""
        found = copy(self)
        found.base = base
        return found

    def within(self, seconds: float) -> "Endpoint":
        """The same server, of which no answer is awaited longer."""
        found = copy(self)
        found._timeout_s = min(seconds, self._timeout_s)
        return found

    def send(self, method: str, path: str, body: Any = None) -> Response:
        """The response to a request.

        Args:
            method: of HTTP.
            path: appended to the address.
            body: sent as JSON; None for nothing.

        Raises:
            NoAnswer: there is none, or it does not end in time.
        """
        import httpx

        # As ASCII: JSON can name half a surrogate pair, which UTF-8 cannot.
        content = None if body is None else json.dumps(body)
        end, parts, size = time.monotonic() + self._timeout_s, list[bytes](), 0
        late = NoAnswer(f"no whole answer within {self._timeout_s:g} s")
        try:
            with (
                _Limit(self._timeout_s) as limit,
                self._client.stream(
                    method, self.base + path, content=content, extensions={"trace": limit.trace}
                ) as response,
            ):
                for part in response.iter_bytes():
                    parts.append(part)
                    size += len(part)
                    if size > self._most:
                        break
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, OverflowError) as error:
            if time.monotonic() > end or isinstance(error, httpx.ReadTimeout):
                raise late from error
            if isinstance(error, httpx.ConnectError) and "refused" in str(error):
                raise NoAnswer(_NOBODY, is_down=True) from error
            raise NoAnswer(f"no answer: {self.said(repr(error).encode())}") from error
        if time.monotonic() > end:  # where no length was named, a cut response looks whole
            raise late
        return Response(response.status_code, b"".join(parts)[: self._most], response.headers)

    def said(self, data: bytes) -> str:
        """What a server said, in one line and without the key, which some repeat."""
        text = data.decode("utf-8", "replace")
        with suppress(ValueError, RecursionError, LookupError, TypeError):
            text = str(json.loads(text)["error"]["message"])
        if self._key is not None:
            text = text.replace(self._key, "***")
        return "".join(char for char in " ".join(text.split()) if char.isprintable())[:200]


class _Limit:
    """Hangs up after some seconds: httpx limits the wait for each part, of headers too."""

    def __init__(self, seconds: float) -> None:
        self._socket: socket.socket | None = None
        self._timer = threading.Timer(seconds, self._hang_up)
        self._timer.daemon = True

    def __enter__(self) -> "_Limit":
        self._timer.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._timer.cancel()

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Keep the socket; with TLS, a second one takes the place of the first."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._socket = info["return_value"].get_extra_info("socket")

    def _hang_up(self) -> None:
        if self._socket is not None:
            with suppress(OSError):  # it is closed
                # Not the method of a TLS socket, which another thread reads at this moment.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


def wrong_url(url: str, name: str, like: str = "https://host/v1") -> str:
    """Why an address cannot be used; empty where it can."""
    if _URL.fullmatch(url):
        return ""
    return f"{name} is {url!r} and must be like {like}, without user or query"


def is_local(url: str) -> bool:
    """Whether an address is of this computer."""
    return urlsplit(url).hostname in ("localhost", "127.0.0.1", "::1")


def key_for(
    url: str, owners: Iterable[tuple[str, str]], environment: Mapping[str, str] = os.environ
) -> str | None:
    """The key to send to an address, None for none.

    Args:
        url: the address.
        owners: names of variables, each with the address that its key is for.
        environment: the variables.

    Raises:
        ConfigError: it holds what no HTTP header may hold.
    """
    for name, owner in owners:
        key = environment.get(name)
        if key and origin(owner) == origin(url) != _NOWHERE:
            if not _KEY.fullmatch(key):
                raise ConfigError(f"{name} holds what no HTTP header may hold")
            return key
    return None


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port, with the port that the scheme implies."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return _NOWHERE
    return parts.scheme, parts.hostname, port or {"http": 80, "https": 443}.get(parts.scheme)
