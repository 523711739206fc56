"""An endpoint with OpenAI's `/images/generations`, hosted or on one's own computer."""

import base64
import binascii
import json
from typing import Any
from urllib.parse import urljoin, urlsplit

from promptlift.endpoint import NoAnswer, Response, origin
from promptlift.errors import ConfigError, ModelError
from promptlift.illustrating.backend import Report
from promptlift.illustrating.config import IllustrationConfig
from promptlift.illustrating.records import Request
from promptlift.illustrating.servers.server import (
    Drawn,
    Refused,
    Watch,
    awaited,
    checked,
    endpoint_of,
    given_settings,
    image_of,
    missing,
    parsed,
    size_notes,
)

_NOT_UNDERSTOOD = {400, 415, 422, 501}
# Of the request's fields, those that servers may not know: left out in this order.
_OPTIONAL = ("response_format", "seed")
_NO_LIST = (403, 404, 405, 501)  # a key may be for pictures alone
_LIST_S = 15.0
_SHOWN = 8  # of the models that it has
_OF_PROMPT = ("moderation_blocked", "content_policy_violation")


class OpenAIImages:
    """An image endpoint as a `PictureServer`.

    Raises:
        ConfigError: no model is named, and the endpoint has several.
        ModelError: it does not have the model.
        MissingExtraError: the extra `draw` is not installed.
    """

    holds_seeds: bool | None

    def __init__(self, config: IllustrationConfig, report: Report) -> None:
        self._config, self._endpoint, self.holds_seeds = config, endpoint_of(config), None
        self._without: set[str] = set()
        if (config.width is None) != (config.height is None):
            raise ConfigError("give both --width and --height, or neither")
        self.model = self._find_model(config.model)

    def settings(self) -> dict[str, Any]:
        """See `PictureServer`."""
        return given_settings(self._config)

    def parts(self) -> list[dict[str, str]]:
        """The model's name; an endpoint tells no hash."""
        return [{"name": self.model, "sha256": ""}]

    def draw(self, request: Request, watch: Watch, *, anew: bool = False) -> Drawn:
        """See `PictureServer`."""
        response = awaited(lambda: self._ask(self._body(request)), lambda: watch(0.0))
        answer = parsed(self._endpoint, checked(self._endpoint, response))
        try:
            found = answer["data"][0]
            data, address = found.get("b64_json"), found.get("url")
            revised = found.get("revised_prompt")
        except (LookupError, TypeError, AttributeError) as error:
            said = self._endpoint.said(json.dumps(answer).encode()[:200])[:80]
            raise NoAnswer(f"no picture but: {said}") from error
        image = image_of(self._endpoint, self._decoded(data) if data else self._fetched(address))
        notes = size_notes(image, self._config)
        if revised and revised != request.prompt:
            notes += (f"the server drew another prompt: “{' '.join(str(revised).split())[:200]}”",)
        return Drawn(image, notes)

    def _body(self, request: Request) -> dict[str, Any]:
        config = self._config
        given = {
            "model": self.model or None, "negative_prompt": request.negative,
            "num_inference_steps": config.num_inference_steps,
            "guidance_scale": config.guidance_scale,
            "size": f"{config.width}x{config.height}" if config.width and config.height else None,
        }  # fmt: skip
        return {
            "prompt": request.prompt,
            "n": 1,
            "response_format": "b64_json",
            "seed": request.seed,
            **{name: value for name, value in given.items() if value is not None},
        }

    def _ask(self, body: dict[str, Any]) -> Response:
        """The response to a request, without fields that the server does not understand."""
        without = set(self._without)
        while True:
            sent = {name: value for name, value in body.items() if name not in without}
            response = self._endpoint.send("POST", "/images/generations", sent)
            left = [name for name in _OPTIONAL if name in sent]
            if response.status not in _NOT_UNDERSTOOD or not left or _is_of_prompt(response):
                break
            said = response.data.decode("utf-8", "replace")
            without.add(next((name for name in left if name in said), left[0]))
        if response.status == 200:  # it was these that it did not understand
            self._without = without
            if "seed" in without:
                self.holds_seeds = False
        return response

    def _decoded(self, data: Any) -> bytes:
        try:
            return base64.b64decode(str(data).rpartition(",")[2])
        except (binascii.Error, ValueError) as error:
            raise NoAnswer("no picture in base64") from error

    def _fetched(self, address: Any) -> bytes:
        """The picture at an address of the same server; nothing is asked of another."""
        if not isinstance(address, str):
            raise NoAnswer("neither a picture nor its address")
        whole = urljoin(self._endpoint.base + "/", address)
        if origin(whole) != origin(self._endpoint.base):
            raise Refused(
                f"the picture is at {urlsplit(whole).hostname}, which was not named, and the "
                "server sends none as b64_json"
            )
        parts = urlsplit(whole)
        place = self._endpoint.at(f"{parts.scheme}://{parts.netloc}")
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        return checked(self._endpoint, place.send("GET", path)).data

    def _find_model(self, name: str) -> str:
        """The model's name; "" leaves it to an endpoint that does not say what it has."""
        models = self._models()
        if name and models and name not in models:
            raise missing("model", name, models, self._endpoint.base)
        if not name and len(models) > 1:
            shown = ", ".join(models[:_SHOWN])
            raise ConfigError(f"name one of the models of {self._endpoint.base}: {shown}")
        return name or "".join(models)

    def _models(self) -> list[str]:
        try:
            response = self._endpoint.within(_LIST_S).send("GET", "/models")
            if response.status in _NO_LIST:
                return []
            answer = parsed(self._endpoint, checked(self._endpoint, response))
            listed = answer["data"] if isinstance(answer, dict) else answer
            return [str(one["id"]) for one in listed]
        except (NoAnswer, Refused) as error:
            raise ModelError(f"{self._endpoint.base}/models: {error}") from error
        except (LookupError, TypeError) as error:
            raise ModelError(f"{self._endpoint.base}/models is no list of models") from error


def _is_of_prompt(response: Response) -> bool:
    """Whether a server refuses the prompt for what it says."""
    said = response.data.decode("utf-8", "replace")
    return any(code in said for code in _OF_PROMPT)
