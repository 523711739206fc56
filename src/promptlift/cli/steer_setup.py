"""What every command of `promptlift steer` begins with."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from promptlift.cli.door import go_offline, guarded, say
from promptlift.cli.parameters import opt
from promptlift.errors import ConfigError, MissingExtraError
from promptlift.illustrating.config import IllustrationConfig
from promptlift.options import takes

if TYPE_CHECKING:
    from promptlift.illustrating.embedding import Embedding
    from promptlift.illustrating.illustrator import Illustrator

STAGE = "steering"
OF_SERVERS = ("backend", "url", "workflow", "place", "sampler", "timeout_s", "attempts")
RENAMED = {"model": "picture_model"}
DRAWN = takes(IllustrationConfig, "drawing", renamed=RENAMED, without=OF_SERVERS)
# For commands that draw one noise, or choose further ones themselves.
ONE_NOISE = takes(IllustrationConfig, "drawing", renamed=RENAMED, without=(*OF_SERVERS, "seeds"))
Output = Annotated[Path, opt("Run folder, made or gone on.", "--output", "-o")]


@contextmanager
def steering(interrupted: str = "interrupted") -> Iterator[None]:
    """`guarded`, and what the commands need is there."""
    with guarded(interrupted):
        if find_spec("torch") is None or find_spec("diffusers") is None:
            raise MissingExtraError("Steering", "illustrate")
        yield


def illustrator_of(drawing: dict[str, Any]) -> "Illustrator":
    """The picture model of a command's options.

    Raises:
        ConfigError: an option cannot be used, or the model takes no embeddings.
    """
    config = IllustrationConfig.resolve(**drawing)
    go_offline(config.offline)

    from promptlift.illustrating.illustrator import Illustrator
    from promptlift.steering.vectors import sampler_of

    illustrator = Illustrator.of(config, say)
    sampler_of(illustrator)  # refuses what takes no embeddings
    return illustrator


def drawn_by(illustrator: "Illustrator") -> dict[str, Any]:
    """What else decides an embedding that was learned by drawing."""
    return {"seed": illustrator.config.seed, "drawing": illustrator.settings()}


def check_one(prompt: str | None, embedding: Path | None) -> None:
    """Refuse a command that was given both, or neither.

    Raises:
        ConfigError: so it was.
    """
    if (prompt is None) == (embedding is None):
        raise ConfigError("give a prompt, or --embedding FILE")


def embedding_for(
    illustrator: "Illustrator", prompt: str | None = None, file: Path | None = None
) -> "Embedding":
    """The embedding of a file, or of a prompt.

    Raises:
        InputError: the file is no embedding, or one of other encoders; the prompt is empty.
    """
    from promptlift.illustrating.embedding import load_embedding
    from promptlift.prompts.reading import check_prompt
    from promptlift.steering.vectors import embedding_of, sampler_of

    if file is None:
        assert prompt is not None
        check_prompt(prompt, "the prompt")
        return embedding_of(illustrator, prompt)
    found, sampler = load_embedding(file), sampler_of(illustrator)
    found.check(sampler.probe(), len(sampler.encoders))
    return found
