"""Nodes for ComfyUI that draw from prompt and seed without weights, laid out as its own are.

A picture is noise that depends on both texts, the seed and all settings, made in as many steps as
are asked for; `DRAWS_STEP_S` says how long one takes.
"""

import hashlib
import os
import time
from typing import Any

import comfy.utils  # type: ignore[import-not-found]
import numpy as np
import torch


class DrawsLoader:
    """Stands for the loader of a checkpoint."""

    RETURN_TYPES, FUNCTION, CATEGORY = ("MODEL", "CLIP"), "load", "draws"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"ckpt_name": (["tiny.safetensors", "other.safetensors"],)}}

    def load(self, ckpt_name: str) -> tuple[Any, ...]:
        return ckpt_name, ckpt_name


class DrawsText:
    """Stands for a text encoder."""

    RETURN_TYPES, FUNCTION, CATEGORY = ("CONDITIONING",), "encode", "draws"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"text": ("STRING", {"multiline": True}), "clip": ("CLIP",)}}

    def encode(self, text: str, clip: str) -> tuple[Any, ...]:
        if "forbidden" in text:
            raise ValueError("this prompt cannot be encoded")
        return ([text, clip],)


class DrawsSampler:
    """Stands for sampler and decoder."""

    RETURN_TYPES, FUNCTION, CATEGORY = ("IMAGE",), "draw", "draws"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "model": ("MODEL",),
                "seed": ("INT", {"default": 0, "min": 0, "max": 2**64 - 1}),
                "steps": ("INT", {"default": 4, "min": 1, "max": 100}),
                "cfg": ("FLOAT", {"default": 7.0}),
                "sampler_name": (["euler", "heun"],),
                "positive": ("CONDITIONING",),
                "negative": ("CONDITIONING",),
                "latent_image": ("LATENT",),
            }
        }

    def draw(self, latent_image: Any, steps: int, seed: int, **given: Any) -> tuple[Any, ...]:
        bar = comfy.utils.ProgressBar(steps)
        for _ in range(steps):
            time.sleep(float(os.environ.get("DRAWS_STEP_S", "0")))
            bar.update(1)
        height, width = (8 * side for side in latent_image["samples"].shape[-2:])
        if os.environ.get("DRAWS_FORGETS_SEEDS"):
            seed = time.time_ns()
        text = repr([seed, steps, sorted(given.items())])
        log = os.environ.get("DRAWS_LOG")
        if log:
            with open(log, "a") as file:
                file.write(f"{given['positive'][0]}\t{seed}\n")
        digest = hashlib.sha256(text.encode()).digest()
        noise = np.random.default_rng(int.from_bytes(digest[:8], "big"))
        pixels = noise.random((1, height, width, 3), dtype=np.float32)
        return (torch.from_numpy(pixels),)


NODE_CLASS_MAPPINGS = {kind.__name__: kind for kind in (DrawsLoader, DrawsText, DrawsSampler)}
