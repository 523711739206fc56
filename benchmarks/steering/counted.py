"""Memory and arithmetic of a step of optimising, counted from shapes: no weights, no pictures.

The real architectures run with PyTorch's fake tensors, which have shapes and no numbers. What is
counted is the tensors that live at once and the arithmetic of convolutions, matrix products and
attention. Buffers inside of kernels, an allocator's waste, text encoding and the metric are not.
"""

import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from promptlift.illustrating.embedding import TOKENS

_CLIP_L = {
    "hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12,
    "num_attention_heads": 12, "projection_dim": 768,
}  # fmt: skip
_CLIP_BIG_G = {
    "hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32,
    "num_attention_heads": 20, "projection_dim": 1280,
}  # fmt: skip
_VAE = {
    "block_out_channels": (128, 256, 512, 512), "layers_per_block": 2, "latent_channels": 4,
    "down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4,
}  # fmt: skip


@dataclass(frozen=True)
class Architecture:
    """Published configs of a picture model.

    Attributes:
        unet, vae: as diffusers takes them; what is not named is its default.
        encoders: text encoders, as transformers takes them.
        side: of the latents.
        dtype: of the U-Net.
    """

    unet: dict[str, Any]
    vae: dict[str, Any]
    encoders: Sequence[tuple[Any, dict[str, Any]]]
    side: int
    dtype: torch.dtype = torch.float16


# The config.json files of Stable Diffusion 1.5 and of SDXL 1.0 base.
SD15 = Architecture(
    unet={"sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8},
    vae=_VAE, encoders=[(CLIPTextModel, _CLIP_L)], side=64,
)  # fmt: skip
SDXL = Architecture(
    unet={
        "sample_size": 128, "cross_attention_dim": 2048, "attention_head_dim": (5, 10, 20),
        "block_out_channels": (320, 640, 1280), "transformer_layers_per_block": (1, 2, 10),
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "use_linear_projection": True, "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 2816,
    },
    vae=_VAE, encoders=[(CLIPTextModel, _CLIP_L), (CLIPTextModelWithProjection, _CLIP_BIG_G)],
    side=128,
)  # fmt: skip


class LiveTensors(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of tensors that were made under it and are alive.

    Attributes:
        now: bytes alive.
        peak: the most there were.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        for one in tree_leaves(found):
            if isinstance(one, torch.Tensor):
                self._count(one.untyped_storage())
        return found

    def _count(self, storage: torch.UntypedStorage) -> None:
        place = storage._cdata
        if place in self._known:  # a view, or changed in its place
            return
        size = storage.nbytes()
        self._known.add(place)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._forget, place, size)

    def _forget(self, place: int, size: int) -> None:
        self._known.discard(place)
        self.now -= size


class _Models:
    """U-Net and VAE of an architecture without numbers; to be made among fake tensors.

    The VAE is in float32: where the U-Net is in float16 steering makes such a copy of it.
    """

    def __init__(self, one: Architecture, *, checkpoint: bool) -> None:
        with _default(one.dtype):
            self.unet = UNet2DConditionModel(**one.unet)
        self.vae = AutoencoderKL(**one.vae)
        self._dtype, self._side = one.dtype, one.side
        for model in (self.unet, self.vae):
            model.requires_grad_(False)
            if checkpoint:
                model.enable_gradient_checkpointing()

    def rows(self) -> torch.Tensor:
        """What the U-Net is led to and away from, which is learned."""
        width = self.unet.config.cross_attention_dim
        return torch.zeros(2, TOKENS, width).requires_grad_()

    def denoised(self, latents: torch.Tensor, rows: torch.Tensor) -> torch.Tensor:
        """One step of denoising, as the pipelines' guidance has it."""
        more = {}
        if self.unet.config.addition_embed_type == "text_time":
            pooled = self.unet.config.projection_class_embeddings_input_dim
            pooled -= 6 * self.unet.config.addition_time_embed_dim
            zeros = torch.zeros(2, pooled + 6, dtype=self._dtype)
            more = {"text_embeds": zeros[:, 6:], "time_ids": zeros[:, :6]}
        noise = self.unet(
            torch.cat([latents, latents]), 1, rows.to(self._dtype), added_cond_kwargs=more
        ).sample
        away, to = noise.chunk(2)
        found: torch.Tensor = latents - (away + 7.5 * (to - away))
        return found

    def noise(self) -> torch.Tensor:
        channels = self.unet.config.in_channels
        return torch.zeros(1, channels, self._side, self._side, dtype=self._dtype)

    def picture(self, latents: torch.Tensor) -> torch.Tensor:
        decoded: torch.Tensor = self.vae.decode(latents.float(), return_dict=False)[0]
        return (decoded / 2 + 0.5).clamp(0, 1)


def peak_bytes(one: Architecture, through: int, *, checkpoint: bool = True) -> int:
    """The most bytes of tensors in a step of optimising beside the weights."""
    with FakeTensorMode(), LiveTensors() as live:
        models = _Models(one, checkpoint=checkpoint)
        weights = live.peak = live.now
        rows, latents = models.rows(), models.noise()
        for _ in range(through):
            latents = models.denoised(latents, rows)
        models.picture(latents).var().backward()  # type: ignore[no-untyped-call]
        found: int = live.peak - weights
        return found


def weight_bytes(one: Architecture) -> int:
    """Weights of all parts, and the copy of the VAE in float32 where it has another dtype."""
    with FakeTensorMode():
        models = _Models(one, checkpoint=False)
        encoders = [kind(CLIPTextConfig(**config)) for kind, config in one.encoders]
        half = one.dtype.itemsize
        parts = sum(_count(part) for part in (models.unet, models.vae, *encoders)) * half
        return parts + (4 * _count(models.vae) if half != 4 else 0)


def operations(one: Architecture) -> dict[str, float]:
    """Floating-point operations, two for a multiplication with an addition.

    Returns:
        of a guided step of denoising and of decoding: `unet` and `vae` without gradients, and
        `unet back` and `vae back`, what gradients cost more, with activations computed again.
    """
    with FakeTensorMode():
        models = _Models(one, checkpoint=True)
        rows, latents = models.rows(), models.noise()
        found = {}
        with _counter() as counter:
            denoised = models.denoised(latents, rows)
        found["unet"] = counter.get_total_flops()
        with _counter() as counter:
            denoised.sum().backward()  # type: ignore[no-untyped-call]
        found["unet back"] = counter.get_total_flops()
        latents = models.noise().requires_grad_()
        with _counter() as counter:
            picture = models.picture(latents)
        found["vae"] = counter.get_total_flops()
        with _counter() as counter:
            picture.sum().backward()  # type: ignore[no-untyped-call]
        found["vae back"] = counter.get_total_flops()
        return {name: float(value) for name, value in found.items()}


def _count(model: Any) -> int:
    return sum(one.numel() for one in model.parameters())


def _counter() -> FlopCounterMode:
    """PyTorch's counter does not know its own attention for CPUs."""
    attention = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    back = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward

    def forward(query: Any, key: Any, value: Any, *rest: Any, **more: Any) -> int:
        return int(sdpa_flop_count(query, key, value))  # type: ignore[no-untyped-call]

    def backward(grad: Any, query: Any, key: Any, value: Any, *rest: Any, **more: Any) -> int:
        return int(
            sdpa_backward_flop_count(grad, query, key, value)  # type: ignore[no-untyped-call]
        )

    return FlopCounterMode(display=False, custom_mapping={attention: forward, back: backward})


@contextmanager
def _default(dtype: torch.dtype) -> Iterator[None]:
    kept = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        yield
    finally:
        torch.set_default_dtype(kept)
