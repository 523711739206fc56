"""`POST /v1/improve`: one prompt or many, at once or as events."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any, Literal

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field, create_model
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from promptlift.errors import ConfigError, InputError, ModelError
from promptlift.improving.config import ControlConfig, DecodingConfig
from promptlift.improving.decoding.loop import GivenUp
from promptlift.improving.improver import Improver
from promptlift.improving.session import Ask
from promptlift.options import options_of
from promptlift.records import Improvement
from promptlift.web.answers import (
    MOST,
    Answer,
    Body,
    Prompts,
    Receipt,
    check_length,
    checked_prompts,
    errors,
    fields_of,
    receipt_json,
    refusal,
)
from promptlift.web.batcher import RETRY_S, Batcher, Options
from promptlift.web.config import ServeConfig
from promptlift.web.logs import describe, note
from promptlift.web.service import Service

_EVENT = {
    "type": "object",
    "properties": {
        "event": {"enum": ["result", "done", "error"]},
        "data": {"type": "string", "description": "JSON: a Result, or how many there were, or why"},
    },
    "required": ["event", "data"],
}


class ImproveOptions(Body):
    """The options of `promptlift improve`; what is left out is the model's default."""

    seed: int | None = Field(
        None, ge=0, lt=2**63, description="Repeats a result; drawn and recorded otherwise."
    )
    mode: Literal["extend", "rewrite"] | None = Field(
        None,
        description="extend keeps your words and adds; rewrite writes anew; without it what the "
        "model has learned, extend where it has both.",
    )
    preset: Literal["paper"] | None = Field(None, description="paper: the paper's decoding.")
    negative: str | None = Field(None, description="Negative prompt: given back, never improved.")

    def given(self) -> dict[str, Any]:
        """Fields of `DecodingConfig` and `ControlConfig` that the request has."""
        # The one option of which null says something.
        nulls = {"max_prompt_tokens"} & self.model_fields_set
        return {
            name: value
            for config in (DecodingConfig, ControlConfig)
            for name in options_of(config)
            if (value := getattr(self, name)) is not None or name in nulls
        }


class _ImproveRequest(ImproveOptions):
    """Prompts and the options of `promptlift improve`; what is left out is the model's default."""

    prompts: Prompts
    n: int = Field(1, ge=1, le=MOST, description="Variants of each prompt.")
    model: str | None = Field(
        None, description="Name or id of a model of `GET /v1/models`; its first one where left out."
    )
    stream: bool = Field(
        False, description="Answer with an event for each result, once it is done."
    )


if TYPE_CHECKING:
    ImproveRequest = _ImproveRequest
else:
    ImproveRequest = create_model(
        "ImproveRequest",
        __base__=_ImproveRequest,
        **fields_of(DecodingConfig),
        **fields_of(ControlConfig),
    )


class Result(Receipt):
    """An improved prompt with its receipt, as `promptlift improve --json` prints it."""

    index: int = Field(description="Position of its prompt in the request, from 0.")


class ImproveAnswer(BaseModel):
    """All results, in the order of their prompts and variants."""

    results: list[Result]


def improve_router(service: Service) -> APIRouter:
    """The route."""
    router = APIRouter(tags=["improve"])
    config = service.config
    events = "An event `result` for each result once it is done, then `done` or `error`."

    @router.post(
        "/v1/improve",
        summary="Improve prompts",
        responses={
            200: {
                "model": ImproveAnswer,
                "description": f"All results. With `stream`: {events}",
                "content": {"text/event-stream": {"schema": _EVENT}},
            },
            **errors(404, 422, 429, 502, 503),
        },
    )
    async def improve(body: ImproveRequest, request: Request) -> Response:
        batcher = await service.writers.get(body.model)
        if batcher is None:
            return refusal(404, f"this server has {', '.join(service.writers.ids)}")
        futures = queue(body, body.prompts, body.n, service, batcher, request.scope)
        if body.stream:
            return _Stream(futures, config, request.scope)
        done = await improved(futures, config, request)
        results = [item for index, found in enumerate(done) for item in _objects(index, found)]
        return Answer({"results": results})

    return router


Futures = list["asyncio.Future[list[Improvement]]"]


def queue(
    body: ImproveOptions,
    prompts: str | list[str],
    n: int,
    service: Service,
    batcher: Batcher,
    scope: Scope,
) -> Futures:
    """Queue the prompts of a request, each with `n` variants.

    Raises:
        InputError, ConfigError: a prompt or an option cannot be used, or is more than is allowed.
        Full: they do not fit into the queue.
    """
    options = _options(body, service.config, batcher.improver)
    asks = _asks(body, prompts, n, service)
    futures = batcher.put(options, asks)
    note(scope, prompts=len(asks), results=len(asks) * n)
    if service.config.log_prompts:
        note(scope, sources=[ask.prompt for ask in asks], negative=body.negative)
    return futures


async def improved(
    futures: Futures, config: ServeConfig, request: Request
) -> list[list[Improvement]]:
    """All results of a request.

    Raises:
        HTTPException: 503, they were not done in time; 499, the caller left.
    """
    try:
        done = await _all(futures, config.timeout_s, request)
    except (asyncio.TimeoutError, GivenUp) as error:
        headers = {"retry-after": str(RETRY_S)}
        raise HTTPException(503, _late(config.timeout_s), headers) from error
    except ClientDisconnect as error:
        raise HTTPException(499, "the caller left") from error  # for the log; as nginx has it
    if config.log_prompts:
        note(request.scope, improved=[item.prompt for found in done for item in found])
    return done


def _options(body: ImproveOptions, config: ServeConfig, improver: Improver) -> Options:
    most, given = config.max_new_tokens, body.given()
    mode = improver.card.mode(body.mode)
    if (reference := given.get("reference")) is not None:
        check_length("reference", reference, config.max_prompt_chars)
    decoding, control = improver.resolved(body.preset, given)
    improver.card.prefix(mode, control.written_form)
    if decoding.max_new_tokens > most:
        raise ConfigError(f"max_new_tokens is {decoding.max_new_tokens}; this server allows {most}")
    return decoding, control


def _asks(body: ImproveOptions, prompts: str | list[str], n: int, service: Service) -> list[Ask]:
    texts = checked_prompts(
        prompts,
        body.negative,
        each=n,
        most=service.config.max_results,
        unit="results",
        chars=service.config.max_prompt_chars,
    )
    seed = secrets.randbits(32) if body.seed is None else body.seed
    return [
        Ask(prompt=text, seed=seed, mode=body.mode, n=n, negative=body.negative) for text in texts
    ]


async def _all(futures: Futures, timeout_s: float, request: Request) -> list[list[Improvement]]:
    """All results. Those that wait are given up when time is over or the caller leaves."""
    results = asyncio.gather(*futures)
    # asyncio warns about results that nobody reads; nobody reads them when the caller leaves.
    results.add_done_callback(lambda done: done.cancelled() or done.exception())
    gone = asyncio.ensure_future(_disconnected(request))
    ends: set[asyncio.Future[Any]] = {results, gone}
    try:
        await asyncio.wait(ends, timeout=timeout_s, return_when="FIRST_COMPLETED")
        if results.done():
            return results.result()
        raise ClientDisconnect if gone.done() else asyncio.TimeoutError
    finally:
        gone.cancel()
        for future in futures:
            future.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


class _Stream(StreamingResponse):
    """Server-sent events: each result as soon as it is done, in any order."""

    def __init__(self, futures: Futures, config: ServeConfig, scope: Scope) -> None:
        super().__init__(
            self._events(),
            media_type="text/event-stream",
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        )
        self._futures, self._config, self._request = futures, config, scope

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:  # not in the generator, which never runs if the caller leaves before it begins
            for future in self._futures:
                future.cancel()

    async def _events(self) -> AsyncIterator[str]:
        told, late = self._config.log_prompts, _late(self._config.timeout_s)
        loop = asyncio.get_running_loop()
        end, left = loop.time() + self._config.timeout_s, set(self._futures)
        order = {future: index for index, future in enumerate(self._futures)}
        improved: list[str] = []
        if told:
            note(self._request, improved=improved)
        try:
            while left:
                done, _ = await asyncio.wait(
                    left, timeout=end - loop.time(), return_when="FIRST_COMPLETED"
                )
                if not done:
                    raise GivenUp
                for future in sorted(done, key=lambda one: order[one]):
                    left.remove(future)
                    for item in _objects(order[future], future.result()):
                        improved.append(item["prompt"])
                        yield _event("result", item)
            yield _event("done", {"results": len(improved)})
        except GivenUp:
            yield _event("error", {"error": late})
        except (ConfigError, InputError, ModelError) as error:
            yield _event("error", {"error": str(error)})
        except Exception as error:  # too late for a status of its own
            note(self._request, **describe(error, told=told))
            yield _event("error", {"error": "something went wrong here"})


def _event(name: str, data: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


def _objects(index: int, found: list[Improvement]) -> list[dict[str, Any]]:
    return [{"index": index, **receipt_json(item)} for item in found]


def _late(timeout_s: float) -> str:
    return f"not done within {timeout_s:g} s: ask for less at once, or later"
