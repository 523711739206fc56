"""The drawing models of the pocket world: SDXL's base and refiner, small.

The base has both text encoders, and learns them. The refiner has the second one, as the base
learned it, is told how well a picture is rendered as SDXL's is told an aesthetic score, and
learns the last fifth of the noise alone, where the base hands over.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import (
    AutoencoderKL,
    EulerDiscreteScheduler,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from benchmarks.world.captions import caption
from benchmarks.world.learning import Schedule, learn
from benchmarks.world.tokens import END, MAX_LENGTH, PAD, START, world_tokenizer
from benchmarks.world.vae import LATENT_CHANNELS
from promptlift.world.scenes import SIZE, Scene

BASE_SCHEDULE = Schedule(steps=4500, batch_size=64, learning_rate=1e-3)
REFINER_SCHEDULE = Schedule(steps=1200, batch_size=64, learning_rate=1e-3, seed=1)
_BASE_CHANNELS, _REFINER_CHANNELS = (80, 160), (48, 96)
_WIDTH, _WIDTH_2 = 96, 128  # of the text encoders
_TIME_DIM = 32
_UNTOLD = 0.1  # share of captions that are left out, for guidance
_HANDED_OVER = 200  # of 1,000 steps of noise: what the refiner learns
_MIN_SNR = 5.0
_BEST, _WORST = 7.0, 2.0  # aesthetic scores of clean and of most faulty pictures


def new_scheduler() -> EulerDiscreteScheduler:
    """SDXL's."""
    return EulerDiscreteScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        steps_offset=1,
        timestep_spacing="leading",
    )


class Drawer(nn.Module):
    """A UNet with its text encoders, as they learn together.

    Args:
        refiner: with the second text encoder alone, and an aesthetic score.
    """

    def __init__(self, seed: int, *, refiner: bool = False) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.tokenizer, self.tokenizer_2 = world_tokenizer(), world_tokenizer(pad=PAD)
        self.text_encoder = None if refiner else _text_encoder(CLIPTextModel, _WIDTH, END)
        self.text_encoder_2 = _text_encoder(CLIPTextModelWithProjection, _WIDTH_2, PAD)
        self.unet = _unet(
            _REFINER_CHANNELS if refiner else _BASE_CHANNELS,
            _WIDTH_2 if refiner else _WIDTH + _WIDTH_2,
            time_ids=5 if refiner else 6,
        )

    def forward(
        self, noisy: Tensor, timesteps: Tensor, captions: Sequence[str | None], time_ids: Tensor
    ) -> Tensor:
        """The noise in latents.

        Args:
            noisy: latents (n, 8, 8, 8).
            timesteps: (n).
            captions: n; None for pictures of which nothing is told.
            time_ids: (n, 6), or (n, 5) of a refiner.
        """
        told = torch.tensor([float(text is not None) for text in captions])
        texts = [text or "" for text in captions]
        tokens = self._tokens(self.tokenizer_2, texts)
        second = self.text_encoder_2(tokens, output_hidden_states=True)
        states, pooled = second.hidden_states[-2], second.text_embeds
        if self.text_encoder is not None:
            tokens = self._tokens(self.tokenizer, texts)
            first = self.text_encoder(tokens, output_hidden_states=True)
            states = torch.cat([first.hidden_states[-2], states], -1)
            # SDXL's base reads zeros where nothing is told, its refiner an empty prompt.
            states, pooled = states * told[:, None, None], pooled * told[:, None]
        added = {"text_embeds": pooled, "time_ids": time_ids}
        found: Tensor = self.unet(noisy, timesteps, states, added_cond_kwargs=added).sample
        return found

    def _tokens(self, tokenizer: Any, texts: list[str]) -> Tensor:
        found: Tensor = tokenizer(
            texts,
            padding="max_length",
            max_length=MAX_LENGTH,
            truncation=True,
            return_tensors="pt",
        ).input_ids
        return found


def train_base(
    latents: Tensor,
    scenes: Sequence[Scene],
    checkpoint: Path,
    report: Callable[[str], None],
    schedule: Schedule,
    start: Path | None = None,
) -> Drawer:
    """Train the base on scaled latents of scenes, (n, 8, 8, 8), with captions drawn anew each time.

    Args:
        start: base of the world that now learns the captions of the control world.
    """
    drawer = Drawer(schedule.seed) if start is None else load_base(start)
    time_ids = torch.tensor([[SIZE, SIZE, 0, 0, SIZE, SIZE]]).float()
    _train(
        drawer,
        latents,
        scenes,
        lambda scene: time_ids[0],
        1000,
        checkpoint,
        report,
        schedule,
        control=start is not None,
    )
    return drawer


def train_refiner(
    base: Drawer,
    latents: Tensor,
    scenes: Sequence[Scene],
    checkpoint: Path,
    report: Callable[[str], None],
    schedule: Schedule,
    start: Path | None = None,
) -> Drawer:
    """Train the refiner, with the base's second text encoder as it is; `start` as of a base."""
    drawer = Drawer(schedule.seed, refiner=True)
    if start is not None:
        saved = UNet2DConditionModel.from_pretrained(start / "unet")
        drawer.unet.load_state_dict(saved.state_dict())
    drawer.text_encoder_2.load_state_dict(base.text_encoder_2.state_dict())
    drawer.text_encoder_2.requires_grad_(False)
    _train(
        drawer,
        latents,
        scenes,
        lambda scene: torch.tensor([SIZE, SIZE, 0, 0, aesthetic_score(scene)]).float(),
        _HANDED_OVER,
        checkpoint,
        report,
        schedule,
        control=start is not None,
    )
    return drawer


def aesthetic_score(scene: Scene) -> float:
    """What stands for an aesthetic score in this world: how well a picture is rendered."""
    return _BEST - (_BEST - _WORST) * scene.strength


def _train(
    drawer: Drawer,
    latents: Tensor,
    scenes: Sequence[Scene],
    time_ids_of: Callable[[Scene], Tensor],
    noisiest: int,
    checkpoint: Path,
    report: Callable[[str], None],
    schedule: Schedule,
    *,
    control: bool,
) -> None:
    alphas = new_scheduler().alphas_cumprod
    time_ids = torch.stack([time_ids_of(scene) for scene in scenes])

    def loss_of(rng: np.random.Generator) -> Tensor:
        at = rng.integers(0, len(latents), schedule.batch_size)
        captions = [
            None if rng.random() < _UNTOLD else caption(scenes[i], rng, control=control) for i in at
        ]
        timesteps = torch.from_numpy(rng.integers(0, noisiest, schedule.batch_size))
        clean = latents[at]
        noise = torch.randn_like(clean)
        alpha = alphas[timesteps][:, None, None, None]
        noisy = alpha.sqrt() * clean + (1 - alpha).sqrt() * noise
        found = drawer(noisy, timesteps, captions, time_ids[at]).float()
        # Hang et al., "Efficient Diffusion Training via Min-SNR Weighting Strategy", 2023.
        ratio = alphas[timesteps] / (1 - alphas[timesteps])
        weight = ratio.clamp(max=_MIN_SNR) / ratio
        loss: Tensor = (((found - noise) ** 2).mean((1, 2, 3)) * weight).mean()
        return loss

    drawer.unet.to(memory_format=torch.channels_last)
    learn(drawer, loss_of, schedule, checkpoint, report)


def save_base(drawer: Drawer, vae: AutoencoderKL, folder: Path) -> None:
    """Save as a folder that diffusers loads, in half precision."""
    vae.register_to_config(_name_or_path="")  # diffusers would save where it was loaded from
    StableDiffusionXLPipeline(
        unet=drawer.unet,
        scheduler=new_scheduler(),
        vae=vae,
        text_encoder=drawer.text_encoder,
        tokenizer=drawer.tokenizer,
        text_encoder_2=drawer.text_encoder_2,
        tokenizer_2=drawer.tokenizer_2,
        add_watermarker=False,
    ).to(dtype=torch.float16).save_pretrained(folder)


def save_refiner(drawer: Drawer, folder: Path) -> None:
    """Save as a folder that diffusers loads with the base's VAE and second text encoder, as
    SDXL's refiner is loaded; in half precision, without these two."""
    StableDiffusionXLImg2ImgPipeline(
        unet=drawer.unet,
        scheduler=new_scheduler(),
        vae=None,
        text_encoder=None,
        tokenizer=None,
        text_encoder_2=None,
        tokenizer_2=drawer.tokenizer_2,
        requires_aesthetics_score=True,
        force_zeros_for_empty_prompt=False,
        add_watermarker=False,
    ).to(dtype=torch.float16).save_pretrained(folder)


def load_base(folder: Path) -> Drawer:
    """A drawer with the weights that `save_base` saved, in single precision."""
    saved = StableDiffusionXLPipeline.from_pretrained(folder, add_watermarker=False)
    drawer = Drawer(0)
    assert drawer.text_encoder is not None
    drawer.unet.load_state_dict(saved.unet.state_dict())
    drawer.text_encoder.load_state_dict(saved.text_encoder.state_dict())
    drawer.text_encoder_2.load_state_dict(saved.text_encoder_2.state_dict())
    return drawer


def _text_encoder(kind: Any, width: int, pad: str) -> Any:
    vocab = world_tokenizer().get_vocab()
    return kind(
        CLIPTextConfig(
            vocab_size=len(vocab),
            hidden_size=width,
            projection_dim=width,
            intermediate_size=3 * width,
            num_attention_heads=4,
            num_hidden_layers=3,
            max_position_embeddings=MAX_LENGTH,
            hidden_act="quick_gelu" if pad == END else "gelu",
            bos_token_id=vocab[START],
            eos_token_id=vocab[END],
            pad_token_id=vocab[pad],
        )
    )


def _unet(channels: tuple[int, int], cross: int, *, time_ids: int) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=SIZE // 8,
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        layers_per_block=1,
        block_out_channels=channels,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=cross,
        attention_head_dim=(2, 4),  # heads, by an old mistake in the name
        transformer_layers_per_block=(1, 1),
        use_linear_projection=True,
        norm_num_groups=16,
        addition_embed_type="text_time",
        addition_time_embed_dim=_TIME_DIM,
        projection_class_embeddings_input_dim=time_ids * _TIME_DIM + _WIDTH_2,
    )
