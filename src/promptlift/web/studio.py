"""The studio: its page, and the routes that it needs in addition to the API."""

from typing import Annotated, Any

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field

from promptlift.errors import InputError
from promptlift.improving.editing import edited
from promptlift.improving.explain import reasons
from promptlift.improving.picture_prompts import TOOLS, PicturePrompt, picture_prompt
from promptlift.improving.receipts import KEYWORD, a1111_text, parse_receipt
from promptlift.picture_texts import picture_texts
from promptlift.prompts.picture_models.encoders import ENCODERS, count_tokens
from promptlift.prompts.picture_models.table import CLIP
from promptlift.records import Improvement
from promptlift.web.answers import Answer, Body, Receipt, check_length, errors, receipt_json
from promptlift.web.service import Service
from promptlift.web.serving import send_file

_MOST_ADDITIONS, _MOST_ADDED = 200, 4_000  # phrases, characters
_MOST_PINNED = 20
_Pinned = Annotated[str, Field(min_length=1, max_length=300)]
_BYTES = {"type": "string", "format": "binary"}


class Edit(Body):
    """A result, the additions to take out of it, and phrases to pin to it."""

    receipt: Receipt
    removed: list[int] = Field(
        [], max_length=_MOST_ADDITIONS, description="Indices of the additions to take out."
    )
    pinned: list[_Pinned] = Field(
        [], max_length=_MOST_PINNED, description="Phrases that it is to have after its additions."
    )


class Edited(BaseModel):
    """The result without those additions, and with those phrases."""

    receipt: Receipt
    copies: dict[str, str] = Field(description="Texts to copy: plain, a1111.")


class Why(Body):
    """A result of one of this server's models, whose additions are to be explained."""

    receipt: Receipt


class Because(BaseModel):
    """For each addition, why it was offered."""

    reasons: list[str]
    source_tokens: int = Field(
        description="Tokens of the source prompt, of the encoder that the receipt's `checks` name, "
        "or of CLIP."
    )


class PictureText(BaseModel):
    """The prompt that a picture carries, and how it was made."""

    prompt: str
    negative: str
    settings: dict[str, str] = Field(description="As the tool writes them.")
    tool: str | None = Field(description="Who wrote them.")
    notes: list[str] = Field(description="What they do not say.")
    receipt: Receipt | None


def studio_routers(service: Service) -> list[APIRouter]:
    """The page, open to all, and its routes below /v1/, which need the token."""
    return [_page_router(), _work_router(service)]


def _page_router() -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def page() -> Response:
        return send_file("studio", "studio.html")

    @router.get("/studio/{name}")
    async def file(name: str) -> Response:
        return send_file("studio", name)

    return router


def _work_router(service: Service) -> APIRouter:
    router = APIRouter(tags=["studio"])
    most = service.config.max_prompt_chars

    @router.post(
        "/v1/edit",
        summary="Take additions out or pin phrases, and texts to copy",
        response_model=Edited,
        responses=errors(422),
    )
    async def edit(body: Edit) -> Response:
        receipt = _checked(body.receipt, most)

        def make() -> dict[str, Any]:
            found = edited(receipt, body.removed, body.pinned)
            copies = {"plain": found.prompt, "a1111": a1111_text(found)}
            return {"receipt": receipt_json(found), "copies": copies}

        return Answer(await run_in_threadpool(make))

    @router.post(
        "/v1/reasons",
        summary="Why additions were offered",
        response_model=Because,
        responses=errors(422, 429),
    )
    async def why(body: Why) -> Response:
        receipt = _checked(body.receipt, most)
        batcher = service.writers.of(receipt.model)
        found = await batcher.between(lambda: reasons(batcher.improver, receipt))
        named = receipt.checks.get("encoder")
        encoder = named if isinstance(named, str) and named in ENCODERS else CLIP
        tokens = count_tokens(receipt.source, encoder).tokens
        return Answer({"reasons": [reason.text for reason in found], "source_tokens": tokens})

    @router.post(
        "/v1/picture-text",
        summary="Prompt and receipt of a picture",
        response_model=PictureText,
        responses=errors(422),
        openapi_extra={
            "requestBody": {
                "description": "A PNG, or the EXIF block of a JPEG or WebP. Pixels are not read, "
                "so you can leave them out.",
                "content": {
                    "application/octet-stream": {"schema": _BYTES},
                    "image/png": {"schema": _BYTES},
                },
            }
        },
    )
    async def picture_text(request: Request) -> Response:
        return Answer(_picture_text(await request.body()))

    return router


def _checked(given: Receipt, most: int) -> Improvement:
    """The record of a receipt, if its prompts are short enough to be read in little time."""
    found = given.improvement()
    check_length("the receipt's source", found.source, most)
    check_length("the receipt's prompt", found.prompt, most + _MOST_ADDED)
    if len(found.additions) > _MOST_ADDITIONS:
        raise InputError(f"a receipt may have {_MOST_ADDITIONS} additions")
    return found


def _picture_text(picture: bytes) -> dict[str, Any]:
    texts = picture_texts(picture, "the picture")
    said = picture_prompt(texts)
    found = said or PicturePrompt(tool="")
    prompt, negative, receipt = found.prompt, found.negative, None
    if KEYWORD in texts:
        improvement = parse_receipt(texts[KEYWORD], "the picture's receipt")
        receipt = receipt_json(improvement)
        prompt, negative = prompt or improvement.prompt, negative or improvement.negative or ""
    if not prompt:
        why = "; ".join(found.notes) or f"neither a receipt nor texts of {', '.join(TOOLS)}"
        raise InputError(f"the picture carries no prompt: {why}")
    return {
        "prompt": prompt,
        "negative": negative,
        "settings": found.settings,
        "tool": said and said.tool,
        "notes": [*found.notes],
        "receipt": receipt,
    }
