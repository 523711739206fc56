"""`promptlift serve`."""

import logging
import os
import webbrowser
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from promptlift.cli.door import go_offline, guarded, say
from promptlift.cli.parameters import ModelName, Port, Threads, opt
from promptlift.errors import ConfigError, InputError, MissingExtraError
from promptlift.illustrating.config import SERVERS, IllustrationConfig
from promptlift.llm.config import LLMConfig
from promptlift.options import takes
from promptlift.threads import cores
from promptlift.web.config import DEFAULT_IMAGE_MODEL, LOOPBACK, ServeConfig

if TYPE_CHECKING:
    from fastapi import FastAPI

_STOP_S = 5  # beyond the time that a request of the API may take

# Of the studio too.
DRAWING = ("backend", "url", "workflow", "place", "sampler")
TokenFile = Annotated[
    Path | None, opt("File with the token that callers must send; or set PROMPTLIFT_TOKEN.")
]
ImageModel = Annotated[
    str | None,
    opt(
        "Preset, folder, file or Hub name that draws, or a model of the server [pocket, or the "
        "server's own]; none for no pictures."
    ),
]
Offline = Annotated[bool, typer.Option("--offline", help="Never reach for the network.")]


@takes(ServeConfig, "settings", without=["token"])
@takes(LLMConfig, "llm")
@takes(IllustrationConfig, "drawing", only=DRAWING)
def serve(
    port: Port = 8017,
    token_file: TokenFile = None,
    model: ModelName = None,
    threads: Threads = None,
    image_model: ImageModel = None,
    image_steps: Annotated[int | None, opt("Denoising steps of a picture [the model's].")] = None,
    image_size: Annotated[int | None, opt("Pixels of a picture's side [the model's].")] = None,
    offline: Offline = False,
    settings: Any = None,
    llm: Any = None,
    drawing: Any = None,
) -> None:
    """Serve the API: improved prompts and pictures over HTTP, described at /docs.

    The log goes to stderr, a JSON object a line.

    Examples:

      promptlift serve

      PROMPTLIFT_TOKEN=$(cat token) promptlift serve --host 0.0.0.0 --allow-host prompts.example

      promptlift serve --image-model sd-turbo --offline

      promptlift serve --workers 4

      promptlift serve --backend comfyui --workflow portrait.json
    """
    with guarded("stopped"):
        drawing |= {
            "num_inference_steps": image_steps, "width": image_size, "height": image_size,
            "offline": offline,
        }  # fmt: skip
        config = allowed(token_file, settings, model, llm)
        listen(config, port, image_model, drawing, model=model, threads=threads, llm=llm)


def listen(
    config: ServeConfig,
    port: int,
    image_model: str | None,
    drawing: dict[str, Any],
    *,
    model: str | None,
    threads: int | None,
    llm: dict[str, Any],
    studio: bool = False,
    open_it: bool = False,
) -> None:
    """Serve the API, or the studio, until it is stopped.

    Args:
        config: what is allowed.
        port: 0 for any that is free.
        image_model: what draws, the usual one where None; "none" for no pictures.
        drawing: fields of `IllustrationConfig`.
        model, threads, llm: as in `Improver.load`.
        studio: whether its pages are served too, and the log has warnings alone.
        open_it: whether a browser is to show them.

    Raises:
        MissingExtraError: the extra `web` is not installed.
    """
    go_offline(drawing["offline"])
    try:
        from promptlift.web.serving import serve as serve_app
        from promptlift.web.workers import serve_workers
    except ImportError as error:
        raise MissingExtraError("The studio" if studio else "Serving", "web") from error
    if config.workers > 1:
        image_model = _no_pictures(image_model, drawing)
        threads = threads or max(1, cores() // config.workers)
    make = partial(
        _app, config, image_model, drawing, model=model, threads=threads, llm=llm, studio=studio
    )

    def ready(address: str) -> None:
        print(address, flush=True)
        if config.host not in LOOPBACK:
            say(
                f"{config.host} can be reached by others; they need the token, and see it "
                "without TLS"
            )
        elif open_it:
            webbrowser.open(address)

    stop_s = _STOP_S + (0 if studio else config.timeout_s)
    if config.workers > 1:
        _log_to_stderr(studio=studio)
        serve_workers(make, config.host, port, ready, workers=config.workers, stop_s=stop_s)
    else:
        serve_app(make(), config.host, port, ready, stop_s=stop_s)
    say("stopped")


def _app(
    config: ServeConfig,
    image_model: str | None,
    drawing: dict[str, Any],
    *,
    model: str | None,
    threads: int | None,
    llm: dict[str, Any],
    studio: bool,
) -> "FastAPI":
    """The app, with its models loaded; arguments as in `listen`."""
    from promptlift.web.api import create_app
    from promptlift.web.service import Service
    from promptlift.web.studio import studio_routers

    own = "" if drawing.get("backend") in SERVERS else DEFAULT_IMAGE_MODEL
    service = Service.load(
        config,
        model=model,
        threads=threads,
        llm=llm,
        image_model=None if image_model == "none" else image_model or own,
        drawing=drawing,
        others=studio,
    )
    _log_to_stderr(studio=studio)
    return create_app(service, pages=studio_routers(service) if studio else ())


def _log_to_stderr(*, studio: bool) -> None:
    from promptlift.web.logs import log_to_stderr

    log_to_stderr(logging.WARNING if studio else logging.INFO)


def _no_pictures(image_model: str | None, drawing: dict[str, Any]) -> str:
    """No image model: a picture job is in the memory of the process that began it.

    Raises:
        ConfigError: one was asked for.
    """
    asked = [name for name, value in drawing.items() if name != "offline" and value is not None]
    if asked or image_model not in (None, "none"):
        raise ConfigError(
            "several --workers draw no pictures. Leave out what is about pictures, or draw with a "
            "server of its own: promptlift serve --port 8018"
        )
    return "none"


def allowed(
    token_file: Path | None, settings: dict[str, Any], model: str | None, llm: dict[str, Any]
) -> ServeConfig:
    """What is allowed; unless told otherwise, a request may take as long as a server's model may.

    Args:
        token_file: as in `read_token`.
        settings: fields of `ServeConfig`, as typed.
        model, llm: as in `Improver.load`.
    """
    from promptlift.improving.loading import address_of

    asking, timeout_s = LLMConfig(**llm), ServeConfig.timeout_s
    if address_of(model, asking):
        timeout_s = max(timeout_s, asking.llm_timeout_s)
    return ServeConfig(**{"token": read_token(token_file), "timeout_s": timeout_s, **settings})


def read_token(file: Path | None) -> str | None:
    """The token of a file, or of the environment."""
    if file is None:
        return os.environ.get("PROMPTLIFT_TOKEN") or None
    try:
        token = file.read_text("utf-8").strip()
    except UnicodeDecodeError as error:
        raise InputError(f"{file} is no text") from error
    if not token:
        raise ConfigError(f"{file} is empty; it must hold the token")
    return token
