"""`promptlift studio`."""

from typing import Any

from promptlift.cli.door import guarded
from promptlift.cli.parameters import ModelName, NoOpen, Port, Threads
from promptlift.cli.serve import DRAWING, ImageModel, Offline, TokenFile, allowed, listen
from promptlift.illustrating.config import SERVERS, IllustrationConfig
from promptlift.llm.config import LLMConfig
from promptlift.options import takes
from promptlift.web.config import ServeConfig

_ATTEMPTS = 2  # somebody waits: a server that is gone is better said than asked for half a minute


@takes(ServeConfig, "settings", only=["host", "allow_host"])
@takes(LLMConfig, "llm", defaults={"llm_attempts": _ATTEMPTS})
@takes(IllustrationConfig, "drawing", only=DRAWING)
def studio(
    port: Port = 8016,
    token_file: TokenFile = None,
    model: ModelName = None,
    threads: Threads = None,
    image_model: ImageModel = None,
    offline: Offline = False,
    settings: Any = None,
    llm: Any = None,
    drawing: Any = None,
    no_open: NoOpen = False,
) -> None:
    """Open the studio: improve prompts in the browser, while you type.

    Examples:

      promptlift studio

      promptlift studio --image-model sd-turbo

      promptlift studio --backend comfyui --workflow portrait.json
    """
    with guarded("stopped"):
        from promptlift.improving.loading import address_of

        if address_of(model, LLMConfig(**llm)):
            llm = {"llm_attempts": _ATTEMPTS, **llm}
        few = {"attempts": _ATTEMPTS} if drawing.get("backend") in SERVERS else {}
        listen(
            allowed(token_file, settings, model, llm),
            port,
            image_model,
            {**few, **drawing, "offline": offline},
            model=model,
            threads=threads,
            llm=llm,
            studio=True,
            open_it=not no_open,
        )
