"""`/v1/illustrate`: pictures of prompts from the same noise, as jobs."""

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response
from pydantic import Field

from promptlift.errors import InputError
from promptlift.records import Improvement
from promptlift.web.answers import (
    FAIL_FAST,
    Answer,
    Body,
    Prompts,
    Receipt,
    check_many,
    checked_prompts,
    errors,
    refusal,
)
from promptlift.web.blending import check_shares
from promptlift.web.config import ServeConfig
from promptlift.web.logs import note
from promptlift.web.picture_jobs import Job, JobState
from promptlift.web.service import Service

_NOWHERE = "there is no such job, or it was deleted"
_Id = Annotated[str, Path(max_length=64, description="As the answer to POST has it.")]

_Share = Annotated[float, Field(ge=0, le=1)]


class IllustrateRequest(Body):
    """Prompts to draw. Pictures of one seed begin with the same noise, so they can be compared."""

    prompts: Prompts
    seed: int = Field(0, ge=0, lt=2**62, description="First seed of the noise.")
    seeds: int = Field(1, ge=1, le=2**31, description="Pictures of each prompt.")
    negative: str | None = Field(None, description="What is not to be seen.")
    receipts: Annotated[list[Receipt | None], FAIL_FAST] | None = Field(
        None, description="Of each prompt its receipt, which its pictures then carry."
    )
    shares: Annotated[list[_Share], Field(min_length=1), FAIL_FAST] | None = Field(
        None,
        description="With two prompts: pictures on the way from the first, 0, to the second, 1, "
        "in place of those of the prompts. For SDXL and Stable Diffusion by diffusers.",
    )


def illustrate_router(service: Service) -> APIRouter:
    """The routes."""
    router = APIRouter(tags=["illustrate"])
    jobs, config = service.pictures, service.config

    @router.post(
        "/v1/illustrate",
        summary="Begin to draw",
        status_code=202,
        response_model=JobState,
        responses=errors(422, 429, 501),
    )
    async def begin(body: IllustrateRequest, request: Request) -> Response:
        if (reason := jobs.why_not()) is not None:
            return refusal(501, reason)
        job = _job(body, config, jobs.takes_embeddings)
        jobs.put(job)
        note(request.scope, pictures=job.total)
        if config.log_prompts:
            note(request.scope, sources=job.prompts, negative=job.negative)
        return Answer(jobs.state(job).model_dump(), 202, {"location": job.address})

    @router.get(
        "/v1/illustrate/{id}",
        summary="Progress of a job",
        response_model=JobState,
        responses=errors(404, 422),
    )
    async def current(id: _Id) -> Response:
        if (job := jobs.get(id)) is None:
            return refusal(404, _NOWHERE)
        return Answer(jobs.state(job).model_dump())

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
        return Response(job.pngs[index], media_type="image/png", headers=headers)

    return router


def _job(body: IllustrateRequest, config: ServeConfig, takes_embeddings: bool | None) -> Job:
    prompts = checked_prompts(
        body.prompts,
        body.negative,
        each=body.seeds,
        most=config.max_pictures,
        unit="pictures",
        chars=config.max_prompt_chars,
    )
    if body.shares is not None:
        check_shares(prompts, takes_embeddings)
        check_many("shares", len(body.shares), body.seeds, config.max_pictures, "pictures")
    seeds = list(range(body.seed, body.seed + body.seeds))
    receipts = _receipts(prompts, body.receipts)
    return Job(prompts, seeds, body.negative, receipts, body.shares)


def _receipts(prompts: list[str], given: list[Receipt | None] | None) -> list[Improvement | None]:
    if given is None:
        return [None] * len(prompts)
    if len(given) != len(prompts):
        raise InputError(
            f"{len(prompts)} prompts and {len(given)} receipts: give one for each prompt"
        )
    found = [item.improvement() if item else None for item in given]
    for place, (prompt, receipt) in enumerate(zip(prompts, found, strict=True)):
        if receipt is not None and receipt.prompt != prompt:
            raise InputError(f"receipt {place} belongs to another prompt")
    return found
