"""The studio: a page over the API, and what it needs beside it."""

import json
from importlib.resources import files
from typing import Any

from fastapi import APIRouter, HTTPException, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field

from promptlift.errors import InputError
from promptlift.improving.editing import without
from promptlift.improving.explain import reasons
from promptlift.improving.receipts import (
    A1111_KEYWORD,
    KEYWORD,
    a1111_text,
    parse_a1111_parameters,
    parse_receipt,
)
from promptlift.png_text import png_texts
from promptlift.prompts.reading import longest_part
from promptlift.records import SCHEMA_VERSION, Improvement
from promptlift.web.answers import Body, Receipt, errors
from promptlift.web.service import Service

_TYPES = {".css": "text/css", ".js": "text/javascript", ".html": "text/html"}
_NO_CACHE = {"cache-control": "no-store"}
_MOST_ADDITIONS, _MOST_ADDED = 200, 4_000  # phrases, characters


class Edit(Body):
    """A result, and which of its additions are taken out."""

    receipt: Receipt
    removed: list[int] = Field([], max_length=_MOST_ADDITIONS, description="Their indices.")


class Edited(BaseModel):
    """The result less those additions."""

    receipt: Receipt
    copies: dict[str, str] = Field(description="To copy: plain, a1111.")


class Why(Body):
    """A result of this server's model."""

    receipt: Receipt


class Because(BaseModel):
    """Of each addition, why it was offered."""

    reasons: list[str]
    source_tokens: int = Field(description="CLIP tokens of the prompt as it was given.")


class PictureText(BaseModel):
    """What a picture says of its prompt."""

    prompt: str
    negative: str
    settings: dict[str, str] = Field(description="As A1111 writes them.")
    receipt: Receipt | None


def studio_routers(service: Service) -> list[APIRouter]:
    """The page, which asks for nothing; and its routes below /v1/, which need the token."""
    return [_page_router(), _work_router(service)]


def _page_router() -> APIRouter:
    router = APIRouter(include_in_schema=False)
    folder = files("promptlift.web") / "studio"
    texts = {item.name: item.read_bytes() for item in folder.iterdir() if item.is_file()}

    @router.get("/")
    async def page() -> Response:
        return Response(texts["studio.html"], media_type="text/html")

    @router.get("/studio/{name}")
    async def file(name: str) -> Response:
        if name not in texts:
            raise HTTPException(404, "there is no such file")
        return Response(texts[name], media_type=_TYPES["." + name.rpartition(".")[2]])

    return router


def _work_router(service: Service) -> APIRouter:
    router = APIRouter(tags=["studio"])
    batcher, most = service.batcher, service.config.max_prompt_chars

    def checked(given: Receipt) -> Improvement:
        """Reading a prompt takes the longer the longer it is, so there is an end to it."""
        found = given.improvement()
        for text, limit in ((found.source, most), (found.prompt, most + _MOST_ADDED)):
            if len(text) > limit:
                raise InputError(f"a prompt has {len(text)} characters; this server allows {limit}")
        if len(found.additions) > _MOST_ADDITIONS:
            raise InputError(f"a receipt may have {_MOST_ADDITIONS} additions")
        return found

    @router.post(
        "/v1/edit",
        summary="Take additions out, and texts to copy",
        response_model=Edited,
        responses=errors(422),
    )
    async def edit(body: Edit) -> Response:
        receipt = checked(body.receipt)

        def make() -> dict[str, Any]:
            edited = without(receipt, body.removed)
            return {
                "receipt": {**edited.to_dict(), "schema_version": SCHEMA_VERSION},
                "copies": {"plain": edited.prompt, "a1111": a1111_text(edited)},
            }

        return _answer(await run_in_threadpool(make))

    @router.post(
        "/v1/reasons",
        summary="Why additions were offered",
        response_model=Because,
        responses=errors(422, 429),
    )
    async def why(body: Why) -> Response:
        receipt = checked(body.receipt)
        found = await batcher.between(lambda: reasons(batcher.improver, receipt))
        return _answer(
            {
                "reasons": [reason.text for reason in found],
                "source_tokens": longest_part(receipt.source),
            }
        )

    @router.post(
        "/v1/picture-text",
        summary="Prompt and receipt of a PNG",
        response_model=PictureText,
        responses=errors(422),
        openapi_extra={
            "requestBody": {
                "description": "A PNG; its pixels are not needed, so they can be left out.",
                "content": {"image/png": {"schema": {"type": "string", "format": "binary"}}},
            }
        },
    )
    async def picture_text(request: Request) -> Response:
        texts = png_texts(await request.body(), "the picture")
        prompt, negative, settings = parse_a1111_parameters(texts.get(A1111_KEYWORD, ""))
        receipt = None
        if KEYWORD in texts:
            found = parse_receipt(texts[KEYWORD], "the picture's receipt")
            receipt = {**found.to_dict(), "schema_version": SCHEMA_VERSION}
            prompt, negative = prompt or found.prompt, negative or found.negative or ""
        if not prompt:
            raise InputError("the picture carries neither a receipt nor A1111's parameters")
        return _answer(
            {"prompt": prompt, "negative": negative, "settings": settings, "receipt": receipt}
        )

    return router


def _answer(content: dict[str, Any]) -> Response:
    # In ASCII: prompts need not be valid Unicode.
    return Response(json.dumps(content), media_type="application/json", headers=_NO_CACHE)
