"""`promptlift studio`."""

import logging
import os
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from promptlift.cli.door import guarded, say
from promptlift.cli.serve import read_token
from promptlift.errors import MissingExtraError
from promptlift.web.config import DEFAULT_IMAGE_MODEL, LOOPBACK, ServeConfig


def studio(
    host: Annotated[
        str, typer.Option(help="Address to listen on; any but this machine's own needs a token.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port; 0 for any that is free.")
    ] = 8016,
    token_file: Annotated[
        Path | None,
        typer.Option(
            help="File with the token that the page asks for; or set PROMPTLIFT_TOKEN.",
            show_default=False,
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            help="Name under which the page may be opened, beside localhost.", show_default=False
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="Exported folder, T5 folder or Hub name [the bundled model].",
            show_default=False,
        ),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(help="Processor threads [all cores].", show_default=False)
    ] = None,
    image_model: Annotated[
        str, typer.Option(help="Preset, folder, file or Hub name that draws; none for no pictures.")
    ] = DEFAULT_IMAGE_MODEL,
    offline: Annotated[
        bool, typer.Option("--offline", help="Never reach for the network.")
    ] = False,
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
        config = ServeConfig(
            host=host, token=read_token(token_file), allow_host=tuple(allow_host or ())
        )
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
            host,
            port,
            lambda address: _ready(address, host, open_it=not no_open),
        )
        say("stopped")


def _ready(address: str, host: str, *, open_it: bool) -> None:
    print(address, flush=True)
    if host not in LOOPBACK:
        say(f"{host} can be reached by others; they need the token, and see it without TLS")
    elif open_it:
        webbrowser.open(address)
