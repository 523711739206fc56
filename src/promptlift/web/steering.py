"""The page of `promptlift steer pick`, and its server: one session, one picture model.

Addresses name what they show by its numbers, so a picture is drawn once and then a file. What is
slow is done one thing at a time, and not at all where the page no longer waits for it.
"""

import asyncio
import io
from base64 import b64decode
from binascii import Error as NoBase64
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from PIL.Image import DecompressionBombError
from pydantic import Field

from promptlift.errors import InputError, PromptliftError
from promptlift.illustrating.embedding import load_embedding
from promptlift.prompts.reading import check_prompt
from promptlift.steering.picking import Picking
from promptlift.web.answers import Body, refusal
from promptlift.web.guard import Guard
from promptlift.web.refusals import refuse_in_one_line
from promptlift.web.serving import HeadAsGet, SafeHeaders, send_file

if TYPE_CHECKING:
    from PIL.Image import Image

_MAX_BODY = 16 << 20  # bytes; a mask of 4096x4096 has less
# What Pillow raises of what is no picture, or too large a one.
_NO_PICTURE = (NoBase64, OSError, ValueError, SyntaxError, DecompressionBombError)
_GONE = 499  # of nginx: the page no longer waits
Found = TypeVar("Found")


class At(Body):
    """What the page shows while it asks for something."""

    place: int = Field(ge=0)
    offer: int = Field(ge=0)


class Go(At):
    """A candidate, and how far to go."""

    pick: int = Field(ge=0)
    percent: int = Field(ge=1, le=100)


class Redraw(At):
    """A part of the present picture."""

    mask: str = Field(description="PNG of the picture's size as base64; white is drawn anew.")
    percent: int = Field(ge=1, le=100, description="Of denoising that is done anew.")
    prompt: str = Field("", max_length=4000, description="What the part is to show.")


class Back(Body):
    """A place where one was."""

    place: int = Field(ge=0)


def steering_app(picking: Picking, hosts: Sequence[str] = ()) -> FastAPI:
    """The server of a session.

    Args:
        picking: the session.
        hosts: names that it may be called by, beside localhost and addresses.
    """
    work = _Work()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        work.stop()

    app = FastAPI(
        title="promptlift steer pick", docs_url=None, redoc_url=None, openapi_url=None,
        lifespan=lifespan,
    )  # fmt: skip
    app.add_middleware(Guard, token=None, hosts=hosts, max_body=_MAX_BODY)
    app.add_middleware(SafeHeaders)
    app.add_middleware(HeadAsGet)
    _pages(app)
    _seen(app, picking, work)
    _moves(app, picking, work)
    refuse_in_one_line(app)

    @app.exception_handler(PromptliftError)
    @app.exception_handler(OSError)
    async def unable(request: Request, error: Exception) -> Response:
        return refusal(500, str(error))

    return app


class _Work:
    """Does what is slow, one thing at a time, in one thread."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._thread = ThreadPoolExecutor(1, "steer")

    async def do(self, request: Request, what: Callable[[], Found]) -> Found:
        """Its result, when it is its turn.

        Raises:
            HTTPException: the page left meanwhile.
        """
        async with self._turn:
            if await request.is_disconnected():
                raise HTTPException(_GONE)
            return await asyncio.get_running_loop().run_in_executor(self._thread, what)

    def stop(self) -> None:
        """Leave what waits; what was begun is ended first."""
        self._thread.shutdown(cancel_futures=True)


def _pages(app: FastAPI) -> None:
    @app.get("/")
    async def page() -> Response:
        return send_file("steer", "steer.html")

    @app.get("/steer/{name}")
    async def file(name: str) -> Response:
        return send_file("steer", name)

    @app.get("/studio/studio.css")
    async def look() -> Response:
        return send_file("studio", "studio.css")


def _seen(app: FastAPI, picking: Picking, work: _Work) -> None:
    @app.get("/v1/state")
    async def state() -> Response:
        return _state(picking)

    @app.get("/v1/offers/{place}/{offer}")
    async def offered(request: Request, place: int, offer: int) -> Response:
        def find() -> dict[str, Any]:
            found = [load_embedding(file).about for file in picking.offered(place, offer)]
            return {
                "candidates": [{"styles": one["styles"]} for one in found],
                "map": picking.map(),
            }

        return JSONResponse(await work.do(request, find))

    @app.get("/v1/pictures/{place}")
    async def picture(request: Request, place: int) -> Response:
        return _file(await work.do(request, lambda: picking.picture(place)), "image/png")

    @app.get("/v1/pictures/{place}/{offer}/{pick}/{percent}")
    async def on_the_way(
        request: Request, place: int, offer: int, pick: int, percent: int
    ) -> Response:
        found = await work.do(request, lambda: picking.on_the_way(place, offer, pick, percent))
        return _file(found, "image/png")

    @app.get("/v1/embeddings/{place}")
    async def embedding(place: int) -> Response:
        if not 0 <= place < len(picking.places):
            raise InputError(f"there is no place {place}")
        return _file(picking.embedding(place), "application/octet-stream")


def _moves(app: FastAPI, picking: Picking, work: _Work) -> None:
    def elsewhere(at: At) -> bool:
        return (at.place, at.offer) != (picking.present, picking.offer)

    async def moved(request: Request, at: At, move: Callable[[], Any]) -> Response:
        # Looked at in its turn: another window may have moved on.
        def unless_elsewhere() -> bool:
            if elsewhere(at):
                return False
            move()
            return True

        return _state(picking, 200 if await work.do(request, unless_elsewhere) else 409)

    @app.post("/v1/go")
    async def go(request: Request, body: Go) -> Response:
        return await moved(request, body, lambda: picking.go(body.pick, body.percent))

    @app.post("/v1/others")
    async def others(request: Request, body: At) -> Response:
        return await moved(request, body, picking.others)

    @app.post("/v1/redraw")
    async def redraw(request: Request, body: Redraw) -> Response:
        mask, prompt = _mask(body.mask, picking.size), body.prompt.strip()
        if prompt:
            check_prompt(prompt, "what the part is to show")
        return await moved(request, body, lambda: picking.redraw(mask, body.percent / 100, prompt))

    @app.post("/v1/back")
    async def back(request: Request, body: Back) -> Response:
        await work.do(request, lambda: picking.back(body.place))
        return _state(picking)


def _state(picking: Picking, status: int = 200) -> JSONResponse:
    """Where one was and is."""
    content = {
        "prompt": picking.prompt,
        "present": picking.present,
        "offer": picking.offer,
        "places": [asdict(place) for place in picking.places],
        "files": [str(picking.embedding(place.number)) for place in picking.places],
    }
    return JSONResponse(content, status, {"cache-control": "no-store"})


def _file(path: Path, kind: str) -> Response:
    named = {"content-disposition": f'inline; filename="{path.name}"'}
    return Response(path.read_bytes(), media_type=kind, headers=named)


def _mask(text: str, size: tuple[int, int]) -> "Image":
    from PIL import Image

    try:
        found: Image.Image = Image.open(io.BytesIO(b64decode(text, validate=True)), formats=["PNG"])
        if found.size != size:  # before it is unpacked
            raise InputError(f"the mask must be {size[0]}x{size[1]}, as pictures are drawn")
        return found.convert("L")
    except _NO_PICTURE as error:
        raise InputError("the mask is no PNG that can be read") from error
