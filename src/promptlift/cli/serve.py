"""`promptlift serve`."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from promptlift.cli.door import guarded, say
from promptlift.errors import ConfigError, InputError, MissingExtraError
from promptlift.options import takes
from promptlift.web.config import DEFAULT_IMAGE_MODEL, LOOPBACK, ServeConfig

_STOP_S = 5  # beyond the time that a request may take


# Of the studio too.
Port = Annotated[
    int,
    typer.Option(min=0, max=65535, help="Port; 0 for any that is free.", rich_help_panel="Where"),
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        help="File with the token that callers must send; or set PROMPTLIFT_TOKEN.",
        show_default=False,
        rich_help_panel="Where",
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="Exported folder, T5 folder or Hub name [the bundled model].",
        show_default=False,
    ),
]
Threads = Annotated[
    int | None, typer.Option(help="Processor threads [all cores].", show_default=False)
]
ImageModel = Annotated[
    str, typer.Option(help="Preset, folder, file or Hub name that draws; none for no pictures.")
]
Offline = Annotated[bool, typer.Option("--offline", help="Never reach for the network.")]


@takes(ServeConfig, "settings", without=["token"], panel="What is allowed")
def serve(
    port: Port = 8017,
    token_file: TokenFile = None,
    model: Model = None,
    threads: Threads = None,
    image_model: ImageModel = DEFAULT_IMAGE_MODEL,
    image_steps: Annotated[
        int | None,
        typer.Option(help="Denoising steps of a picture [the model's].", show_default=False),
    ] = None,
    image_size: Annotated[
        int | None,
        typer.Option(help="Pixels of a picture's side [the model's].", show_default=False),
    ] = None,
    offline: Offline = False,
    settings: Any = None,
) -> None:
    """Serve the API: improved prompts and pictures over HTTP, described at /docs.

    The log goes to stderr, a JSON object a line.

    Examples:

      promptlift serve

      PROMPTLIFT_TOKEN=$(cat token) promptlift serve --host 0.0.0.0 --allow-host prompts.example

      promptlift serve --image-model sd-turbo --offline
    """
    with guarded("stopped"):
        config = ServeConfig(token=read_token(token_file), **settings)
        if offline:  # the improver's own libraries read this, when they are imported
            os.environ["HF_HUB_OFFLINE"] = "1"
        drawing = {
            "num_inference_steps": image_steps,
            "width": image_size,
            "height": image_size,
            "offline": offline,
        }
        _run(config, port, model, threads, None if image_model == "none" else image_model, drawing)
        say("stopped")


def _run(
    config: ServeConfig,
    port: int,
    model: str | None,
    threads: int | None,
    image_model: str | None,
    drawing: dict[str, Any],
) -> None:
    try:
        from promptlift.web.api import create_app
        from promptlift.web.logs import log_to_stderr
        from promptlift.web.service import Service
        from promptlift.web.serving import serve as listen
    except ImportError as error:
        raise MissingExtraError("Serving", "web") from error
    service = Service.load(
        config, model=model, threads=threads, image_model=image_model, drawing=drawing
    )
    log_to_stderr()
    listen(
        create_app(service),
        config.host,
        port,
        lambda address: _ready(address, config),
        stop_s=config.timeout_s + _STOP_S,
    )


def _ready(address: str, config: ServeConfig) -> None:
    print(address, flush=True)
    if config.host not in LOOPBACK:
        say(f"{config.host} can be reached by others; they need the token, and see it without TLS")


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
