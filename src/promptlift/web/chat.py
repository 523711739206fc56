"""`POST /v1/chat/completions`: OpenAI's form, for tools that take an address and no plug-in."""

import json
import time
from secrets import token_hex
from typing import TYPE_CHECKING, Annotated, Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field, create_model, model_validator

from promptlift.errors import InputError
from promptlift.improving.config import ControlConfig, DecodingConfig
from promptlift.improving.improver import Improver
from promptlift.prompts.reading import check_prompt, longest_part
from promptlift.records import Improvement
from promptlift.web.answers import (
    CHAT,
    FAIL_FAST,
    MOST,
    Answer,
    Receipt,
    check_length,
    fields_of,
    receipt_json,
    refusal,
)
from promptlift.web.improving import ImproveOptions, improved, queue
from promptlift.web.service import Service

_EVENT = {
    "type": "object",
    "properties": {"data": {"type": "string", "description": "JSON: a chunk; or [DONE]"}},
    "required": ["data"],
}
ANY = "promptlift"  # the name of whatever model the server has


class _Given(BaseModel):
    """What a client sends; fields that say nothing here are ignored."""

    model_config = ConfigDict(extra="ignore", strict=True)


class Part(_Given):
    """A piece of a message."""

    type: str
    text: str | None = None


class Message(_Given):
    """A message; text of the last one whose role is `user` is the prompt."""

    role: str
    content: str | Annotated[list[Part], FAIL_FAST] | None = None


class StreamOptions(_Given):
    """How a stream ends."""

    include_usage: bool | None = Field(None, description="Send `usage` in a last chunk.")


class _ChatRequest(ImproveOptions):
    """OpenAI's request, with the options of `POST /v1/improve`. Other fields are ignored."""

    model_config = ConfigDict(extra="ignore")

    messages: Annotated[list[Message], FAIL_FAST] = Field(
        description="The last one of the role `user` is the prompt; the others are ignored.",
        examples=[[{"role": "user", "content": "a cat in armor"}]],
        json_schema_extra={"minItems": 1},
    )
    model: str | None = Field(
        ANY,
        description=f"{ANY}, or the name or id of the model that the server has.",
        examples=[ANY],
    )
    n: int | None = Field(1, ge=1, le=MOST, description="Choices.")
    temperature: float | None = Field(
        None, ge=0, le=100, description="0 takes the likeliest tokens, as `do_sample` false."
    )
    top_p: float | None = Field(
        None, ge=0, le=1, description="0 takes the likeliest tokens, as `do_sample` false."
    )
    stream: bool | None = Field(
        False, description="Answer with chunks, once the prompt is improved and checked."
    )
    stream_options: StreamOptions | None = None

    @model_validator(mode="before")
    @classmethod
    def _whole(cls, given: Any) -> Any:
        if isinstance(given, dict):
            given = {name: value for name, value in given.items() if name in cls.model_fields}
        return super()._whole(given)  # type: ignore[operator]

    def given(self) -> dict[str, Any]:
        """The options, where a temperature or top_p of 0 is the greedy decoding that it means."""
        given = super().given()
        if 0 in (given.get("temperature"), given.get("top_p")):
            rest = {name: v for name, v in given.items() if name not in ("temperature", "top_p")}
            return {**rest, "do_sample": False}
        return given


if TYPE_CHECKING:
    ChatRequest = _ChatRequest
else:
    _all = {**fields_of(DecodingConfig), **fields_of(ControlConfig)}
    _own = _ChatRequest.model_fields
    ChatRequest = create_model(
        "ChatRequest",
        __base__=_ChatRequest,
        **{name: field for name, field in _all.items() if name not in _own},
    )


class ChatMessage(BaseModel):
    """The improved prompt, and nothing else."""

    role: Literal["assistant"]
    content: str
    refusal: None = None


class Choice(BaseModel):
    """A variant."""

    index: int
    message: ChatMessage
    logprobs: None = None
    finish_reason: Literal["stop"]
    promptlift: Receipt


class Usage(BaseModel):
    """CLIP tokens, counted as the receipts count them."""

    prompt_tokens: int
    completion_tokens: int = Field(description="Of all choices.")
    total_tokens: int


class ChatCompletion(BaseModel):
    """OpenAI's answer."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str = Field(description="The id of the model.")
    choices: list[Choice]
    usage: Usage


class OpenAIError(BaseModel):
    """Why a request was refused."""

    message: str
    type: str
    param: str | None
    code: str | None


class ChatError(BaseModel):
    """OpenAI's form of an error."""

    error: OpenAIError


class ListedModel(BaseModel):
    """A model in OpenAI's form."""

    id: str
    object: Literal["model"]
    created: int = Field(description="When the server loaded it, in seconds since 1970.")
    owned_by: str


def listed_models(improver: Improver) -> list[dict[str, Any]]:
    """The model under the name that stays, and under its id; fields of `ListedModel`."""
    rest = {"object": "model", "created": int(time.time()), "owned_by": "promptlift"}
    return [{"id": name, **rest} for name in (ANY, improver.model_id)]


def unknown_model(name: str, improver: Improver) -> Response | None:
    """The refusal of a name that the model does not have; None where it does."""
    if name in (ANY, improver.card.name, improver.model_id):
        return None
    line = f"this server has the model {improver.model_id}, which {ANY} names too"
    return refusal(404, line, param="model", code="model_not_found")


def chat_router(service: Service) -> APIRouter:
    """The route."""
    router = APIRouter(tags=["chat"])
    config, improver = service.config, service.batcher.improver
    chunks = "With `stream`: chunks of `chat.completion.chunk`, then `data: [DONE]`."

    @router.post(
        CHAT,
        summary="Improve a prompt, in OpenAI's form",
        responses={
            200: {
                "model": ChatCompletion,
                "description": f"The choices. {chunks}",
                "content": {"text/event-stream": {"schema": _EVENT}},
            },
            "default": {"model": ChatError, "description": "Why it was refused."},
        },
    )
    async def chat(body: ChatRequest, request: Request) -> Response:
        if refused := unknown_model(ANY if body.model is None else body.model, improver):
            return refused
        try:
            prompt = _prompt(body.messages, config.max_prompt_chars)
        except InputError as error:
            return refusal(422, str(error), param="messages")
        futures = queue(body, prompt, body.n or 1, service, service.batcher, request.scope)
        [found] = await improved(futures, config, request)
        tokens = longest_part(prompt), sum(item.clip_tokens for item in found)
        usage = dict(zip(Usage.model_fields, (*tokens, sum(tokens)), strict=True))
        head = {
            "id": f"chatcmpl-{token_hex(12)}",
            "created": int(time.time()),
            "model": improver.model_id,
        }
        if body.stream:
            with_usage = body.stream_options is not None and body.stream_options.include_usage
            return _stream(head, found, usage if with_usage else None)
        choices = [
            {
                "index": index,
                "message": {"role": "assistant", "content": item.prompt, "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
                "promptlift": receipt_json(item),
            }
            for index, item in enumerate(found)
        ]
        return Answer({**head, "object": "chat.completion", "choices": choices, "usage": usage})

    return router


def _prompt(messages: list[Message], most: int) -> str:
    """The text of the last message of the user.

    Raises:
        InputError: there is none, or it has more than text, is blank or too long.
    """
    numbers = [number for number, message in enumerate(messages) if message.role == "user"]
    if not numbers:
        raise InputError("messages: none has the role user, whose text is improved")
    name = f"messages.{numbers[-1]}"
    content = messages[numbers[-1]].content or ""
    if not isinstance(content, str):
        for part in content:
            if part.type != "text":
                raise InputError(
                    f"{name} has a part of the type {part.type[:40]!r}; send text alone"
                )
        content = "\n".join(part.text or "" for part in content)
    check_prompt(content, name)
    check_length(name, content, most)
    return content


def _stream(
    head: dict[str, Any], found: list[Improvement], usage: dict[str, int] | None
) -> Response:
    """The chunks of all choices, at once: none is sent before its prompt is checked."""

    def chunk(choices: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
        return {**head, "object": "chat.completion.chunk", "choices": choices, **more}

    none = {} if usage is None else {"usage": None}
    chunks = []
    for index, item in enumerate(found):
        end = {"finish_reason": "stop", "promptlift": receipt_json(item)}
        for delta, more in (
            ({"role": "assistant", "content": ""}, {"finish_reason": None}),
            ({"content": item.prompt}, {"finish_reason": None}),
            ({}, end),
        ):
            choice = {"index": index, "delta": delta, "logprobs": None, **more}
            chunks.append(chunk([choice], **none))
    if usage is not None:
        chunks.append(chunk([], usage=usage))
    lines = [*map(json.dumps, chunks), "[DONE]"]
    return Response(
        "".join(f"data: {line}\n\n" for line in lines),
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )
