"""What all routes share."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from promptlift.improving.improver import Improver
from promptlift.improving.model import LoadedModel
from promptlift.web.batcher import Batcher
from promptlift.web.config import ServeConfig
from promptlift.web.picture_jobs import PictureJobs
from promptlift.web.writers import Writers


@dataclass(frozen=True)
class Service:
    """The parts of a running server.

    Attributes:
        config: what it allows.
        writers: the models that improve prompts.
        pictures: draws.
    """

    config: ServeConfig
    writers: Writers
    pictures: PictureJobs

    @property
    def batcher(self) -> Batcher:
        """Improves prompts where a request names no model, those of several requests together."""
        return self.writers.first

    @classmethod
    def load(
        cls,
        config: ServeConfig,
        *,
        model: str | None = None,
        threads: int | None = None,
        llm: Mapping[str, Any] | None = None,
        image_model: str | None = None,
        drawing: dict[str, Any] | None = None,
        others: bool = False,
    ) -> "Service":
        """Load the improver; the image model is loaded when it is first needed.

        Args:
            config: what the server allows.
            model: as in `Improver.load`.
            threads, llm: as in `Improver.load`.
            image_model: as in `Illustrator.load`; None where the server does not draw.
            drawing: fields of `IllustrationConfig`.
            others: as in `Writers`.

        Raises:
            ModelError: the improver cannot be loaded.
            ConfigError: an option cannot be used.
        """
        pictures = PictureJobs(image_model, drawing or {}, max_jobs=config.max_jobs)
        improver = Improver.load(model, threads=threads, **(llm or {}))
        if isinstance(improver.model, LoadedModel):
            # Word lists are read with the first prompt: no caller should wait for that.
            improver.improve("a cat", max_new_tokens=1)
        make = partial(
            Batcher,
            batch_size=config.batch_size,
            wait_s=config.wait_ms / 1000,
            max_queue=config.max_queue,
        )
        return cls(config, Writers(improver, make, others=others, threads=threads), pictures)
