"""What all requests and answers of the API share; a refusal is one line in JSON."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError
from starlette.types import Receive, Scope, Send

from promptlift.errors import InputError
from promptlift.improving.receipts import parse_receipt
from promptlift.options import Option, kinds, options_of
from promptlift.prompts.reading import check_prompt
from promptlift.records import SCHEMA_VERSION, Improvement

# The routes whose refusals have OpenAI's form.
CHAT, MODEL = "/v1/chat/completions", "/v1/models/"
_LONGEST = 500
_CODES = {401: "invalid_api_key", 429: "rate_limit_exceeded"}
# One mistake is enough: one for each item takes seconds and hundreds of megabytes.
FAIL_FAST = Field(fail_fast=True)
_Texts = Annotated[list[str], FAIL_FAST]


class Body(BaseModel):
    """The body of a request: unknown fields are refused, and only 3.0 is converted, to 3."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _whole(cls, given: Any) -> Any:
        """Read 3.0 as 3, as JSON has one kind of number; report too many fields as one mistake."""
        if not isinstance(given, dict):
            return given
        if len(given) > (most := len(cls.model_fields)):
            raise PydanticCustomError(
                "too_many_fields",
                "it has {given} fields and may have {most}",
                {"given": len(given), "most": most},
            )
        return {
            name: int(value) if isinstance(value, float) and value.is_integer() else value
            for name, value in given.items()
        }


MOST = 2**31 - 1  # of a whole number without a limit of its own
_Phrase = Annotated[str, Field(min_length=1, max_length=200)]
_Strength = Annotated[float, Field(ge=0, le=1)] | Literal["free", "never"]


def fields_of(config: type) -> dict[str, Any]:
    """The options of a config as fields of a request, for pydantic's `create_model`."""
    return {
        name: (_hint(item, known) | None, Field(None, description=known.help))
        for name, (item, known) in options_of(config).items()
    }


def _hint(item: "dataclasses.Field[Any]", known: Option) -> Any:
    types = set(kinds(item.type))
    if tuple in types:
        return Annotated[list[_Phrase], Field(max_length=64)]
    if {float, str} <= types:
        return _Strength
    if known.choices:
        return Literal[known.choices]
    [kind] = types
    if kind in (bool, str):
        return kind
    most = MOST if known.most is None else known.most
    return Annotated[kind, Field(ge=known.least, gt=known.above, le=most, lt=known.below)]


class DroppedPhrase(BaseModel):
    """A phrase that the model wrote and promptlift left out."""

    phrase: str
    reason: str


class Receipt(BaseModel):
    """An improvement and all that is needed to make it again."""

    source: str
    prompt: str
    additions: _Texts
    clip_tokens: int
    seed: int
    variant: int
    mode: str
    model: str
    dropped: Annotated[list[DroppedPhrase], FAIL_FAST]
    notes: _Texts
    negative: str | None
    checks: dict[str, Any]
    settings: dict[str, Any]
    schema_version: int

    def improvement(self) -> Improvement:
        """The receipt as the library's record, without fields that only the API has.

        Raises:
            InputError: the receipt has another version, or one of its prompts is blank.
        """
        found = parse_receipt(json.dumps(self.model_dump()), "the receipt")
        check_prompt(found.source, "source")
        check_prompt(found.prompt, "prompt")
        return found


def receipt_json(improvement: Improvement) -> dict[str, Any]:
    """An improvement with the fields of `Receipt`."""
    return {**improvement.to_dict(), "schema_version": SCHEMA_VERSION}


class Error(BaseModel):
    """Why a request was refused."""

    error: str


class Answer(JSONResponse):
    """JSON that no cache keeps, in ASCII: what a request sent need not be valid Unicode."""

    def __init__(self, content: Any, status: int = 200, headers: Mapping[str, str] = {}) -> None:
        super().__init__(content, status, {"cache-control": "no-store", **headers})

    def render(self, content: Any) -> bytes:
        """The content as bytes."""
        return json.dumps(content).encode()


class _Refusal(Answer):
    """Has OpenAI's form where the route is OpenAI's, whoever refuses."""

    def __init__(
        self, line: str, status: int, headers: Mapping[str, str], **more: str | None
    ) -> None:
        super().__init__({"error": line}, status, headers)
        self._line, self._more = line, more

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == CHAT or scope["path"].startswith(MODEL):
            status = self.status_code
            kind = "server" if status >= 500 else "invalid_request"
            error = {
                "message": self._line,
                "type": "rate_limit_error" if status == 429 else f"{kind}_error",
                **self._more,
            }
            self.status_code = 400 if status == 422 else status
            self.body = self.render({"error": error})
            self.headers["content-length"] = str(len(self.body))
        await super().__call__(scope, receive, send)


def refusal(
    status: int,
    line: str,
    headers: Mapping[str, str] = {},
    *,
    param: str | None = None,
    code: str | None = None,
) -> Response:
    """An answer with one line of text, cut where it is very long.

    Args:
        status: of HTTP; OpenAI's form has 400 for 422.
        line: why.
        headers: to send with it.
        param, code: what OpenAI's form has too: the field that is wrong, and a word for the error.
    """
    line = " ".join(line.split())
    line = line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
    return _Refusal(line, status, headers, param=param, code=code or _CODES.get(status))


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """How a route may refuse a request, for the description of the API."""
    return {status: {"model": Error} for status in (*statuses, 400, 401, 403, 408, 413, 421, 500)}


_Text = Annotated[str, Field(json_schema_extra={"pattern": r"\S"})]
# The schema is for tools; `check_prompt` has the plainer words for a mistake.
Prompts = Annotated[
    _Text | Annotated[list[_Text], FAIL_FAST],
    Field(description="One prompt, or a list of them.", json_schema_extra={"minItems": 1}),
]


def checked_prompts(
    given: str | list[str], negative: str | None, *, each: int, most: int, unit: str, chars: int
) -> list[str]:
    """The prompts of a request as a list.

    Args:
        given: one prompt or several.
        negative: the negative prompt.
        each: results or pictures of each prompt.
        most: results or pictures that a request may ask for.
        unit: "results" or "pictures".
        chars: characters that a prompt may have.

    Raises:
        InputError: there is no prompt, one of them is blank or too long, or they are too many.
    """
    prompts = [given] if isinstance(given, str) else given
    if not prompts:
        raise InputError('there are no prompts. Give some: {"prompts": "a cat in armor"}')
    check_many("prompts", len(prompts), each, most, unit)
    for index, prompt in enumerate(prompts):
        check_prompt(prompt, f"prompt {index}")
        check_length(f"prompt {index}", prompt, chars)
    check_length("negative", negative or "", chars)
    return prompts


def check_many(name: str, count: int, each: int, most: int, unit: str) -> None:
    """Refuse a request for more than the server allows.

    Raises:
        InputError: `count` times `each` is more than `most`.
    """
    if count * each > most:
        raise InputError(
            f"{count} {name} times {each} are more than the {most} {unit} "
            "that this server allows in a request"
        )


def check_length(name: str, text: str, most: int) -> None:
    """Refuse a text that is longer than the server allows.

    Raises:
        InputError: it is.
    """
    if len(text) > most:
        raise InputError(f"{name} has {len(text)} characters; this server allows {most}")
