"""The server of the judging page. Nothing that it sends tells which picture is the improved one.

Addresses name a rater's link, the position and the side as shown. Both pictures of a pair have the
same length and no text, and both are ready before one is sent (`judging.collecting.blinding`).
"""

from collections.abc import Callable
from typing import Any, Literal

from fastapi import Depends, FastAPI, HTTPException, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field

from promptlift import __version__
from promptlift.errors import InputError, PromptliftError
from promptlift.judging.collecting.blinding import ShownPictures
from promptlift.judging.collecting.store import Conflict
from promptlift.judging.collecting.study import Study
from promptlift.judging.records import QUESTIONS, Place, Rater
from promptlift.web.serving import SafeHeaders, send_file

PAGE_VERSION = f"judge-1 ({__version__})"
_AHEAD = 2  # pairs that the page may load before it shows them
_UNSAVED = "Not saved yet: the server cannot write; its disk may be full. Trying again…"
_NOWHERE = "This link belongs to no rater. Open the link that you were given."


class Answer(BaseModel):
    """A vote as the page sends it."""

    model_config = ConfigDict(extra="forbid")
    position: int = Field(ge=0)
    question: str = Field(max_length=40)
    answer: Literal["left", "right", "tie", "both_bad", "skip"]
    seconds: float = Field(ge=0, allow_inf_nan=False)
    key: str = Field(min_length=8, max_length=64)


class Undo(BaseModel):
    """An undo as the page sends it."""

    model_config = ConfigDict(extra="forbid")
    key: str = Field(min_length=8, max_length=64)


def judging_app(study: Study, report: Callable[[str], None] = lambda line: None) -> FastAPI:
    """The server of a study.

    Args:
        study: its pairs, raters and votes.
        report: takes a line when votes can no longer be written, and when they can again.
    """
    app = FastAPI(title="promptlift judge", docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(SafeHeaders)
    store, questions = study.store, study.questions
    shown = ShownPictures(study.folder)

    # Handlers run in the event loop: a vote takes a millisecond or two, less than to pass it to
    # another thread and back when many come at once.
    async def rater_of(token: str) -> Rater:
        if (rater := store.rater(token)) is None:
            raise HTTPException(404, _NOWHERE)
        return rater

    known = Depends(rater_of)

    @app.exception_handler(HTTPException)
    async def refused(request: object, error: HTTPException) -> Response:
        return Response(str(error.detail), error.status_code, media_type="text/plain")

    is_full = False

    @app.exception_handler(PromptliftError)
    async def unsaved(request: object, error: PromptliftError) -> Response:
        nonlocal is_full
        if not is_full:  # each rater's page asks again and again
            report(f"{error}; no vote is saved until it can be")
        is_full = True
        return Response(_UNSAVED, 507, media_type="text/plain")

    def saved() -> None:
        nonlocal is_full
        if is_full:
            report("votes are saved again")
        is_full = False

    @app.get("/r/{token}/", dependencies=[known])
    async def page() -> Response:
        return send_file("judge", "judge.html")

    @app.get("/files/{name}")
    async def file(name: str) -> Response:
        if name == "judge.html":
            raise HTTPException(404, "The page needs the link of a rater.")
        return send_file("judge", name)

    @app.get("/r/{token}/state")
    async def current(rater: Rater = known) -> JSONResponse:
        return _state(study, rater, store.place(rater, questions))

    @app.post("/r/{token}/votes")
    async def vote(answer: Answer, rater: Rater = known) -> JSONResponse:
        try:
            place = store.vote(rater, questions, page_version=PAGE_VERSION, **answer.model_dump())
        except Conflict:
            return _state(study, rater, store.place(rater, questions), 409)
        saved()
        return _state(study, rater, place)

    @app.post("/r/{token}/undo")
    async def undo(sent: Undo, rater: Rater = known) -> JSONResponse:
        place = store.undo(rater, questions, page_version=PAGE_VERSION, key=sent.key)
        saved()
        return _state(study, rater, place)

    @app.get("/r/{token}/pairs/{position}/{side}")
    async def picture(
        position: int, side: Literal["left", "right"], rater: Rater = known
    ) -> Response:
        png = await _picture(study, shown, rater, position, side)
        headers = {"cache-control": "private, max-age=86400"}
        return Response(png, media_type="image/png", headers=headers)

    return app


async def _picture(
    study: Study, shown: ShownPictures, rater: Rater, position: int, side: str
) -> bytes:
    """The PNG that a rater sees at a position on a side, if the page may load it by now."""
    place = study.store.place(rater, study.questions)
    found = study.store.task(rater, position) if position <= place.position + _AHEAD else None
    if found is None:
        raise HTTPException(404, "There is no such picture, or not yet.")
    task, pair = found
    try:
        both = shown.made(pair, task)
        if both is None:
            both = await run_in_threadpool(shown.of, pair, task)
    except InputError as error:
        raise HTTPException(500, "A picture of this pair cannot be read.") from error
    return both[side == "right"]


def _state(study: Study, rater: Rater, place: Place, status: int = 200) -> JSONResponse:
    """What the page shows now, and what it may load ahead."""

    def sides(position: int) -> list[str]:
        return [f"pairs/{position}/{side}" for side in ("left", "right")]

    last = min(place.position + _AHEAD, place.total - 1)
    content: dict[str, Any] = {
        "position": place.position,
        "total": place.total,
        "question": place.question,
        "questions": [{"name": name, "text": QUESTIONS[name]} for name in study.questions],
        "can_undo": place.can_undo,
        "ahead": [path for ahead in range(place.position + 1, last + 1) for path in sides(ahead)],
    }
    if place.question is not None:
        found = study.store.task(rater, place.position)
        assert found is not None
        content["prompt"] = found[1].prompt
        content["left"], content["right"] = sides(place.position)
    return JSONResponse(content, status, {"cache-control": "no-store"})
