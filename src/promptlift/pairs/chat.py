"""Answers of an OpenAI-compatible chat endpoint, and what its errors mean."""

import json
import math
from contextlib import suppress
from typing import Any

from promptlift import __version__
from promptlift.errors import ConfigError, MissingExtraError, ModelError

_MAX_RESPONSE_BYTES = 1 << 20
_RETRIED = {408, 409, 425, 429, *range(500, 600)}
_ADDRESS = "the address, which usually ends with /v1, and the name of the model"
_TO_CHECK = {  # after statuses that every request would meet
    401: "the API key", 402: "the account's credit", 403: "what the API key allows",
    404: _ADDRESS, 405: _ADDRESS, **dict.fromkeys(range(300, 400), "the address: it redirects"),
}  # fmt: skip


class NoAnswer(Exception):
    """A request without an answer.

    Attributes:
        wait_s: how long to wait before it is repeated; infinite where that is of no use.
    """

    def __init__(self, message: str, wait_s: float = 0.0) -> None:
        super().__init__(message)
        self.wait_s = wait_s


class ChatEndpoint:
    """An endpoint, which several threads may ask at once.

    Args:
        url: its full address.
        api_key: sent as a bearer token; no error repeats it.
        timeout_s: seconds of silence after which a request has failed.

    Raises:
        MissingExtraError: the extra `llm` is not installed.
        ConfigError: the environment names a proxy that cannot be used.
    """

    def __init__(self, url: str, api_key: str | None, timeout_s: float) -> None:
        try:
            import httpx
        except ImportError as error:
            raise MissingExtraError("Asking a language model", "llm") from error
        self.url, self._api_key = url, api_key
        headers = {"Content-Type": "application/json", "User-Agent": f"promptlift/{__version__}"}
        if api_key is not None:
            headers["Authorization"] = f"Bearer {api_key}"
        # No connection outlives its request: threads that nobody waits for could not close it.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        try:
            # Redirects are not followed: that would take the key elsewhere.
            self._client = httpx.Client(headers=headers, timeout=timeout_s, limits=limits)
        except (ImportError, ValueError, httpx.InvalidURL) as error:
            raise ConfigError(f"the proxy that the environment names: {error}") from error

    def ask(self, content: str, **options: Any) -> str:
        """The answer to one message.

        Args:
            content: of the message. There is no other: the chat templates of some models know no
                system role.
            options: of the request, such as `model` and `max_tokens`.

        Raises:
            NoAnswer: there is none this time.
            ModelError: the endpoint refuses every request.
        """
        import httpx

        body = {**options, "messages": [{"role": "user", "content": content}]}
        try:
            # As ASCII: JSON can name half a surrogate pair, which UTF-8 cannot.
            with self._client.stream("POST", self.url, content=json.dumps(body)) as response:
                data = next(response.iter_bytes(_MAX_RESPONSE_BYTES), b"")
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, OverflowError) as error:
            raise NoAnswer(f"no answer: {self._said(repr(error).encode())}") from error
        status = response.status_code
        if status != httpx.codes.OK:
            said = f"HTTP {status} {self._said(data)}".strip()
            if what := _TO_CHECK.get(status):
                raise ModelError(f"{self.url} refuses: {said}. Check {what}.")
            again = status in _RETRIED
            raise NoAnswer(
                said, _wait_s(response.headers.get("Retry-After")) if again else math.inf
            )
        return self._text(data, options.get("max_tokens"))

    def _text(self, data: bytes, max_tokens: int | None) -> str:
        """The text of a chat completion."""
        try:
            choice = json.loads(data)["choices"][0]
            text, finish = choice["message"]["content"] or "", choice.get("finish_reason")
            if not isinstance(text, str):
                raise TypeError
        except (ValueError, RecursionError, LookupError, TypeError, AttributeError) as error:
            raise NoAnswer(f"no chat completion: {self._said(data)}") from error
        if finish in ("length", "content_filter"):
            what = f"max_tokens, {max_tokens}" if finish == "length" else "a content filter"
            raise NoAnswer(f"the answer was cut off by {what}", math.inf)
        return text

    def _said(self, data: bytes) -> str:
        """What a server said, in one line and without the key, which some repeat."""
        text = data.decode("utf-8", "replace")
        with suppress(ValueError, RecursionError, LookupError, TypeError):
            text = str(json.loads(text)["error"]["message"])
        if self._api_key is not None:
            text = text.replace(self._api_key, "***")
        return "".join(char for char in " ".join(text.split()) if char.isprintable())[:200]


def _wait_s(retry_after: str | None) -> float:
    """The wait in seconds that a header `Retry-After` asks for; 0 where it names a date."""
    try:
        return max(0.0, float(retry_after or 0))
    except ValueError:
        return 0.0
