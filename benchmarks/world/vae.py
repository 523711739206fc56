"""The VAE of the pocket world: an AutoencoderKL, eight times smaller, eight latent channels."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from diffusers import AutoencoderKL
from torch import Tensor, nn

from benchmarks.world.learning import Schedule, learn
from promptlift.world.scenes import SIZE

LATENT_CHANNELS = 8
SCHEDULE = Schedule(steps=1800, batch_size=24, learning_rate=3e-3, muon=True)
_KL = 1e-6
_EDGES = 0.5


def new_vae(seed: int) -> AutoencoderKL:
    """A VAE with random weights: 64 by 64 pixels to 8 by 8 latents of 8 channels."""
    torch.manual_seed(seed)
    return AutoencoderKL(
        block_out_channels=(16, 32, 64, 128),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=1,
        latent_channels=LATENT_CHANNELS,
        norm_num_groups=8,
        mid_block_add_attention=False,
        sample_size=SIZE,
        force_upcast=False,
    )


def train_vae(
    pictures: npt.NDArray[np.uint8],
    checkpoint: Path,
    report: Callable[[str], None],
    schedule: Schedule,
) -> AutoencoderKL:
    """Train on pictures of shape (n, 64, 64, 3), and set the scale of its latents.

    The loss is the absolute error of levels in [-1, 1] and, half of it, of their differences to
    the right and below, which keeps edges sharp; and a little KL divergence.
    """
    vae = new_vae(schedule.seed).to(memory_format=torch.channels_last)

    def loss_of(rng: np.random.Generator) -> Tensor:
        at = np.sort(rng.integers(0, len(pictures), schedule.batch_size))
        levels = to_levels(pictures[at])
        posterior = vae.encode(levels).latent_dist
        found = vae.decode(posterior.sample()).sample
        across = (found.diff(dim=-1) - levels.diff(dim=-1)).abs().mean()
        down = (found.diff(dim=-2) - levels.diff(dim=-2)).abs().mean()
        kl = posterior.kl().mean()
        loss: Tensor = (found - levels).abs().mean() + _EDGES * (across + down) + _KL * kl
        return loss

    learn(vae, loss_of, schedule, checkpoint, report)
    latents = encode(vae, pictures[:2000])
    vae.register_to_config(scaling_factor=float(1 / latents.std()))
    return vae


def to_levels(pictures: npt.NDArray[np.uint8]) -> Tensor:
    """Pictures (n, height, width, 3), as levels from -1 to 1, (n, 3, height, width)."""
    levels = torch.from_numpy(np.array(pictures)).permute(0, 3, 1, 2).float()
    return (levels / 127.5 - 1).contiguous(memory_format=torch.channels_last)


def to_pictures(levels: Tensor) -> npt.NDArray[np.uint8]:
    """The inverse of `to_levels`."""
    grey = ((levels.float() + 1) * 127.5).round().clamp(0, 255)
    return grey.permute(0, 2, 3, 1).to(torch.uint8).numpy()


@torch.no_grad()
def encode(vae: nn.Module, pictures: npt.NDArray[np.uint8], batch_size: int = 64) -> Tensor:
    """Means of the latents of pictures, (n, 8, 8, 8), not scaled."""
    parts = [
        vae.encode(to_levels(pictures[first : first + batch_size])).latent_dist.mean  # type: ignore[operator]
        for first in range(0, len(pictures), batch_size)
    ]
    return torch.cat(parts)
