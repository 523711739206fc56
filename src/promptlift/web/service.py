"""What all routes share."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from promptlift.illustrating.config import IllustrationConfig
from promptlift.improving.improver import Improver
from promptlift.web.batcher import Batcher
from promptlift.web.config import ServeConfig
from promptlift.web.picture_jobs import PictureJobs

if TYPE_CHECKING:
    from promptlift.illustrating.illustrator import Illustrator


@dataclass(frozen=True)
class Service:
    """The parts of a running server.

    Attributes:
        config: what it allows.
        batcher: improves prompts, those of several requests together.
        pictures: draws.
    """

    config: ServeConfig
    batcher: Batcher
    pictures: PictureJobs

    @classmethod
    def load(
        cls,
        config: ServeConfig,
        *,
        model: str | None = None,
        threads: int | None = None,
        image_model: str | None = None,
        drawing: dict[str, Any] | None = None,
    ) -> "Service":
        """Load the improver; the image model is loaded when it is first needed.

        Args:
            config: what the server allows.
            model: as in `Improver.load`.
            threads: as in `Improver.load`.
            image_model: as in `Illustrator.load`; None where the server does not draw.
            drawing: fields of `IllustrationConfig`.

        Raises:
            ModelError: the improver cannot be loaded.
            ConfigError: an option cannot be used.
        """
        if image_model is not None:
            IllustrationConfig.resolve(image_model, **(drawing or {}))

        def illustrator() -> "Illustrator":
            from promptlift.illustrating.illustrator import Illustrator

            assert image_model is not None
            return Illustrator.load(image_model, **(drawing or {}))

        improver = Improver.load(model, threads=threads)
        # Word lists are read with the first prompt: no caller shall wait for that.
        improver.improve("a cat", mode=next(iter(improver.card.modes)), max_new_tokens=1)
        return cls(
            config,
            Batcher(
                improver,
                batch_size=config.batch_size,
                wait_s=config.wait_ms / 1000,
                max_queue=config.max_queue,
            ),
            PictureJobs(image_model, illustrator, max_jobs=config.max_jobs),
        )

    def improver_names(self) -> tuple[str, str]:
        """Names that a request may call the improver by: with and without its hash."""
        improver = self.batcher.improver
        return improver.card.name, improver.model_id
