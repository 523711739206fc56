"""`Illustrator`: prompts in, pictures out, with the same noise for the same seed."""

import gc
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from inspect import signature
from itertools import groupby, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptlift.errors import ConfigError, InputError, ModelError
from promptlift.illustrating.config import IllustrationConfig
from promptlift.illustrating.device import is_out_of_memory
from promptlift.illustrating.encoding import Encoded, PromptEncoder
from promptlift.illustrating.pictures import Picture, PicturePair, Request
from promptlift.illustrating.pipeline import Pipelines, Report, load_pipelines
from promptlift.prompts.reading import check_prompt
from promptlift.records import Improvement

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image

# Room that a picture takes beside the weights, a pixel, in fp16 with guidance: a first guess, which
# is halved when memory runs out.
_BYTES_A_PIXEL = 5_000
_MOST_TOGETHER = 16


class Illustrator:
    """A picture model, loaded. `Illustrator.load` makes one.

    Noise comes from a `torch.Generator` on the CPU for each picture, in float32, so a seed means
    the same noise on every device, in every precision and in any batch.
    """

    def __init__(
        self, pipelines: Pipelines, config: IllustrationConfig, report: Report = lambda line: None
    ) -> None:
        self.pipelines, self.config, self._report = pipelines, config, report
        # Called after each denoising step; what it raises ends the drawing.
        self.on_step: Callable[[], None] | None = None
        base = pipelines.base
        self.width, self.height = config.width or _own_size(base), config.height or _own_size(base)
        own = signature(base.__call__).parameters.get("guidance_scale")
        given = config.guidance_scale
        self.guidance_scale = float(given if given is not None else own.default if own else 1.0)
        if config.prompt_2 is not None and not hasattr(base, "text_encoder_2"):
            raise ConfigError(f"{config.model} has no second text encoder to read prompt_2")
        chunked = config.long_prompts == "chunk"
        if chunked and not pipelines.is_clip:
            raise ConfigError(
                f"{type(base).__name__} reads prompts in its own way; "
                "long_prompts chunk is for SDXL and Stable Diffusion"
            )
        self._encoders = [
            PromptEncoder(pipeline, chunked=chunked)
            for pipeline in filter(None, (base, pipelines.refiner))
        ]
        if pipelines.refiner is not None:
            self._check_hand_over()
        self.batch_size = config.batch_size or self._guess_batch_size()

    @classmethod
    def load(
        cls, model: str | Path = "pocket", *, report: Report = lambda line: None, **options: Any
    ) -> "Illustrator":
        """Load a picture model.

        Args:
            model: a preset, a folder, a .safetensors file or a Hub name.
            report: is told the licence, what is downloaded, and when a batch is made smaller.
            options: fields of `IllustrationConfig`.

        Raises:
            ConfigError: an option cannot be used.
            ModelError: weights are missing, damaged or of another kind.
            MissingExtraError: diffusers is not installed.
        """
        config = IllustrationConfig.resolve(str(model), **options)
        return cls(load_pipelines(config, report), config, report)

    def draw(self, prompt: str, *, seed: int | None = None, **options: Any) -> Picture:
        """Draw one picture. `options` are the other fields of `Request`."""
        seed = self.config.seed if seed is None else seed
        return next(self.draw_all([Request(prompt=prompt, seed=seed, **options)]))

    def draw_all(self, requests: Iterable[Request]) -> Iterator[Picture]:
        """Draw any number of pictures in their order, in bounded memory, a batch at a time.

        When memory runs out the batch is halved, and stays so.

        Raises:
            InputError: a prompt is empty or no text.
            ModelError: memory does not even do for one picture.
        """
        iterator = iter(requests)
        waiting: list[Request] = []
        while True:
            waiting += islice(iterator, max(0, self.batch_size - len(waiting)))
            if not waiting:
                return
            batch = [self._completed(request) for request in waiting[: self.batch_size]]
            drawn = self._try(batch)
            if drawn is None:
                self._halve()
                continue
            del waiting[: len(batch)]
            yield from drawn

    def pairs(
        self, improvements: Iterable[Improvement], seeds: Sequence[int] | None = None
    ) -> Iterator[PicturePair]:
        """Draw improvements beside their sources, both from the noise of each seed.

        Args:
            improvements: variants of a source, one behind the other, share its picture.
            seeds: of the noise; those of the config where None.
        """
        if seeds is None:
            seeds = range(self.config.seed, self.config.seed + self.config.seeds)
        for _, group in groupby(improvements, key=lambda item: (item.source, item.negative)):
            variants = list(group)
            for seed in seeds:
                prompts = [variants[0].source, *(item.prompt for item in variants)]
                negative = variants[0].negative
                original, *improved = self.draw_all(
                    Request(prompt=prompt, seed=seed, negative=negative) for prompt in prompts
                )
                for improvement, picture in zip(variants, improved, strict=True):
                    yield PicturePair(improvement=improvement, original=original, improved=picture)

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

    def noise(self, seed: int) -> "tuple[torch.Tensor, torch.Generator]":
        """The noise of a seed, float32 [1, channels, height / 8, width / 8], and its generator.

        The generator goes on: schedulers that add noise at each step draw it from there.
        """
        import torch

        base = self.pipelines.base
        generator = torch.Generator("cpu").manual_seed(seed)
        scale = base.vae_scale_factor
        shape = (1, base.unet.config.in_channels, self.height // scale, self.width // scale)
        return torch.randn(shape, generator=generator), generator

    def _completed(self, request: Request) -> Request:
        check_prompt(request.prompt, "the prompt")
        if not 0 <= request.seed < 2**63:
            raise InputError(f"seed is {request.seed} and must be 0 or more, below 2^63")
        negative = self.config.negative if request.negative is None else request.negative
        prompt_2 = self.config.prompt_2 if request.prompt_2 is None else request.prompt_2
        return Request(
            prompt=request.prompt, seed=request.seed, negative=negative, prompt_2=prompt_2
        )

    def _try(self, batch: list[Request]) -> list[Picture] | None:
        """The pictures of a batch, or None where memory ran out."""
        import torch

        started = time.perf_counter()
        try:
            with torch.no_grad():
                images, encoded, notes = self._draw(batch)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            return None
        seconds = (time.perf_counter() - started) / len(batch)
        return [
            Picture(
                image=image,
                request=request,
                seconds=seconds,
                cut=read.cut if read else "",
                cut_tokens=read.cut_tokens if read else None,
                notes=(*_not_applied(read), *self._without_effect(request), *noted),
            )
            for image, request, read, noted in zip(images, batch, encoded, notes, strict=True)
        ]

    def _without_effect(self, request: Request) -> tuple[str, ...]:
        if not request.negative or self.guidance_scale > 1:
            return ()
        return (f"the negative prompt has no effect with guidance_scale {self.guidance_scale:g}",)

    def _draw(
        self, batch: list[Request]
    ) -> tuple[list["Image"], list[Encoded | None], list[tuple[str, ...]]]:
        if not self.pipelines.is_clip:
            return self._draw_other(batch)
        encoded = [self._encoders[0].encode(item.prompt, item.prompt_2) for item in batch]
        chunks = [self._chunks(request) for request in batch]
        images: list[Any] = [None] * len(batch)
        notes: list[tuple[str, ...]] = [()] * len(batch)
        # Padding to the longest of a batch would make a picture depend on its neighbours.
        for count in sorted(set(chunks)):
            places = [place for place, needed in enumerate(chunks) if needed == count]
            output = self._run([batch[place] for place in places], count)
            flagged = getattr(output, "nsfw_content_detected", None) or [False] * len(places)
            for place, image, blackened in zip(places, output.images, flagged, strict=True):
                images[place] = image
                if blackened:
                    notes[place] = ("blackened by the pipeline's own safety checker",)
        return images, list(encoded), notes

    def _run(self, batch: list[Request], chunks: int) -> Any:
        """Base and refiner, for prompts of as many chunks."""
        import torch

        noise, generators = zip(*(self.noise(request.seed) for request in batch), strict=True)
        base, refiner = self.pipelines.base, self.pipelines.refiner
        shared: dict[str, Any] = {
            "num_inference_steps": self.config.num_inference_steps,
            "guidance_scale": self.guidance_scale,
            "generator": list(generators),
            "callback_on_step_end": self._after_step,
        }
        latents = torch.cat(noise).to(getattr(torch, self.pipelines.dtype))
        size = {"width": self.width, "height": self.height}
        prompts = self._prompts(base, self._encoders[0], batch, chunks)
        if refiner is None:
            return base(**prompts, latents=latents, **size, **shared)
        share = self.config.denoising_end
        halfway = base(
            **prompts, latents=latents, **size, **shared, denoising_end=share, output_type="latent"
        ).images
        prompts = self._prompts(refiner, self._encoders[1], batch, chunks)
        # As `image` they are taken for latents only where they have four channels; beside `latents`
        # it goes unused.
        image = halfway[:, :4]
        return refiner(**prompts, image=image, latents=halfway, **shared, denoising_start=share)

    def _prompts(
        self, pipeline: Any, encoder: PromptEncoder, batch: list[Request], chunks: int
    ) -> dict[str, Any]:
        """The arguments that bring the prompts to a pipeline, each [batch, ...]."""
        import torch

        encoded = [encoder.encode(item.prompt, item.prompt_2) for item in batch]
        pooled = [item.pooled for item in encoded if item.pooled is not None]
        found = {"prompt_embeds": torch.cat([encoder.padded(item, chunks) for item in encoded])}
        if pooled:
            found["pooled_prompt_embeds"] = torch.cat(pooled)
        if self.guidance_scale <= 1:
            return found
        negatives = [encoder.encode(item.negative or "") for item in batch]
        rows = [encoder.padded(item, chunks) for item in negatives]
        pooled = [item.pooled for item in negatives if item.pooled is not None]
        # As diffusers has it: SDXL's base was trained with zeros where nothing is said.
        if pooled and pipeline.config.force_zeros_for_empty_prompt:
            for place, request in enumerate(batch):
                if request.negative is None:
                    rows[place] = torch.zeros_like(rows[place])
                    pooled[place] = torch.zeros_like(pooled[place])
        found["negative_prompt_embeds"] = torch.cat(rows)
        if pooled:
            found["negative_pooled_prompt_embeds"] = torch.cat(pooled)
        return found

    def _chunks(self, request: Request) -> int:
        """The chunks that a request's prompts fill, the same in base and refiner."""
        return max(
            len(encoder.encode(*texts).embeds)
            for encoder in self._encoders
            for texts in ((request.prompt, request.prompt_2), (request.negative or "", None))
        )

    def _draw_other(
        self, batch: list[Request]
    ) -> tuple[list["Image"], list[Encoded | None], list[tuple[str, ...]]]:
        """With any other pipeline, which encodes prompts and draws noise in its own way.

        Requests with and without a negative prompt, or `prompt_2`, are drawn apart: what one has
        must not become an empty text of its neighbours.
        """
        images: list[Any] = [None] * len(batch)
        given = [(item.negative is None, item.prompt_2 is None) for item in batch]
        for kind in sorted(set(given)):
            places = [place for place, found in enumerate(given) if found == kind]
            drawn = self._run_other([batch[place] for place in places])
            for place, image in zip(places, drawn, strict=True):
                images[place] = image
        return images, [None] * len(batch), [()] * len(batch)

    def _run_other(self, batch: list[Request]) -> list["Image"]:
        """Draw requests that all have, or all lack, a negative prompt and `prompt_2`."""
        import torch

        base = self.pipelines.base
        takes = signature(base.__call__).parameters
        given: dict[str, Any] = {
            "prompt": [request.prompt for request in batch],
            "generator": [torch.Generator("cpu").manual_seed(item.seed) for item in batch],
            "num_inference_steps": self.config.num_inference_steps,
            "guidance_scale": self.guidance_scale,
            "width": self.width,
            "height": self.height,
            "callback_on_step_end": self._after_step,
        }
        for name, texts in (
            ("negative_prompt", [request.negative for request in batch]),
            ("prompt_2", [request.prompt_2 for request in batch]),
        ):
            if texts[0] is not None:
                if name not in takes:
                    raise ConfigError(f"{type(base).__name__} takes no {name}")
                given[name] = texts
        images = base(**{name: value for name, value in given.items() if name in takes}).images
        return list(images)

    def _after_step(
        self, pipeline: Any, step: int, timestep: Any, tensors: dict[str, Any]
    ) -> dict[str, Any]:
        if self.on_step is not None:
            self.on_step()
        return tensors

    def _halve(self) -> None:
        import torch

        # Pipelines decode in float32 where fp16 overflows, and turn back only when that is done.
        for pipeline in filter(None, (self.pipelines.base, self.pipelines.refiner)):
            if isinstance(vae := getattr(pipeline, "vae", None), torch.nn.Module):
                vae.to(getattr(torch, self.pipelines.dtype))
        gc.collect()
        if self.pipelines.device.startswith("cuda"):
            torch.cuda.empty_cache()
        elif self.pipelines.device == "mps":
            torch.mps.empty_cache()
        if self.batch_size == 1:
            raise ModelError(
                f"memory of {self.pipelines.device} does not do for one picture of "
                f"{self.width}x{self.height}; try a smaller --width and --height, --vae-tiling, "
                "or --offload model"
            )
        self.batch_size //= 2
        self._report(f"out of memory; going on with {self.batch_size} pictures at a time")

    def _guess_batch_size(self) -> int:
        # Measured on a CPU: rounding differs with the batch, and a batch is hardly faster there.
        if not self.pipelines.device.startswith("cuda"):
            return 1
        import torch

        free, _ = torch.cuda.mem_get_info(self.pipelines.device)
        each = self.width * self.height * _BYTES_A_PIXEL
        return max(1, min(_MOST_TOGETHER, int(free) // each))

    def _check_hand_over(self) -> None:
        """Refuse a schedule of which base or refiner would get no step."""
        steps, share = self.config.num_inference_steps, self.config.denoising_end
        for pipeline, is_base in ((self.pipelines.base, True), (self.pipelines.refiner, False)):
            scheduler = pipeline.scheduler
            scheduler.set_timesteps(steps)
            total = scheduler.config.num_train_timesteps
            cutoff = round(total - share * total)
            if not any((step >= cutoff) == is_base for step in scheduler.timesteps.tolist()):
                raise ConfigError(
                    f"with {steps} steps and a hand-over at {share}, "
                    f"{'the base' if is_base else 'the refiner'} gets none; take more steps"
                )


def _own_size(base: Any) -> int:
    """Pixels of a side, as the model was trained."""
    size = getattr(base, "default_sample_size", None)
    if size is None:
        size = getattr(base, "unet" if hasattr(base, "unet") else "transformer").config.sample_size
    return int(size * base.vae_scale_factor)


def _not_applied(encoded: Encoded | None) -> tuple[str, ...]:
    if encoded is None or not encoded.not_applied:
        return ()
    return ("not applied: " + ", ".join(encoded.not_applied),)
