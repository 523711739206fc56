"""`Illustrator`: prompts in, pictures out, with the same noise for the same seed."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from inspect import signature
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from promptlift.devices import is_out_of_memory
from promptlift.errors import InputError, ModelError
from promptlift.illustrating.config import IllustrationConfig
from promptlift.illustrating.memory import free_memory, guess_batch_size
from promptlift.illustrating.pipeline import Pipelines, Report, load_pipelines
from promptlift.illustrating.records import DrawnPair, DrawnPicture, Request
from promptlift.illustrating.sampling import make_sampler
from promptlift.prompts.reading import check_prompt
from promptlift.records import Improvement


class Illustrator:
    """A picture model, loaded. `Illustrator.load` makes one.

    Noise comes from a `torch.Generator` on the CPU for each picture, in float32, so a seed means
    the same noise on every device, in every precision and in any batch.

    Attributes:
        pipelines: base and refiner.
        config: the settings.
        width, height: of pictures, in pixels.
        guidance_scale: the config's, otherwise the pipeline's own.
        batch_size: pictures drawn together; halved when memory runs out.
        on_step: called after each denoising step; what it raises ends the drawing.
    """

    def __init__(
        self, pipelines: Pipelines, config: IllustrationConfig, report: Report = lambda line: None
    ) -> None:
        self.pipelines, self.config, self._report = pipelines, config, report
        self.on_step: Callable[[], None] | None = None
        base = pipelines.base
        self.width, self.height = config.width or _own_size(base), config.height or _own_size(base)
        own = signature(base.__call__).parameters.get("guidance_scale")
        given = config.guidance_scale
        self.guidance_scale = float(given if given is not None else own.default if own else 1.0)
        self._sampler = make_sampler(
            pipelines,
            config,
            {
                "num_inference_steps": config.num_inference_steps,
                "guidance_scale": self.guidance_scale,
                "width": self.width,
                "height": self.height,
                "callback_on_step_end": self._after_step,
            },
        )
        self.batch_size = config.batch_size or guess_batch_size(
            pipelines.device, width=self.width, height=self.height
        )

    @classmethod
    def load(
        cls, model: str | Path = "pocket", *, report: Report = lambda line: None, **options: Any
    ) -> "Illustrator":
        """Load a picture model.

        Args:
            model: a preset, a folder, a .safetensors file or a Hub name.
            report: called with the licence, downloads, and each reduction of the batch size.
            options: fields of `IllustrationConfig`.

        Raises:
            ConfigError: an option cannot be used.
            ModelError: weights are missing, damaged or of another kind.
            MissingExtraError: diffusers is not installed.
        """
        config = IllustrationConfig.resolve(str(model), **options)
        return cls(load_pipelines(config, report), config, report)

    def draw(self, prompt: str, *, seed: int | None = None, **options: Any) -> DrawnPicture:
        """Draw one picture. `options` are the other fields of `Request`."""
        seed = self.config.seed if seed is None else seed
        return next(self.draw_all([Request(prompt=prompt, seed=seed, **options)]))

    def draw_all(self, requests: Iterable[Request]) -> Iterator[DrawnPicture]:
        """Draw any number of pictures in their order, in bounded memory, a batch at a time.

        When memory runs out the batch is halved, and stays so.

        Raises:
            InputError: a prompt is empty or no text.
            ModelError: there is not enough memory for one picture.
        """
        iterator = iter(requests)
        waiting: list[Request] = []
        while True:
            waiting += islice(iterator, max(0, self.batch_size - len(waiting)))
            if not waiting:
                return
            batch = [self._completed(request) for request in waiting[: self.batch_size]]
            try:
                drawn = self._draw(batch)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                drawn = None
            # The error holds the tensors of the batch, so memory is freed once it is gone.
            if drawn is None:
                self._halve()
                continue
            del waiting[: len(batch)]
            yield from drawn

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
    def seeds(self) -> range:
        """The config's seeds of the noise."""
        return range(self.config.seed, self.config.seed + self.config.seeds)

    def settings(self) -> dict[str, Any]:
        """All that decides a picture beside prompt, seed and model, as plain JSON types."""
        base = self.pipelines.base
        refined = self.pipelines.refiner is not None
        return {
            "pipeline": type(base).__name__,
            "scheduler": type(base.scheduler).__name__,
            "num_inference_steps": self.config.num_inference_steps,
            "denoising_end": self.config.denoising_end if refined else None,
            "guidance_scale": self.guidance_scale,
            "width": self.width,
            "height": self.height,
            "long_prompts": self.config.long_prompts,
            "prompt_2": self.config.prompt_2,
            "negative": self.config.negative,
            "dtype": self.pipelines.dtype,
            "vae_tiling": self.config.vae_tiling,
        }

    def describe_model(self, cache: Path | None = None) -> list[dict[str, str]]:
        """Name and SHA-256 of base and refiner; the weights are read for it.

        Args:
            cache: JSON file that keeps hashes, so that files are read once.
        """
        return [origin.describe(cache, self._report) for origin in self.pipelines.origins]

    def _completed(self, request: Request) -> Request:
        check_prompt(request.prompt, "the prompt")
        if not 0 <= request.seed < 2**63:
            raise InputError(f"seed is {request.seed} and must be 0 or more, below 2^63")
        negative = self.config.negative if request.negative is None else request.negative
        prompt_2 = self.config.prompt_2 if request.prompt_2 is None else request.prompt_2
        return replace(request, negative=negative, prompt_2=prompt_2)

    def _draw(self, batch: Sequence[Request]) -> list[DrawnPicture]:
        """The pictures of a batch, a call for each group of requests that can share one."""
        import torch

        started = time.perf_counter()
        images: list[Any] = [None] * len(batch)
        flagged = [False] * len(batch)
        with torch.no_grad():
            groups = [self._sampler.group_of(request) for request in batch]
            for group in sorted(set(groups)):
                places = [place for place, found in enumerate(groups) if found == group]
                output = self._sampler.sample([batch[place] for place in places])
                blackened = getattr(output, "nsfw_content_detected", None) or [False] * len(places)
                for place, image, is_black in zip(places, output.images, blackened, strict=True):
                    images[place], flagged[place] = image, is_black
        seconds = (time.perf_counter() - started) / len(batch)
        return [
            self._picture(request, image, seconds, is_black)
            for request, image, is_black in zip(batch, images, flagged, strict=True)
        ]

    def _picture(
        self, request: Request, image: Any, seconds: float, blackened: bool
    ) -> DrawnPicture:
        read = self._sampler.read(request)
        notes = []
        if read is not None and read.not_applied:
            notes.append("not applied: " + ", ".join(read.not_applied))
        if request.negative and self.guidance_scale <= 1:
            notes.append(
                f"the negative prompt has no effect with guidance_scale {self.guidance_scale:g}"
            )
        if blackened:
            notes.append("blackened by the pipeline's own safety checker")
        return DrawnPicture(
            image=image,
            request=request,
            seconds=seconds,
            cut=read.cut if read else "",
            cut_tokens=read.cut_tokens if read else None,
            notes=tuple(notes),
        )

    def _after_step(
        self, pipeline: Any, step: int, timestep: Any, tensors: dict[str, Any]
    ) -> dict[str, Any]:
        if self.on_step is not None:
            self.on_step()
        return tensors

    def _halve(self) -> None:
        free_memory(self.pipelines)
        if self.batch_size == 1:
            raise ModelError(
                f"the memory of {self.pipelines.device} is too small for one picture of "
                f"{self.width}x{self.height}; try a smaller --width and --height, --vae-tiling, "
                "or --offload model"
            )
        self.batch_size //= 2
        self._report(f"out of memory; going on with {self.batch_size} pictures at a time")


def _own_size(base: Any) -> int:
    """Pixels of a side, as the model was trained."""
    size = getattr(base, "default_sample_size", None)
    if size is None:
        size = getattr(base, "unet" if hasattr(base, "unet") else "transformer").config.sample_size
    return int(size * base.vae_scale_factor)
