"""Calls of a pipeline for a batch of requests: prompts, noise, base and refiner.

Samplers differ by what reads the prompts: `ClipSampler` encodes them here, `OtherSampler` leaves
them to the pipeline. Both draw requests of one `group_of` in one call, and `read` what was read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from inspect import signature
from typing import TYPE_CHECKING, Any

from promptlift.errors import ConfigError
from promptlift.illustrating.config import IllustrationConfig
from promptlift.illustrating.encoding import Encoded, PromptEncoder
from promptlift.illustrating.pipeline import Pipelines
from promptlift.illustrating.records import Request

if TYPE_CHECKING:
    import torch

_SIZE = ("width", "height")


def make_sampler(
    pipelines: Pipelines, config: IllustrationConfig, call: Mapping[str, Any]
) -> "ClipSampler | OtherSampler":
    """The sampler of a base and its refiner.

    Args:
        pipelines: base and refiner.
        config: the settings.
        call: arguments that every call has: steps, guidance scale, width, height and callback.

    Raises:
        ConfigError: the pipelines cannot do what is asked for.
    """
    base = pipelines.base
    if config.prompt_2 is not None and not hasattr(base, "text_encoder_2"):
        raise ConfigError(f"{config.model} has no second text encoder to read prompt_2")
    if pipelines.is_clip:
        return ClipSampler(pipelines, config, call)
    if config.long_prompts == "chunk":
        raise ConfigError(
            f"{type(base).__name__} reads prompts in its own way; "
            "long_prompts chunk is for SDXL and Stable Diffusion"
        )
    return OtherSampler(base, call)


class ClipSampler:
    """Draws with SDXL and Stable Diffusion, whose prompts are encoded by `PromptEncoder`."""

    def __init__(
        self, pipelines: Pipelines, config: IllustrationConfig, call: Mapping[str, Any]
    ) -> None:
        self._base, self._refiner = pipelines.base, pipelines.refiner
        self._dtype, self._call, self._share = pipelines.dtype, call, config.denoising_end
        chunked = config.long_prompts == "chunk"
        self.encoders = [PromptEncoder(one, chunked=chunked) for one in pipelines.loaded]
        if pipelines.refiner is not None:
            _check_hand_over(pipelines, config)

    def group_of(self, request: Request) -> int:
        """The chunks that the prompts of a request fill, the same in base and refiner.

        Padding to the longest of a batch would make a picture depend on its neighbours.
        """
        return max(
            len(find(place, request).embeds)
            for place in range(len(self.encoders))
            for find in (self.wanted, self.unwanted)
        )

    def read(self, request: Request) -> Encoded:
        """What the base's encoders read of a prompt."""
        return self.wanted(0, request)

    def wanted(self, place: int, request: Request) -> Encoded:
        """What the base, place 0, or the refiner, 1, is led to.

        Raises:
            InputError: the request has an embedding of another model.
        """
        if request.embedding is None:
            return self.encoders[place].encode(request.prompt, request.prompt_2)
        request.embedding.check(self.probe(), len(self.encoders))
        return self._here(request.embedding.wanted[place])

    def unwanted(self, place: int, request: Request) -> Encoded:
        """What guidance leads away from."""
        if request.embedding is not None and request.embedding.unwanted:
            return self._here(request.embedding.unwanted[place])
        return self.encoders[place].encode(request.negative or "")

    def probe(self) -> "torch.Tensor":
        """What tells the base's encoders from others, float [width]; see `embedding`."""
        return self.encoders[0].encode("").embeds[0, -1]

    def sample(self, batch: Sequence[Request]) -> Any:
        """Base and refiner, for prompts of as many chunks."""
        import torch

        noise, generators = zip(
            *(noise_of(self._base, request.seed, self._call) for request in batch), strict=True
        )
        latents = torch.cat(noise).to(getattr(torch, self._dtype))
        given = {**self._call, "generator": list(generators)}
        prompts = self.arguments(0, batch)
        if self._refiner is None:
            return self._base(**prompts, latents=latents, **given)
        halfway = self._base(
            **prompts, latents=latents, **given, denoising_end=self._share, output_type="latent"
        ).images
        prompts = self.arguments(1, batch)
        given = {name: value for name, value in given.items() if name not in _SIZE}
        # Only an `image` of four channels is taken for latents; beside `latents` it goes unused.
        return self._refiner(
            **prompts, image=halfway[:, :4], latents=halfway, **given, denoising_start=self._share
        )

    def arguments(self, place: int, batch: Sequence[Request]) -> "dict[str, torch.Tensor]":
        """What brings prompts to the base, place 0, or the refiner, 1, each [batch, ...]."""
        import torch

        encoder, chunks = self.encoders[place], self.group_of(batch[0])
        encoded = [self.wanted(place, request) for request in batch]
        found = _arguments("", encoded, [encoder.padded(item, chunks) for item in encoded])
        if self._call["guidance_scale"] > 1:
            encoded = [self.unwanted(place, request) for request in batch]
            rows = [encoder.padded(item, chunks) for item in encoded]
            found |= _arguments("negative_", encoded, rows)
            # As in diffusers: SDXL's base was trained with zeros in place of an empty prompt.
            pipeline = self._base if place == 0 else self._refiner
            if encoded[0].pooled is not None and pipeline.config.force_zeros_for_empty_prompt:
                unsaid = torch.tensor([_says_nothing(request) for request in batch])
                for name in ("negative_prompt_embeds", "negative_pooled_prompt_embeds"):
                    found[name][unsaid.to(found[name].device)] = 0
        return found

    def _here(self, encoded: Encoded) -> Encoded:
        """Vectors of a file, in the precision and on the device of the encoders."""
        like = self.encoders[0].encode("").embeds
        pooled = None if encoded.pooled is None else encoded.pooled.to(like)
        return replace(encoded, embeds=encoded.embeds.to(like), pooled=pooled)


class OtherSampler:
    """Draws with any other pipeline, which encodes prompts and draws noise in its own way."""

    def __init__(self, base: Any, call: Mapping[str, Any]) -> None:
        self._base, self._call = base, call
        self._takes = signature(base.__call__).parameters

    def group_of(self, request: Request) -> tuple[bool, bool]:
        """Whether a negative prompt and `prompt_2` are missing.

        What one request has must not become an empty text of its neighbours.

        Raises:
            ConfigError: the request has an embedding.
        """
        if request.embedding is not None:
            raise ConfigError(
                f"{type(self._base).__name__} reads prompts in its own way; embeddings are for "
                "SDXL and Stable Diffusion"
            )
        return request.negative is None, request.prompt_2 is None

    def read(self, request: Request) -> None:
        """Nothing is known."""

    def sample(self, batch: Sequence[Request]) -> Any:
        """Draw requests that all have, or all lack, a negative prompt and `prompt_2`."""
        import torch

        given: dict[str, Any] = {
            **self._call,
            "prompt": [request.prompt for request in batch],
            "generator": [torch.Generator("cpu").manual_seed(item.seed) for item in batch],
        }
        for name, texts in (
            ("negative_prompt", [request.negative for request in batch]),
            ("prompt_2", [request.prompt_2 for request in batch]),
        ):
            if texts[0] is not None:
                if name not in self._takes:
                    raise ConfigError(f"{type(self._base).__name__} takes no {name}")
                given[name] = texts
        return self._base(**{name: value for name, value in given.items() if name in self._takes})


def noise_of(
    base: Any, seed: int, size: Mapping[str, int]
) -> "tuple[torch.Tensor, torch.Generator]":
    """The noise of a seed, float32 [1, channels, height / 8, width / 8], and its generator.

    The generator goes on: schedulers that add noise at each step draw it from there.
    """
    import torch

    generator = torch.Generator("cpu").manual_seed(seed)
    height, width = (size[name] // base.vae_scale_factor for name in ("height", "width"))
    shape = (1, base.unet.config.in_channels, height, width)
    return torch.randn(shape, generator=generator), generator


def _says_nothing(request: Request) -> bool:
    """Whether it has no negative prompt, not even an empty one."""
    return request.negative is None and not (request.embedding and request.embedding.unwanted)


def _arguments(
    prefix: str, encoded: Sequence[Encoded], rows: "list[torch.Tensor]"
) -> "dict[str, torch.Tensor]":
    import torch

    found = {f"{prefix}prompt_embeds": torch.cat(rows)}
    if pooled := [item.pooled for item in encoded if item.pooled is not None]:
        found[f"{prefix}pooled_prompt_embeds"] = torch.cat(pooled)
    return found


def _check_hand_over(pipelines: Pipelines, config: IllustrationConfig) -> None:
    """Refuse a schedule of which base or refiner would get no step."""
    steps, share = config.num_inference_steps, config.denoising_end
    for pipeline, name in ((pipelines.base, "the base"), (pipelines.refiner, "the refiner")):
        scheduler = pipeline.scheduler
        scheduler.set_timesteps(steps)
        total = scheduler.config.num_train_timesteps
        cutoff = round(total - share * total)
        is_base = pipeline is pipelines.base
        if not any((step >= cutoff) == is_base for step in scheduler.timesteps.tolist()):
            raise ConfigError(
                f"with {steps} steps and a hand-over at {share}, {name} gets none; take more steps"
            )
