"""`/v1/illustrate`: pictures of prompts from the same noise, as jobs."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from promptlift.errors import InputError
from promptlift.prompts.reading import check_prompt
from promptlift.records import Improvement
from promptlift.web.answers import FAIL_FAST, Body, Prompts, Receipt, errors, refusal
from promptlift.web.logs import note
from promptlift.web.picture_jobs import Job, job_as_json
from promptlift.web.service import Service

_NO_CACHE = {"cache-control": "no-store"}
_NOWHERE = "there is no such job, or no longer"
_Id = Annotated[str, Path(max_length=64, description="As the answer to POST has it.")]


class IllustrateRequest(Body):
    """Prompts to draw. Pictures of one seed begin with the same noise, so they can be compared."""

    prompts: Prompts
    seed: int = Field(0, ge=0, lt=2**62, description="First seed of the noise.")
    seeds: int = Field(1, ge=1, le=2**31, description="Pictures of each prompt.")
    negative: str | None = Field(None, description="What is not to be seen.")
    receipts: Annotated[list[Receipt | None], FAIL_FAST] | None = Field(
        None, description="Of each prompt its receipt, which its pictures then carry."
    )


class PictureOfJob(BaseModel):
    """A picture that is done."""

    url: str = Field(description="Where the PNG is.")
    prompt: str
    seed: int
    width: int
    height: int
    seconds: float
    cut: str = Field(description="The end of the prompt that the image model did not read.")
    notes: list[str]


class JobState(BaseModel):
    """How far a job is."""

    id: str
    status: Literal["queued", "running", "done", "failed", "cancelled"]
    progress: float = Field(description="From 0 to 1.")
    total: int = Field(description="Pictures that were asked for.")
    model: str | None
    negative: str | None
    error: str | None
    pictures: list[PictureOfJob] = Field(description="Those that are done.")


def illustrate_router(service: Service) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["illustrate"])
    jobs, config = service.pictures, service.config

    def state(job: Job) -> dict[str, Any]:
        return job_as_json(job, jobs.name, jobs.steps)

    @router.post(
        "/v1/illustrate",
        summary="Begin to draw",
        status_code=202,
        response_model=JobState,
        responses=errors(422, 429, 501),
    )
    async def begin(body: IllustrateRequest, request: Request) -> Response:
        prompts = [body.prompts] if isinstance(body.prompts, str) else body.prompts
        if (reason := jobs.why_not()) is not None:
            return refusal(501, reason)
        if not prompts:
            raise InputError("there is nothing to draw. Give prompts")
        if len(prompts) * body.seeds > config.max_pictures:
            raise InputError(
                f"{len(prompts)} prompts times {body.seeds} are more than the "
                f"{config.max_pictures} pictures that this server draws for a request"
            )
        for name, text in (
            *((f"prompt {index}", prompt) for index, prompt in enumerate(prompts)),
            *([("negative", body.negative)] if body.negative is not None else []),
        ):
            if name != "negative":
                check_prompt(text, name)
            if len(text) > config.max_prompt_chars:
                raise InputError(
                    f"{name} has {len(text)} characters; "
                    f"this server allows {config.max_prompt_chars}"
                )
        job = Job(
            prompts,
            list(range(body.seed, body.seed + body.seeds)),
            body.negative,
            _receipts(prompts, body.receipts),
        )
        jobs.put(job)
        note(request.scope, pictures=job.total)
        if config.log_prompts:
            negative = {} if body.negative is None else {"negative": body.negative}
            note(request.scope, sources=prompts, **negative)
        return JSONResponse(state(job), 202, {**_NO_CACHE, "location": f"/v1/illustrate/{job.id}"})

    @router.get(
        "/v1/illustrate/{id}",
        summary="How far a job is",
        response_model=JobState,
        responses=errors(404, 422),
    )
    async def current(id: _Id) -> Response:
        if (job := jobs.get(id)) is None:
            return refusal(404, _NOWHERE)
        return JSONResponse(state(job), headers=_NO_CACHE)

    @router.delete(
        "/v1/illustrate/{id}",
        summary="Cancel a job and forget its pictures",
        status_code=204,
        responses=errors(404, 422),
    )
    async def cancel(id: _Id) -> Response:
        return Response(status_code=204) if jobs.drop(id) else refusal(404, _NOWHERE)

    @router.get(
        "/v1/illustrate/{id}/pictures/{index}",
        summary="A picture",
        response_class=Response,
        responses={200: {"content": {"image/png": {}}}, **errors(404, 422)},
    )
    async def picture(id: _Id, index: Annotated[int, Path(ge=0, le=2**31)]) -> Response:
        job = jobs.get(id)
        if job is None or index >= len(job.pictures):
            return refusal(404, _NOWHERE if job is None else "there is no such picture, or not yet")
        headers = {"cache-control": "private, max-age=3600"}
        return Response(job.pictures[index].png, media_type="image/png", headers=headers)

    return router


def _receipts(prompts: list[str], given: list[Receipt | None] | None) -> list[Improvement | None]:
    if given is None:
        return [None] * len(prompts)
    if len(given) != len(prompts):
        raise InputError(f"{len(prompts)} prompts and {len(given)} receipts: give as many")
    found = [item.improvement() if item else None for item in given]
    for place, (prompt, receipt) in enumerate(zip(prompts, found, strict=True)):
        if receipt is not None and receipt.prompt != prompt:
            raise InputError(f"receipt {place} is of another prompt")
    return found
