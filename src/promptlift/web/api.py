"""The API: an app of routers over one `Service`. A page joins with routers of its own."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any, Literal

from fastapi import APIRouter, FastAPI, Response, Security
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer
from pydantic import BaseModel, Field

from promptlift import __version__
from promptlift.improving.config import resolve_options
from promptlift.improving.manifest import ModelCard
from promptlift.prompts.picture_models.table import PictureModel, picture_models
from promptlift.web.answers import MODEL, errors
from promptlift.web.chat import (
    ChatError,
    ListedModel,
    chat_router,
    listed_models,
    unknown_model,
)
from promptlift.web.guard import Guard
from promptlift.web.illustrating import illustrate_router
from promptlift.web.improving import improve_router
from promptlift.web.logs import RequestLog
from promptlift.web.metrics import Metrics, metrics_router
from promptlift.web.refusals import refuse_in_one_line
from promptlift.web.service import Service
from promptlift.web.serving import HeadAsGet, SafeHeaders, send_file
from promptlift.web.writers import Listed

_SWAGGER = ("swagger-ui.css", "swagger-ui-bundle.js")


class Model(BaseModel):
    """A model of the server."""

    id: str = Field(description="Its name, and where it is known its hash.")
    kind: str = Field(description="improve or illustrate.")
    server: str | None = Field(description="Address of the server whose model it is.")
    ready: bool
    note: str | None = Field(description="Why it is not ready.")
    notice: str | None = Field(description="What is always said of its pictures.")
    modes: list[str] = Field(description="What an improver has learned.")
    forms: list[str] = Field(description="The forms that it writes.")
    usual_forms: dict[str, str] = Field(
        description="Its form for each picture model, where a request names none."
    )
    unasked: list[str] = Field(
        description="What it adds unasked where options let it: artists, styles."
    )
    defaults: dict[str, Any] = Field(description="Options where a request leaves them out.")


class PictureModelForm(BaseModel):
    """A picture model that prompts can be for."""

    name: str = Field(description="The value of `picture_model`.")
    title: str
    form: str = Field(description="The form that it reads best: tags, paragraph or json.")
    encoder: str = Field(description="The text encoder whose limit counts.")
    tokens: int = Field(description="Tokens of it that a prompt may have.")
    json_too: bool = Field(description="Whether it reads JSON.")


class Models(BaseModel):
    """What the server has, and what it allows."""

    object: Literal["list"]
    data: list[ListedModel] = Field(description="Names for `POST /v1/chat/completions`.")
    models: list[Model] = Field(description="The first writes where a request names none.")
    picture_models: list[PictureModelForm]
    limits: dict[str, float]
    version: str


class Health(BaseModel):
    """`ok`, or why not."""

    status: str


def create_app(service: Service, *, pages: Sequence[APIRouter] = ()) -> FastAPI:
    """The API of a service.

    Args:
        service: its batcher is started and stopped with the app.
        pages: routers that join it, behind the same guard and headers.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        service.batcher.start()
        try:
            yield
        finally:
            await service.writers.stop(config.timeout_s)  # nobody waits longer
            await run_in_threadpool(service.pictures.stop)

    config, metrics = service.config, Metrics(service)
    app = FastAPI(
        title="promptlift",
        version=__version__,
        description="Improves text-to-image prompts.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,  # a redirect would name the host
    )
    app.state.service = service
    protected = [Security(HTTPBearer(auto_error=False))] if config.token is not None else []
    for router in (
        improve_router(service),
        chat_router(service),
        illustrate_router(service),
        _models_router(service),
    ):
        app.include_router(router, dependencies=protected)
    app.include_router(_health_router(service))
    app.include_router(metrics_router(metrics), dependencies=protected)
    for router in (*pages, _docs_router()):  # in this order: pages may have their own first page
        app.include_router(router)
    refuse_in_one_line(app)
    # The last one added is the first that a request meets.
    app.add_middleware(Guard, token=config.token, hosts=config.allow_host, max_body=config.max_body)
    app.add_middleware(RequestLog, log_prompts=config.log_prompts, count=metrics.count)
    app.add_middleware(SafeHeaders)
    app.add_middleware(HeadAsGet)
    return app


def _models_router(service: Service) -> APIRouter:
    router = APIRouter(tags=["models"])
    pictures, config = service.pictures, service.config
    improver = service.batcher.improver
    data = listed_models(improver)
    limits = (
        "max_body", "max_queue", "max_results", "max_prompt_chars", "max_new_tokens",
        "max_jobs", "max_pictures", "timeout_s",
    )  # fmt: skip

    @router.get(
        "/v1/models", summary="Models and limits", response_model=Models, responses=errors()
    )
    async def models() -> Response:
        """What can be asked for, and how much of it."""
        found = [_model(one, service) for one in await run_in_threadpool(service.writers.listed)]
        if pictures.name is not None:
            reason = pictures.why_not()
            found.append(
                {
                    "id": pictures.name,
                    "kind": "illustrate",
                    "server": None,
                    "ready": reason is None,
                    "note": reason,
                    "notice": pictures.notice,
                    "modes": [],
                    "forms": [],
                    "usual_forms": {},
                    "unasked": [],
                    "defaults": {},
                }
            )
        return JSONResponse(
            {
                "object": "list",
                "data": data,
                "models": found,
                "picture_models": [_picture_model(one) for one in picture_models().values()],
                "limits": {name: getattr(config, name) for name in limits},
                "version": __version__,
            }
        )

    @router.get(
        MODEL + "{name:path}",  # names of models on the Hub have a slash
        summary="A model, in OpenAI's form",
        response_model=ListedModel,
        responses={"default": {"model": ChatError, "description": "Why it was refused."}},
    )
    async def model(name: str) -> Response:
        """The model, if the name is one of its own."""
        return unknown_model(name, improver) or JSONResponse({**data[0], "id": name})

    return router


def _model(listed: Listed, service: Service) -> dict[str, Any]:
    decoding, control = resolve_options(listed.card, None, {})
    return {
        "id": listed.model_id,
        "kind": "improve",
        "server": listed.server,
        "ready": service.batcher.running,
        "note": None,
        "notice": None,
        "modes": list(listed.card.modes),
        "forms": list(listed.card.forms),
        "usual_forms": {name: _usual_form(listed.card, name) for name in picture_models()},
        "unasked": list(listed.card.unasked),
        "defaults": {**asdict(decoding), **asdict(control)},
    }


def _usual_form(card: ModelCard, picture_model: str) -> str:
    _, control = resolve_options(card, None, {"picture_model": picture_model})
    return str(control.form)


def _picture_model(model: PictureModel) -> dict[str, Any]:
    return {
        "name": model.name,
        "title": model.title,
        "form": model.form,
        "encoder": model.encoder,
        "tokens": model.room,
        "json_too": bool(model.object),
    }


def _health_router(service: Service) -> APIRouter:
    router = APIRouter(tags=["health"])

    @router.get("/healthz", summary="Health", response_model=Health, responses=errors())
    async def healthz() -> Response:
        """Whether the process answers."""
        return JSONResponse({"status": "ok"})

    @router.get("/readyz", response_model=Health, responses={503: {"model": Health}, **errors()})
    async def readyz() -> Response:
        """Whether prompts are improved and there is room for more."""
        is_full = service.batcher.waiting >= service.config.max_queue
        status = "stopped" if not service.batcher.running else "full" if is_full else "ok"
        return JSONResponse({"status": status}, 200 if status == "ok" else 503)

    return router


def _docs_router() -> APIRouter:
    """Swagger UI from a package that carries its files; FastAPI's page loads them from a CDN."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def start() -> Response:
        return Response(status_code=307, headers={"location": "/docs"})

    @router.get("/docs")
    async def docs() -> Response:
        return send_file("api_page", "api.html")

    @router.get("/docs/{name}")
    async def file(name: str) -> Response:
        if name in _SWAGGER:
            return send_file("static", name, "fastapi_offline")
        return send_file("api_page", name)

    return router
