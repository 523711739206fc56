"""Settings of drawing: the home of each default, its help and its check."""

from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any

from promptlift.errors import ConfigError
from promptlift.illustrating.presets import PRESETS

_MULTIPLE = 8  # pixels that one latent stands for, in every VAE of the Stable Diffusion family


def _setting(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True, kw_only=True)
class IllustrationConfig:
    """What is drawn with, and how. Names are those of diffusers where it has one."""

    model: str = _setting(
        "pocket",
        f"{', '.join(PRESETS)}, or any diffusers text-to-image pipeline: a folder, a "
        ".safetensors file or a Hub name.",
    )
    refiner: str | None = _setting(
        None,
        "SDXL refiner: a folder, a .safetensors file, a Hub name, pocket for the pocket world's, "
        "or none for no refiner.",
    )
    model_config: str | None = _setting(
        None, "Folder of a pipeline whose configs and tokenizers a .safetensors file is read with."
    )
    num_inference_steps: int = _setting(40, "Denoising steps, base and refiner together.")
    denoising_end: float = _setting(
        0.8, "Share of the denoising after which the refiner takes over."
    )
    guidance_scale: float | None = _setting(
        None, "How closely the prompt is followed; the pipeline's own default unless given."
    )
    width: int | None = _setting(None, "Pixels; the model's own size unless given.")
    height: int | None = _setting(None, "Pixels; the model's own size unless given.")
    seed: int = _setting(0, "First seed of the noise.")
    seeds: int = _setting(1, "Pictures of each prompt, each from a seed of its own.")
    negative: str | None = _setting(None, "Negative prompt, for prompts that bring none.")
    prompt_2: str | None = _setting(None, "What SDXL's second text encoder reads instead.")
    long_prompts: str = _setting(
        "cut", "cut at CLIP's 75 tokens and say so, or chunk so that all of it is read."
    )
    device: str = _setting("auto", "auto, cpu, cuda, cuda:1 or mps (Apple).")
    dtype: str = _setting("auto", "auto, fp16, bf16 or fp32; auto is fp16, on a CPU fp32.")
    batch_size: int | None = _setting(
        None, "Pictures drawn together; by GPU memory unless given, 1 on a CPU."
    )
    offload: str = _setting(
        "none", "none, model or sequential: keep what is idle out of GPU memory."
    )
    vae_slicing: bool = _setting(False, "Decode the pictures of a batch one by one.")
    vae_tiling: bool = _setting(False, "Decode large pictures tile by tile; seams may show.")
    compile: bool = _setting(
        False, "Compile the denoising step: faster after some minutes; needs a C++ compiler."
    )
    offline: bool = _setting(False, "Never reach for the network.")

    def __post_init__(self) -> None:
        wrong = [
            f"{name} is {getattr(self, name)!r} and must be {must}"
            for name, fine, must in (
                ("num_inference_steps", self.num_inference_steps >= 1, "1 or more"),
                ("denoising_end", 0 < self.denoising_end < 1, "between 0 and 1"),
                ("guidance_scale", (self.guidance_scale or 0) >= 0, "0 or more"),
                ("width", _is_size(self.width), f"a multiple of {_MULTIPLE}, {_MULTIPLE} or more"),
                (
                    "height",
                    _is_size(self.height),
                    f"a multiple of {_MULTIPLE}, {_MULTIPLE} or more",
                ),
                ("seed", 0 <= self.seed < 2**63, "0 or more, below 2^63"),
                ("seeds", self.seeds >= 1, "1 or more"),
                ("long_prompts", self.long_prompts in ("cut", "chunk"), "cut or chunk"),
                ("dtype", self.dtype in ("auto", *DTYPES), f"auto, {', '.join(DTYPES)}"),
                ("batch_size", self.batch_size is None or self.batch_size >= 1, "1 or more"),
                ("offload", self.offload in OFFLOADS, " or ".join(OFFLOADS)),
            )
            if not fine
        ]
        if self.negative and self.guidance_scale is not None and self.guidance_scale <= 1:
            wrong.append(
                f"negative has no effect with guidance_scale {self.guidance_scale}: it needs one "
                "above 1, for which turbo models were not made"
            )
        if wrong:
            raise ConfigError("; ".join(wrong))

    @classmethod
    def resolve(cls, model: str | None = None, **options: Any) -> "IllustrationConfig":
        """The preset's settings where `model` is one, overridden by options that are not None.

        Raises:
            ConfigError: an option is not known or has a value that cannot be used.
        """
        name = cls.model if model is None else str(model)
        known = [item.name for item in fields(cls)]
        for option in options:
            if option not in known:
                near = get_close_matches(option, known, 1)
                hint = f"did you mean {near[0]}?" if near else f"these are: {', '.join(known)}"
                raise ConfigError(f"drawing has no option {option!r}; {hint}")
        settings = dict(PRESETS[name].settings) if name in PRESETS else {}
        settings |= {option: value for option, value in options.items() if value is not None}
        return cls(model=name, **settings)


DTYPES = {"fp16": "float16", "bf16": "bfloat16", "fp32": "float32"}  # and torch's names
OFFLOADS = ("none", "model", "sequential")


def _is_size(pixels: int | None) -> bool:
    return pixels is None or (pixels >= _MULTIPLE and pixels % _MULTIPLE == 0)
