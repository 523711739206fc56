"""Answers of an OpenAI-compatible chat endpoint, and what its errors mean."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from promptlift.endpoint import Endpoint, NoAnswer, Response
from promptlift.errors import ModelError
from promptlift.llm.config import base_of

_SHORTEST_KEY = 12
_RETRIED = {408, 409, 425, 429, *range(500, 600)}
_ADDRESS = "the address, which usually ends with /v1, and the name of the model"
_TO_CHECK = {  # after statuses that every request would meet
    401: "the API key", 402: "the account's credit", 403: "what the API key allows",
    404: _ADDRESS, 405: _ADDRESS, **dict.fromkeys(range(300, 400), "the address: it redirects"),
}  # fmt: skip
_NOT_UNDERSTOOD = {400, 415, 422, 501}
_FORMAT = "response_format"


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
        self._endpoint = Endpoint(
            base_of(url), api_key, timeout_s, doing="Asking a language model", extra="llm"
        )
        self.base, self._api_key, self._knows_formats = self._endpoint.base, api_key, True

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
        response = self._endpoint.send(
            "POST", "/chat/completions", {**options, "messages": list(messages)}
        )
        status = response.status
        if status in _NOT_UNDERSTOOD and options.pop(_FORMAT, None) is not None:
            found = self.ask(messages, **options)
            self._knows_formats = False  # it was what the server did not understand
            return found
        if status != 200:
            said = self._refusal(response)
            if what := _TO_CHECK.get(status):
                raise ModelError(f"{self.base} refuses: {said}. Check {what}.")
            again = status in _RETRIED
            raise NoAnswer(said, response.wait_s if again else math.inf)
        return self._completion(response.data)

    def models(self) -> list[str]:
        """The names of the models that the server offers.

        Raises:
            ModelError: it does not say.
        """
        try:
            response = self._endpoint.send("GET", "/models")
            if response.status != 200:
                raise NoAnswer(self._refusal(response))
            return [str(model["id"]) for model in json.loads(response.data)["data"]]
        except NoAnswer as error:
            raise ModelError(f"{self.base}/models: {error}") from error
        except (ValueError, RecursionError, LookupError, TypeError) as error:
            raise ModelError(f"{self.base}/models is no list of models") from error

    def is_up(self) -> bool:
        """Whether something answers at all, though it may not know this question."""
        try:
            return self._endpoint.send("GET", "/models").status < 500
        except NoAnswer:
            return False

    def keep_alive(self, model: str, time: str) -> None:
        """Tell Ollama how long a model that answers no more stays in memory, 0 for not at all.

        Its OpenAI-compatible API has no word for that (ollama/ollama#3645), its own has: a request
        without a prompt.

        Raises:
            NoAnswer: it is no Ollama, or does not answer.
        """
        ollama = self._endpoint.at(self.base.removesuffix("/v1"))
        # A number is one of seconds; as a text it would need a unit.
        value = time if str(time)[-1].isalpha() else float(time)
        response = ollama.send("POST", "/api/generate", {"model": model, "keep_alive": value})
        if response.status != 200:
            raise NoAnswer(self._refusal(response))

    def _refusal(self, response: Response) -> str:
        return f"HTTP {response.status} {self._endpoint.said(response.data)}".strip()

    def _completion(self, data: bytes) -> Completion:
        try:
            choice = json.loads(data)["choices"][0]
            text, finish = choice["message"]["content"] or "", choice.get("finish_reason")
            if isinstance(text, list):  # of parts
                text = "".join(part["text"] for part in text if part.get("type") == "text")
            if not isinstance(text, str):
                raise TypeError
        except (ValueError, RecursionError, LookupError, TypeError, AttributeError) as error:
            raise NoAnswer(f"no chat completion: {self._endpoint.said(data)}") from error
        if finish == "content_filter":
            raise NoAnswer("the answer was cut off by a content filter", math.inf)
        # Keys are long; "x" and "ollama" stand for one where a server wants none.
        is_key = self._api_key is not None and len(self._api_key) >= _SHORTEST_KEY
        text = text.replace(str(self._api_key), "***") if is_key else text
        return Completion(text, ended=finish != "length")
