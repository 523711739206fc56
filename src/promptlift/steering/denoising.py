"""Denoising with gradients, stops on the way, and a hand on the latents.

All of it is the pipeline's own loop, so a picture is the one that `illustrate` draws: what is
wanted beside is done in the callback that diffusers calls after each step.
"""

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import torch

from promptlift.errors import ConfigError
from promptlift.illustrating.illustrator import Illustrator
from promptlift.illustrating.sampling import noise_of
from promptlift.steering.vectors import sampler_of

# Given the number of steps that are done and the latents, what they become.
OnLatents = Callable[[int, Any], Any]


def check_kept(illustrator: Illustrator) -> None:
    """Refuse a model whose weights are moved about: here its parts are called one by one.

    Raises:
        ConfigError: so they are.
    """
    if illustrator.config.offload != "none":
        raise ConfigError("steering needs --offload none: it calls parts of the model by itself")


class Denoiser:
    """The base of a picture model, step by step. A refiner is left out.

    Args:
        illustrator: SDXL or Stable Diffusion with diffusers.

    Attributes:
        steps: calls of the U-Net, which are more than the steps asked for with some schedulers.
        guided: whether something is led away from.

    Raises:
        ConfigError: the picture model takes no embeddings, or its weights are not kept on the
            device.
    """

    def __init__(self, illustrator: Illustrator) -> None:
        sampler_of(illustrator)
        check_kept(illustrator)
        backend = illustrator.diffusers
        self._base: Any = backend.pipelines.base
        self._call: dict[str, Any] = {
            "num_inference_steps": illustrator.config.num_inference_steps,
            "guidance_scale": backend.guidance_scale,
            "width": backend.width,
            "height": backend.height,
        }
        self.guided = backend.guidance_scale > 1
        # In half precision some overflow: diffusers casts those to and fro, which gradients forbid.
        vae = self._base.vae
        upcast = vae.dtype == torch.float16 and getattr(vae.config, "force_upcast", False)
        self._vae = deepcopy(vae).float() if upcast else vae
        for part in (self._base.unet, self._vae):
            part.requires_grad_(False)
            # Activations are computed again on the way back: a step's memory is that of a block.
            part.enable_gradient_checkpointing()
        self._base.scheduler.set_timesteps(self._call["num_inference_steps"])
        self.steps = len(self._base.scheduler.timesteps)

    def noise(self, seeds: Sequence[int]) -> torch.Tensor:
        """The noise of seeds, float32 [seeds, channels, height / 8, width / 8]."""
        return torch.cat([noise_of(self._base, seed, self._call)[0] for seed in seeds])

    def latents(
        self,
        arguments: dict[str, torch.Tensor],
        noise: torch.Tensor,
        seeds: Sequence[int],
        *,
        through: int = 0,
        until: int | None = None,
        on_latents: OnLatents | None = None,
    ) -> torch.Tensor:
        """Latents after denoising, [pictures, channels, height / 8, width / 8].

        Args:
            arguments: vectors as the pipeline takes them, [1 or pictures, tokens, width].
            noise: to begin with, [pictures, ...].
            seeds: of the noise that some schedulers add at each step, a seed a picture.
            through: how many of the last steps gradients pass.
            until: stop after so many steps; after the last where None.
            on_latents: changes latents after a step, given how many steps are done.
        """
        last = self.steps if until is None else min(until, self.steps)
        given = {
            name: value.expand(len(noise), *value.shape[1:]) for name, value in arguments.items()
        }

        def after(pipeline: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> Any:
            found = dict(tensors)
            if on_latents is not None:
                found["latents"] = on_latents(step + 1, found["latents"])
            if step + 1 == last - through:
                # What went before is forgotten; from here on gradients count.
                torch.set_grad_enabled(True)
                found = {**found, "latents": found["latents"].detach(), **self._joined(given)}
            if step + 1 == last:
                pipeline._interrupt = True  # it does nothing in the steps that are left
            return found

        base = self._base
        call = getattr(type(base).__call__, "__wrapped__", type(base).__call__)
        with torch.set_grad_enabled(0 < last <= through):
            out = call(
                base,
                **given,
                **self._call,
                latents=noise.to(base.unet.dtype),
                generator=[self._generator(seed) for seed in seeds],
                callback_on_step_end=after,
                callback_on_step_end_tensor_inputs=["latents"],
                output_type="latent",
            )
        found: torch.Tensor = out.images
        return found

    def pictures(self, latents: torch.Tensor) -> torch.Tensor:
        """Pictures of latents, float [pictures, 3, height, width] from 0 to 1, with gradients."""
        vae = self._vae
        latents = latents.to(vae.dtype) / vae.config.scaling_factor
        mean, std = (getattr(vae.config, f"latents_{end}", None) for end in ("mean", "std"))
        if mean is not None and std is not None:
            latents = latents * latents.new_tensor(std).view(1, -1, 1, 1)
            latents = latents + latents.new_tensor(mean).view(1, -1, 1, 1)
        decoded: torch.Tensor = vae.decode(latents, return_dict=False)[0]
        return (decoded.float() / 2 + 0.5).clamp(0, 1)

    def encoded(self, pictures: torch.Tensor) -> torch.Tensor:
        """Latents of pictures, float [pictures, 3, height, width] from 0 to 1."""
        vae = self._vae
        with torch.no_grad():
            given = (pictures * 2 - 1).to(device=vae.device, dtype=vae.dtype)
            found: torch.Tensor = vae.encode(given).latent_dist.mode() * vae.config.scaling_factor
        return found

    def noised(self, latents: torch.Tensor, noise: torch.Tensor, done: int) -> torch.Tensor:
        """Clean latents with as much noise as is left when `done` steps are done; to be called
        on the way, after that step."""
        scheduler = self._base.scheduler
        if done >= self.steps:
            return latents
        timestep = scheduler.timesteps[done : done + 1]
        found: torch.Tensor = scheduler.add_noise(latents, noise.to(latents), timestep)
        return found

    def _joined(self, given: dict[str, torch.Tensor]) -> dict[str, Any]:
        """The vectors as the loop holds them: what guidance leads away from goes first."""
        named = {"prompt_embeds": "prompt_embeds", "add_text_embeds": "pooled_prompt_embeds"}
        return {
            held: torch.cat([given[f"negative_{name}"], given[name]]) if self.guided
            else given[name]
            for held, name in named.items()
            if name in given
        }  # fmt: skip

    def _generator(self, seed: int) -> torch.Generator:
        """A seed's generator, where it is when the noise to begin with is drawn."""
        return noise_of(self._base, seed, self._call)[1]
