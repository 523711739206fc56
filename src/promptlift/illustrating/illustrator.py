"""`Illustrator`: prompts in, pictures out, with the same noise for the same seed."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptlift.errors import ConfigError, InputError
from promptlift.illustrating.backend import OnProgress, PictureBackend, Report
from promptlift.illustrating.config import IllustrationConfig
from promptlift.illustrating.records import DrawnPair, DrawnPicture, Refusal, Request
from promptlift.prompts.reading import check_prompt
from promptlift.records import Improvement

if TYPE_CHECKING:
    from promptlift.illustrating.diffusion import DiffusersBackend


class Illustrator:
    """A picture model, ready to draw. `Illustrator.load` makes one.

    Attributes:
        backend: draws; diffusers, or a server.
        config: the settings.
    """

    def __init__(self, backend: PictureBackend, config: IllustrationConfig) -> None:
        self.backend, self.config = backend, config

    def __repr__(self) -> str:
        return f"Illustrator({self.config.model!r}, backend={self.config.backend!r})"

    @classmethod
    def load(
        cls,
        model: str | Path | None = None,
        *,
        report: Report = lambda line: None,
        **options: Any,
    ) -> "Illustrator":
        """Load a picture model, or ask a server for one.

        Args:
            model: a preset, a folder, a .safetensors file or a Hub name, "pocket" where None; of a
                server one of its models, or its own where None.
            report: called with the licence, downloads, and each reduction of the batch size.
            options: fields of `IllustrationConfig`.

        Raises:
            ConfigError: an option cannot be used.
            ModelError: weights are missing, damaged or of another kind; or the server does not
                answer, or has no such model.
            MissingExtraError: packages are missing.
        """
        name = None if model is None else str(model)
        return cls.of(IllustrationConfig.resolve(name, **options), report)

    @classmethod
    def of(cls, config: IllustrationConfig, report: Report = lambda line: None) -> "Illustrator":
        """What `load` gives, of settings."""
        if config.is_server:
            from promptlift.illustrating.servers.backend import open_server

            return cls(open_server(config, report), config)
        from promptlift.illustrating.diffusion import DiffusersBackend
        from promptlift.illustrating.pipeline import load_pipelines

        return cls(DiffusersBackend(load_pipelines(config, report), config, report), config)

    def with_seeds(self, first: int, count: int) -> "Illustrator":
        """The same with other seeds of the noise."""
        return Illustrator(self.backend, replace(self.config, seed=first, seeds=count))

    def draw(self, prompt: str, *, seed: int | None = None, **options: Any) -> DrawnPicture:
        """Draw one picture. `options` are the other fields of `Request`."""
        seed = self.config.seed if seed is None else seed
        return next(self.draw_all([Request(prompt=prompt, seed=seed, **options)]))

    def draw_all(self, requests: Iterable[Request]) -> Iterator[DrawnPicture]:
        """Draw any number of pictures in their order, in bounded memory.

        Raises:
            InputError: a prompt is empty or no text, or a server would not draw it.
            ModelError: there is not enough memory for one picture, or the server fails.
        """
        for outcome in self.outcomes(requests):
            if isinstance(outcome, Refusal):
                raise InputError(f"“{outcome.request.prompt[:60]}” is not drawn: {outcome.reason}")
            yield outcome

    def outcomes(self, requests: Iterable[Request]) -> Iterator[DrawnPicture | Refusal]:
        """As `draw_all`, with what a server would not draw among the pictures."""
        return self.backend.draw_all(map(self._completed, requests))

    def pairs(
        self, improvements: Iterable[Improvement], seeds: Sequence[int] | None = None
    ) -> Iterator[DrawnPair]:
        """Draw improvements beside their sources, both from the noise of each seed.

        Args:
            improvements: successive variants of a source share its picture.
            seeds: of the noise; those of the config where None.
        """
        if seeds is None:
            seeds = self.seeds
        for _, group in groupby(improvements, key=lambda item: (item.source, item.negative)):
            variants = list(group)
            for seed in seeds:
                prompts = [variants[0].source, *(item.prompt for item in variants)]
                negative = variants[0].negative
                original, *improved = self.draw_all(
                    Request(prompt=prompt, seed=seed, negative=negative) for prompt in prompts
                )
                for improvement, picture in zip(variants, improved, strict=True):
                    yield DrawnPair(improvement=improvement, original=original, improved=picture)

    @property
    def diffusers(self) -> "DiffusersBackend":
        """The backend with its pipelines.

        Raises:
            ConfigError: a server draws.
        """
        from promptlift.illustrating.diffusion import DiffusersBackend

        if not isinstance(self.backend, DiffusersBackend):
            raise ConfigError(f"this needs --backend diffusers; {self.backend.device} draws")
        return self.backend

    @property
    def seeds(self) -> range:
        """The config's seeds of the noise."""
        return range(self.config.seed, self.config.seed + self.config.seeds)

    def settings(self) -> dict[str, Any]:
        """All that decides a picture beside prompt, seed and model, as plain JSON types."""
        return self.backend.settings()

    def describe_model(
        self, cache: Path | None = None, report: Report = lambda line: None
    ) -> list[dict[str, str]]:
        """Name and SHA-256 of each part of the model; weights are read for it.

        Args:
            cache: JSON file that keeps hashes, so that files are read once.
            report: called with a line where that takes long.
        """
        return self.backend.describe_model(cache, report)

    def watch(self, on_progress: OnProgress | None) -> None:
        """Call something while pictures are drawn; see `PictureBackend.on_progress`."""
        self.backend.on_progress = on_progress

    def _completed(self, request: Request) -> Request:
        check_prompt(request.prompt, "the prompt")
        if not 0 <= request.seed < 2**63:
            raise InputError(f"seed is {request.seed} and must be 0 or more, below 2^63")
        if request.embedding is not None:
            self.diffusers  # noqa: B018  # refuses a server, which takes words alone
        negative = self.config.negative if request.negative is None else request.negative
        prompt_2 = self.config.prompt_2 if request.prompt_2 is None else request.prompt_2
        return replace(request, negative=negative, prompt_2=prompt_2)
