"""Drawing with diffusers: pictures by batches, each from noise of its own seed."""

import time
from collections.abc import Iterable, Iterator, Sequence
from inspect import signature
from itertools import islice
from pathlib import Path
from typing import Any

from promptlift.devices import is_out_of_memory
from promptlift.errors import ModelError
from promptlift.illustrating.backend import OnProgress, Report
from promptlift.illustrating.config import IllustrationConfig
from promptlift.illustrating.memory import free_memory, guess_batch_size
from promptlift.illustrating.pipeline import Pipelines
from promptlift.illustrating.records import DrawnPicture, Request
from promptlift.illustrating.sampling import make_sampler


class DiffusersBackend:
    """A diffusers pipeline as a `PictureBackend`.

    Noise comes from a `torch.Generator` on the CPU for each picture, in float32, so a seed means
    the same noise on every device, in every precision and in any batch.

    Attributes:
        pipelines: base and refiner.
        config: the settings.
        width, height: of pictures, in pixels.
        guidance_scale: the config's, otherwise the pipeline's own.
        sampler: brings prompts to the pipelines.
        batch_size: pictures drawn together; halved when memory runs out.
        on_progress: called after each denoising step; what it raises ends the drawing.
    """

    def __init__(
        self, pipelines: Pipelines, config: IllustrationConfig, report: Report = lambda line: None
    ) -> None:
        self.pipelines, self.config, self._report = pipelines, config, report
        self.name, self.device = pipelines.origins[0].name, pipelines.device
        self.holds_seeds: bool | None = True
        self.on_progress: OnProgress | None = None
        self._steps = 0  # of the pictures in hand
        base = pipelines.base
        self.width, self.height = config.width or _own_size(base), config.height or _own_size(base)
        own = signature(base.__call__).parameters.get("guidance_scale")
        given = config.guidance_scale
        self.guidance_scale = float(given if given is not None else own.default if own else 1.0)
        self.sampler = make_sampler(
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

    def draw_all(self, requests: Iterable[Request]) -> Iterator[DrawnPicture]:
        """Draw pictures a batch at a time. When memory runs out it is halved, and stays so.

        Raises:
            ModelError: there is not enough memory for one picture.
        """
        iterator = iter(requests)
        waiting: list[Request] = []
        while True:
            waiting += islice(iterator, max(0, self.batch_size - len(waiting)))
            if not waiting:
                return
            batch = waiting[: self.batch_size]
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

    def describe_model(self, cache: Path | None, report: Report) -> list[dict[str, str]]:
        """Name and SHA-256 of base and refiner; the weights are read for it."""
        return [origin.describe(cache, report) for origin in self.pipelines.origins]

    def draw_anew(self, request: Request) -> DrawnPicture:
        """The same picture: nothing is kept."""
        return next(self.draw_all([request]))

    def _draw(self, batch: Sequence[Request]) -> list[DrawnPicture]:
        """The pictures of a batch, a call for each group of requests that can share one."""
        import torch

        started = time.perf_counter()
        images: list[Any] = [None] * len(batch)
        flagged = [False] * len(batch)
        with torch.no_grad():
            groups = [self.sampler.group_of(request) for request in batch]
            for group in sorted(set(groups)):
                places = [place for place, found in enumerate(groups) if found == group]
                self._steps = 0
                output = self.sampler.sample([batch[place] for place in places])
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
        read = self.sampler.read(request)
        notes = []
        if read is not None and read.not_applied:
            notes.append("not applied: " + ", ".join(read.not_applied))
        if request.negative and self.guidance_scale <= 1:
            notes.append(
                f"the negative prompt has no effect with guidance_scale {self.guidance_scale:g}"
            )
        if request.negative and request.embedding and request.embedding.unwanted:
            notes.append("the embedding has its own in the place of the negative prompt")
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
        self._steps += 1
        if self.on_progress is not None:
            assert self.config.num_inference_steps is not None
            self.on_progress(min(1.0, self._steps / self.config.num_inference_steps))
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
