"""Drawing a part of a picture anew, with an embedding, while the rest stays."""

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from promptlift.errors import ConfigError, InputError
from promptlift.illustrating.embedding import Embedding
from promptlift.illustrating.illustrator import Illustrator
from promptlift.illustrating.records import Request
from promptlift.steering.denoising import Denoiser
from promptlift.steering.vectors import sampler_of

if TYPE_CHECKING:
    from PIL.Image import Image


def redraw(
    illustrator: Illustrator,
    embedding: Embedding,
    picture: "Image",
    mask: "Image",
    *,
    seed: int,
    strength: float = 0.7,
) -> "Image":
    """A picture of which a part was denoised anew from partial noise.

    Latents outside of the mask are those of the picture with as much noise as each step has
    left, as diffusers does it where there is no inpainting U-Net (Avrahami et al., "Blended Latent
    Diffusion", SIGGRAPH 2023). Pixels outside of the mask are the picture's own in the end.

    Args:
        illustrator: SDXL or Stable Diffusion with diffusers; a refiner is left out.
        embedding: what the part is to show.
        picture: of the size that is drawn.
        mask: of the same size; white is drawn anew, black stays.
        seed: of the noise.
        strength: the share of denoising that is done anew, above 0, at most 1; a step at least.

    Raises:
        ConfigError: the strength cannot be used.
        InputError: sizes differ, or the mask is black.
    """
    import numpy as np

    if not 0 < strength <= 1:
        raise ConfigError(f"strength is {strength:g} and must be above 0 and at most 1")
    backend = illustrator.diffusers
    if picture.size != (backend.width, backend.height) or mask.size != picture.size:
        raise InputError(
            f"the picture is {_size(picture)} and the mask {_size(mask)}; both must be "
            f"{backend.width}x{backend.height}, as pictures are drawn"
        )
    white = torch.from_numpy(np.asarray(mask.convert("L"), np.float32) / 255.0)
    if not white.any():
        raise InputError("the mask is black, so nothing is drawn anew; paint white what is to be")
    denoiser = Denoiser(illustrator)
    pixels = _tensor(picture)
    noise = denoiser.noise([seed])
    kept = denoiser.encoded(pixels)
    shape = kept.shape[-2:]
    # A place of the latents is drawn anew where any of its pixels is.
    hole = torch.nn.functional.adaptive_max_pool2d(white[None, None], shape).to(kept)
    begin = min(round(denoiser.steps * (1 - strength)), denoiser.steps - 1)  # one step at least

    def blended(done: int, latents: torch.Tensor) -> torch.Tensor:
        around = denoiser.noised(kept, noise, done).to(latents)
        return around if done <= begin else hole * latents + (1 - hole) * around

    request = Request(
        prompt=embedding.prompt, seed=seed, embedding=embedding,
        negative=illustrator.config.negative,
    )  # fmt: skip
    with torch.no_grad():
        latents = denoiser.latents(
            sampler_of(illustrator).arguments(0, [request]), noise, [seed], on_latents=blended
        )
        drawn = denoiser.pictures(latents).cpu()
    return _image(white * drawn + (1 - white) * pixels)


def with_redrawn(embedding: Embedding, picture: str, strength: float) -> Embedding:
    """The embedding of a part, for the receipt of the whole picture.

    Args:
        embedding: what the part shows.
        picture: SHA-256 of the picture before.
        strength: as of `redraw`.
    """
    about = {"redrawn": {"picture": picture, "strength": strength}}
    return replace(embedding, about={**embedding.about, **about})


def _tensor(picture: "Image") -> torch.Tensor:
    """Float [1, 3, height, width] from 0 to 1."""
    import numpy as np

    levels = torch.from_numpy(np.asarray(picture.convert("RGB"), np.float32) / 255.0)
    return levels.permute(2, 0, 1)[None]


def _image(picture: torch.Tensor) -> "Image":
    from PIL import Image

    levels = (picture[0].permute(1, 2, 0) * 255).round().byte().numpy()
    return Image.fromarray(levels)


def _size(picture: "Image") -> str:
    return f"{picture.width}x{picture.height}"
