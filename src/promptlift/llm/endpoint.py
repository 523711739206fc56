"""Answers of an OpenAI-compatible chat endpoint, and what its errors mean."""

import json
import math
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from promptlift import __version__
from promptlift.errors import ConfigError, MissingExtraError, ModelError
from promptlift.llm.config import base_of, is_local

_MAX_RESPONSE_BYTES = 1 << 20
_SHORTEST_KEY = 12
_RETRIED = {408, 409, 425, 429, *range(500, 600)}
_ADDRESS = "the address, which usually ends with /v1, and the name of the model"
_TO_CHECK = {  # after statuses that every request would meet
    401: "the API key", 402: "the account's credit", 403: "what the API key allows",
    404: _ADDRESS, 405: _ADDRESS, **dict.fromkeys(range(300, 400), "the address: it redirects"),
}  # fmt: skip
_NOT_UNDERSTOOD = {400, 415, 422, 501}
_FORMAT = "response_format"
_NOBODY = "nothing answers there; `promptlift doctor` lists the servers at the usual ports"


class NoAnswer(Exception):
    """A request without an answer.

    Attributes:
        wait_s: how long to wait before it is repeated; infinite where that is of no use.
    """

    def __init__(self, message: str, wait_s: float = 0.0) -> None:
        super().__init__(message)
        self.wait_s = wait_s


@dataclass(frozen=True)
class Completion:
    """What a model said.

    Attributes:
        text: all of it.
        ended: whether the model ended it; otherwise the server cut it off at `max_tokens`.
    """

    text: str
    ended: bool = True


class ChatEndpoint:
    """An endpoint, which several threads may ask at once.

    Args:
        url: its address, which usually ends with /v1.
        api_key: sent as a bearer token; no error repeats it.
        timeout_s: seconds after which a request has failed.

    Raises:
        MissingExtraError: the extra `llm` is not installed.
        ConfigError: the environment names a proxy that cannot be used.
    """

    def __init__(self, url: str, api_key: str | None, timeout_s: float) -> None:
        try:
            import httpx
        except ImportError as error:
            raise MissingExtraError("Asking a language model", "llm") from error
        self.base, self._api_key, self._timeout_s = base_of(url), api_key, timeout_s
        self._knows_formats = True
        headers = {"Content-Type": "application/json", "User-Agent": f"promptlift/{__version__}"}
        if api_key is not None:
            headers["Authorization"] = f"Bearer {api_key}"
        # No connection outlives its request: threads that nobody waits for could not close it.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        try:
            # Redirects are not followed: that would take the key elsewhere.
            # With a transport of its own, no proxy of the environment leads to this computer.
            own = httpx.HTTPTransport(limits=limits) if is_local(self.base) else None
            self._client = httpx.Client(
                headers=headers, timeout=timeout_s, limits=limits, transport=own
            )
        except (ImportError, ValueError, httpx.InvalidURL) as error:
            raise ConfigError(f"the proxy that the environment names: {error}") from error

    def ask(self, messages: Sequence[Mapping[str, str]], **options: Any) -> Completion:
        """The answer to messages.

        Args:
            messages: role and content of each.
            options: of the request, such as `model` and `max_tokens`. A server that does not
                understand `response_format` is asked without it, from then on.

        Raises:
            NoAnswer: there is none this time.
            ModelError: the endpoint refuses every request.
        """
        if not self._knows_formats:
            options.pop(_FORMAT, None)
        status, data, headers = self._sent(
            "POST", f"{self.base}/chat/completions", {**options, "messages": list(messages)}
        )
        if status in _NOT_UNDERSTOOD and options.pop(_FORMAT, None) is not None:
            found = self.ask(messages, **options)
            self._knows_formats = False  # it was what the server did not understand
            return found
        if status != 200:
            said = f"HTTP {status} {self._said(data)}".strip()
            if what := _TO_CHECK.get(status):
                raise ModelError(f"{self.base} refuses: {said}. Check {what}.")
            again = status in _RETRIED
            raise NoAnswer(said, _wait_s(headers.get("Retry-After")) if again else math.inf)
        return self._completion(data)

    def models(self) -> list[str]:
        """The names of the models that the server offers.

        Raises:
            ModelError: it does not say.
        """
        try:
            status, data, _ = self._sent("GET", f"{self.base}/models")
            if status != 200:
                raise NoAnswer(f"HTTP {status} {self._said(data)}".strip())
            return [str(model["id"]) for model in json.loads(data)["data"]]
        except NoAnswer as error:
            raise ModelError(f"{self.base}/models: {error}") from error
        except (ValueError, RecursionError, LookupError, TypeError) as error:
            raise ModelError(f"{self.base}/models is no list of models") from error

    def is_up(self) -> bool:
        """Whether something answers at all, though it may not know this question."""
        try:
            status, _, _ = self._sent("GET", f"{self.base}/models")
        except NoAnswer:
            return False
        return status < 500

    def keep_alive(self, model: str, time: str) -> None:
        """Tell Ollama how long a model that answers no more stays in memory, 0 for not at all.

        Its OpenAI-compatible API has no word for that (ollama/ollama#3645), its own has: a request
        without a prompt.

        Raises:
            NoAnswer: it is no Ollama, or does not answer.
        """
        address = self.base.removesuffix("/v1") + "/api/generate"
        # A number is one of seconds; as a text it would need a unit.
        value = time if str(time)[-1].isalpha() else float(time)
        status, data, _ = self._sent("POST", address, {"model": model, "keep_alive": value})
        if status != 200:
            raise NoAnswer(f"HTTP {status} {self._said(data)}".strip())

    def _sent(
        self, method: str, url: str, body: Any = None
    ) -> tuple[int, bytes, Mapping[str, str]]:
        """Status, content and headers of the response to a request.

        Raises:
            NoAnswer: there is none, or it does not end in time.
        """
        import httpx

        # As ASCII: JSON can name half a surrogate pair, which UTF-8 cannot.
        content = None if body is None else json.dumps(body)
        end, data = time.monotonic() + self._timeout_s, b""
        late = NoAnswer(f"no whole answer within {self._timeout_s:g} s")
        try:
            with (
                _Limit(self._timeout_s) as limit,
                self._client.stream(
                    method, url, content=content, extensions={"trace": limit.trace}
                ) as response,
            ):
                for part in response.iter_bytes():
                    data += part
                    if len(data) > _MAX_RESPONSE_BYTES:
                        break
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, OverflowError) as error:
            if time.monotonic() > end or isinstance(error, httpx.ReadTimeout):
                raise late from error
            if isinstance(error, httpx.ConnectError) and "refused" in str(error):
                raise NoAnswer(_NOBODY) from error
            raise NoAnswer(f"no answer: {self._said(repr(error).encode())}") from error
        if time.monotonic() > end:  # where no length was named, a cut response looks whole
            raise late
        return response.status_code, data[:_MAX_RESPONSE_BYTES], response.headers

    def _completion(self, data: bytes) -> Completion:
        try:
            choice = json.loads(data)["choices"][0]
            text, finish = choice["message"]["content"] or "", choice.get("finish_reason")
            if isinstance(text, list):  # of parts
                text = "".join(part["text"] for part in text if part.get("type") == "text")
            if not isinstance(text, str):
                raise TypeError
        except (ValueError, RecursionError, LookupError, TypeError, AttributeError) as error:
            raise NoAnswer(f"no chat completion: {self._said(data)}") from error
        if finish == "content_filter":
            raise NoAnswer("the answer was cut off by a content filter", math.inf)
        # Keys are long; "x" and "ollama" stand for one where a server wants none.
        is_key = self._api_key is not None and len(self._api_key) >= _SHORTEST_KEY
        text = text.replace(str(self._api_key), "***") if is_key else text
        return Completion(text, ended=finish != "length")

    def _said(self, data: bytes) -> str:
        """What a server said, in one line and without the key, which some repeat."""
        text = data.decode("utf-8", "replace")
        with suppress(ValueError, RecursionError, LookupError, TypeError):
            text = str(json.loads(text)["error"]["message"])
        if self._api_key is not None:
            text = text.replace(self._api_key, "***")
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


def _wait_s(retry_after: str | None) -> float:
    """The wait in seconds that a header `Retry-After` asks for; 0 where it names a date."""
    try:
        return max(0.0, float(retry_after or 0))
    except ValueError:
        return 0.0
