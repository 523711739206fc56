"""Tiny real diffusers pipelines, seeded and built from config: nothing is downloaded.

All draw 64x64 by default, from 8x8 latents. Weights are random, so that pictures are noise, but
noise that depends on every input. The folders are laid out as those on the Hub.
"""

import gzip
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    AutoencoderKL,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    LatentConsistencyModelPipeline,
    LCMScheduler,
    PNDMScheduler,
    StableDiffusionPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from tokenizers import pre_tokenizers
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

# diffusers' schedulers hand tensors to NumPy in a way that NumPy 2 deprecates.
DIFFUSERS_WARNS = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
_MERGES = 4000  # "cat" and "dog" are single tokens, "lighthouse" is four
START, END = "<|startoftext|>", "<|endoftext|>"
# The schedule of SDXL's own files.
SCHEDULE = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "steps_offset": 1,
    "timestep_spacing": "leading",
}


def save_sdxl(folder: Path, *, turbo: bool = False, seed: int = 0) -> Path:
    """An SDXL base: both text encoders, and an ancestral scheduler where it is a turbo."""
    torch.manual_seed(seed)
    euler = EulerAncestralDiscreteScheduler if turbo else EulerDiscreteScheduler
    pipeline = StableDiffusionXLPipeline(
        unet=_unet(cross_attention_dim=64, time_ids=6),
        scheduler=euler(**{**SCHEDULE, "timestep_spacing": "trailing" if turbo else "leading"}),
        vae=_vae(),
        text_encoder=_text_encoder(CLIPTextModel, end_is_pad=True),
        tokenizer=_tokenizer(pad=END),
        text_encoder_2=_text_encoder(CLIPTextModelWithProjection, end_is_pad=False),
        tokenizer_2=_tokenizer(pad="!"),
        add_watermarker=False,
    )
    pipeline.save_pretrained(folder)
    return folder


def save_refiner(folder: Path, *, seed: int = 1) -> Path:
    """An SDXL refiner: the second text encoder alone, and an aesthetic score among its inputs."""
    torch.manual_seed(seed)
    pipeline = StableDiffusionXLImg2ImgPipeline(
        unet=_unet(cross_attention_dim=32, time_ids=5),
        scheduler=EulerDiscreteScheduler(**SCHEDULE),
        vae=_vae(),
        text_encoder=None,
        tokenizer=None,
        text_encoder_2=_text_encoder(CLIPTextModelWithProjection, end_is_pad=False),
        tokenizer_2=_tokenizer(pad="!"),
        requires_aesthetics_score=True,
        force_zeros_for_empty_prompt=False,
        add_watermarker=False,
    )
    pipeline.save_pretrained(folder)
    return folder


def save_sd15(folder: Path, *, seed: int = 2) -> Path:
    """A Stable Diffusion 1.5: one text encoder, PNDM."""
    torch.manual_seed(seed)
    schedule = {key: value for key, value in SCHEDULE.items() if key != "timestep_spacing"}
    pipeline = StableDiffusionPipeline(
        unet=_unet(cross_attention_dim=32, time_ids=0),
        scheduler=PNDMScheduler(**schedule, skip_prk_steps=True),
        vae=_vae(),
        text_encoder=_text_encoder(CLIPTextModel, end_is_pad=True),
        tokenizer=_tokenizer(pad=END),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.save_pretrained(folder)
    return folder


def save_lcm(folder: Path, sd15: Path, *, seed: int = 5) -> Path:
    """Of an SD 1.5's parts a pipeline that reads prompts in its own way, as FLUX does."""
    torch.manual_seed(seed)
    parts = StableDiffusionPipeline.from_pretrained(sd15, safety_checker=None).components
    parts["unet"] = UNet2DConditionModel.from_config(parts["unet"].config, time_cond_proj_dim=32)
    parts["scheduler"] = LCMScheduler.from_config(parts["scheduler"].config)
    LatentConsistencyModelPipeline(**parts, requires_safety_checker=False).save_pretrained(folder)
    return folder


def _unet(*, cross_attention_dim: int, time_ids: int) -> UNet2DConditionModel:
    sdxl: dict[str, Any] = {}
    if time_ids:
        sdxl = {
            "addition_embed_type": "text_time",
            "addition_time_embed_dim": 8,
            "projection_class_embeddings_input_dim": time_ids * 8 + 32,
            "transformer_layers_per_block": (1, 2),
            "use_linear_projection": True,
        }
    return UNet2DConditionModel(
        block_out_channels=(32, 64),
        layers_per_block=1,
        sample_size=8,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=(2, 4),
        norm_num_groups=8,
        cross_attention_dim=cross_attention_dim,
        **sdxl,
    )


def _vae() -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(16, 16, 32, 32),
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=64,
        layers_per_block=1,
    )


def _text_encoder(kind: Any, *, end_is_pad: bool) -> Any:
    vocab = _tokenizer(pad=END).get_vocab()
    return kind(
        CLIPTextConfig(
            vocab_size=len(vocab),
            hidden_size=32,
            projection_dim=32,
            intermediate_size=48,
            num_attention_heads=4,
            num_hidden_layers=3,
            hidden_act="quick_gelu" if end_is_pad else "gelu",
            bos_token_id=vocab[START],
            eos_token_id=vocab[END],
            pad_token_id=vocab[END if end_is_pad else "!"],
        )
    ).eval()


def _tokenizer(*, pad: str) -> CLIPTokenizer:
    """The beginning of CLIP's tokenizer; all of it takes a second to load."""
    packed = (files("promptlift.prompts") / "clip_merges.txt.gz").read_bytes()
    lines = gzip.decompress(packed).decode("utf-8").splitlines()
    merges = [(left, right) for left, _, right in (line.partition(" ") for line in lines[:_MERGES])]
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())  # "!" comes first, as in CLIP
    pieces = [*alphabet, *(char + "</w>" for char in alphabet), *(a + b for a, b in merges)]
    vocab = {piece: index for index, piece in enumerate([*pieces, START, END])}
    return CLIPTokenizer(
        vocab=vocab, merges=merges, pad_token=pad, unk_token=END, model_max_length=77
    )
