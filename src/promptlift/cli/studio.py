"""`promptlift studio`."""

import logging
import os
import webbrowser
from typing import Annotated, Any

import typer

from promptlift.cli.door import guarded, say
from promptlift.cli.serve import (
    ImageModel,
    Model,
    Offline,
    Port,
    Threads,
    TokenFile,
    read_token,
)
from promptlift.errors import MissingExtraError
from promptlift.options import takes
from promptlift.web.config import DEFAULT_IMAGE_MODEL, LOOPBACK, ServeConfig


@takes(ServeConfig, "settings", only=["host", "allow_host"])
def studio(
    port: Port = 8016,
    token_file: TokenFile = None,
    model: Model = None,
    threads: Threads = None,
    image_model: ImageModel = DEFAULT_IMAGE_MODEL,
    offline: Offline = False,
    settings: Any = None,
    no_open: Annotated[bool, typer.Option("--no-open", help="Do not open a browser.")] = False,
) -> None:
    """Open the studio: improve prompts in the browser, while you type.

    Examples:

      promptlift studio

      promptlift studio --image-model sd-turbo
    """
    with guarded("stopped"):
        try:
            from promptlift.web.api import create_app
            from promptlift.web.logs import log_to_stderr
            from promptlift.web.service import Service
            from promptlift.web.serving import serve
            from promptlift.web.studio import studio_routers
        except ImportError as error:
            raise MissingExtraError("The studio", "web") from error
        config = ServeConfig(token=read_token(token_file), **settings)
        if offline:  # the improver's own libraries read this, when they are imported
            os.environ["HF_HUB_OFFLINE"] = "1"
        service = Service.load(
            config,
            model=model,
            threads=threads,
            image_model=None if image_model == "none" else image_model,
            drawing={"offline": offline},
        )
        log_to_stderr(logging.WARNING)
        serve(
            create_app(service, pages=studio_routers(service)),
            config.host,
            port,
            lambda address: _ready(address, config.host, open_it=not no_open),
        )
        say("stopped")


def _ready(address: str, host: str, *, open_it: bool) -> None:
    print(address, flush=True)
    if host not in LOOPBACK:
        say(f"{host} can be reached by others; they need the token, and see it without TLS")
    elif open_it:
        webbrowser.open(address)
