"""Expected time and memory of the paper's pictures on named GPUs. Calculated, not measured.

    python -m benchmarks.expected_drawing [--pairs 100]

Multiplications of SDXL's base, refiner and VAE are counted on their own graphs, with tensors that
have a shape and no content (torch's fake tensors), in the sizes of their published configs. A
picture takes 40 steps, 32 of the base and 8 of the refiner (diffusers hands over where 0.8 of the
noise is gone), each with guidance, so two passes; then the VAE decodes. Time is operations at 40%
of the GPU's fp16 rate; starting operations, which decides for small pictures on the fastest
GPUs, is left out. Memory is the weights in fp16, base and refiner with the parts that they
share once, and beside them what decoding one picture in fp32 keeps at its widest layer, in and
out, twice: the VAE of SDXL overflows in fp16, and diffusers decodes in fp32.
"""

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.expected_training import GPUS, USED

BASE_STEPS, REFINER_STEPS, GUIDED = 32, 8, 2
# Parameters of CLIP ViT-L/14's and OpenCLIP ViT-bigG/14's text encoders.
TEXT_ENCODERS = 123_060_480 + 694_659_840
_UNET: dict[str, Any] = {
    "in_channels": 4, "out_channels": 4, "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256, "use_linear_projection": True, "layers_per_block": 2,
}  # fmt: skip
BASE: dict[str, Any] = {
    **_UNET,
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "projection_class_embeddings_input_dim": 2816,
}
REFINER: dict[str, Any] = {
    **_UNET,
    "block_out_channels": (384, 768, 1536, 1536),
    "down_block_types": (
        "DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D",
    ),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": 4,
    "attention_head_dim": (6, 12, 24, 24),
    "cross_attention_dim": 1280,
    "projection_class_embeddings_input_dim": 2560,
}  # fmt: skip
VAE: dict[str, Any] = {
    "block_out_channels": (128, 256, 512, 512),
    "layers_per_block": 2,
    "latent_channels": 4,
    "down_block_types": ("DownEncoderBlock2D",) * 4,
    "up_block_types": ("UpDecoderBlock2D",) * 4,
}


@dataclass(frozen=True)
class Part:
    """Parameters of a model, and the operations of one pass of it."""

    parameters: int
    operations: int


def unet(config: dict[str, Any], pixels: int) -> Part:
    """A pass over one picture of so many pixels a side, without guidance."""
    # Text embeddings without the six numbers of sizes and crops (the refiner has five).
    numbers = 6 if config is BASE else 5
    pooled = config["projection_class_embeddings_input_dim"] - 256 * numbers
    with FakeTensorMode(), torch.no_grad():
        model = UNet2DConditionModel(**config)
        with FlopCounterMode(display=False) as operations:
            model(
                torch.ones(1, 4, pixels // 8, pixels // 8),
                torch.ones(1),
                encoder_hidden_states=torch.ones(1, 77, config["cross_attention_dim"]),
                added_cond_kwargs={
                    "text_embeds": torch.ones(1, pooled),
                    "time_ids": torch.ones(1, numbers),
                },
            )
        return Part(_parameters(model), operations.get_total_flops())


def vae(pixels: int) -> Part:
    """Decoding one picture."""
    with FakeTensorMode(), torch.no_grad():
        model = AutoencoderKL(**VAE)
        with FlopCounterMode(display=False) as operations:
            model.decode(torch.ones(1, 4, pixels // 8, pixels // 8))
        return Part(_parameters(model), operations.get_total_flops())


def rows(pairs: int) -> Iterator[str]:
    """The table, in Markdown."""
    yield "| size | GPU | seconds a picture | " + f"{pairs} pairs, min | memory, GB | fits |"
    yield "| --- | --- | ---: | ---: | ---: | --- |"
    for pixels in (512, 1024):
        base, refiner, decoder = unet(BASE, pixels), unet(REFINER, pixels), vae(pixels)
        work = GUIDED * (BASE_STEPS * base.operations + REFINER_STEPS * refiner.operations)
        weights = 2 * (base.parameters + refiner.parameters + decoder.parameters + TEXT_ENCODERS)
        # The last block keeps 256 channels at full size before it narrows to 128.
        memory = weights + 2 * decoder.parameters + 2 * 2 * 4 * 256 * pixels**2
        for gpu, (size, rate) in GPUS.items():
            seconds = (work + decoder.operations) / (USED * rate)
            fits = "yes" if memory <= 0.9 * size else "with --offload model"
            minutes = 2 * pairs * seconds / 60
            yield (
                f"| {pixels}x{pixels} | {gpu} | {seconds:.1f} | {minutes:.0f} | "
                f"{math.ceil(memory / 1e9)} | {fits} |"
            )


def _parameters(model: torch.nn.Module) -> int:
    return sum(item.numel() for item in model.parameters())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=100, help="pairs of pictures")
    print("\n".join(rows(parser.parse_args().pairs)))


if __name__ == "__main__":
    main()
