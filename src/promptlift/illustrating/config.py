"""Settings of drawing: the home of each default, its help and its check."""

from dataclasses import dataclass
from typing import Any

from promptlift.illustrating.presets import PRESETS
from promptlift.options import check, known_in, option

DTYPES = {"fp16": "float16", "bf16": "bfloat16", "fp32": "float32"}  # and torch's names
OFFLOADS = ("none", "model", "sequential")
_MULTIPLE = 8  # pixels that one latent stands for, in every VAE of the Stable Diffusion family


@dataclass(frozen=True, kw_only=True)
class IllustrationConfig:
    """What is drawn with, and how. Names are those of diffusers where it has one."""

    model: str = option(
        "pocket",
        f"{', '.join(PRESETS)}, or any diffusers text-to-image pipeline: a folder, a "
        ".safetensors file or a Hub name.",
        short="-m",
    )
    refiner: str | None = option(
        None,
        "SDXL refiner: a folder, a .safetensors file, a Hub name, pocket for the pocket world's, "
        "or none for no refiner.",
    )
    model_config: str | None = option(
        None, "Folder of a pipeline whose configs and tokenizers a .safetensors file is read with."
    )
    num_inference_steps: int = option(
        40, "Denoising steps, base and refiner together.", least=1, short="--steps"
    )
    denoising_end: float = option(
        0.8, "Share of the denoising after which the refiner takes over.", above=0, below=1
    )
    guidance_scale: float | None = option(
        None,
        "How closely pictures follow the prompt; unless given, the pipeline's own default.",
        least=0,
    )
    width: int | None = option(None, "Pixels; the model's own size unless given.")
    height: int | None = option(None, "Pixels; the model's own size unless given.")
    seed: int = option(0, "First seed of the noise.", least=0, most=2**63 - 1)
    seeds: int = option(1, "Pictures per prompt, each from its own seed.", least=1)
    negative: str | None = option(None, "Negative prompt for prompts without one.")
    prompt_2: str | None = option(None, "What SDXL's second text encoder reads instead.")
    long_prompts: str = option(
        "cut",
        "cut at CLIP's 75 tokens and say so, or chunk so that all of it is read.",
        choices=("cut", "chunk"),
    )
    device: str = option("auto", "auto, cpu, cuda, cuda:1 or mps (Apple).")
    dtype: str = option(
        "auto",
        "auto, fp16, bf16 or fp32; auto is fp16, on a CPU fp32.",
        choices=("auto", *DTYPES),
    )
    batch_size: int | None = option(
        None,
        "Pictures drawn together; unless given, as many as fit into GPU memory, and 1 on a CPU.",
        least=1,
    )
    offload: str = option(
        "none",
        "none, model or sequential: keep idle weights out of GPU memory.",
        choices=OFFLOADS,
    )
    vae_tiling: bool = option(False, "Decode large pictures tile by tile; seams may show.")
    compile: bool = option(
        False,
        "Compile the denoising step: faster after some minutes; needs a C++ compiler.",
    )
    offline: bool = option(False, "Do not use the network.")

    def __post_init__(self) -> None:
        wrong = [
            f"{name} is {value} and must be a multiple of {_MULTIPLE}, {_MULTIPLE} or more"
            for name, value in (("width", self.width), ("height", self.height))
            if not _is_size(value)
        ]
        if self.negative and self.guidance_scale is not None and self.guidance_scale <= 1:
            wrong.append(
                f"negative has no effect with guidance_scale {self.guidance_scale}: it needs one "
                "above 1, for which turbo models were not made"
            )
        check(self, *wrong)

    @classmethod
    def resolve(cls, model: str | None = None, **options: Any) -> "IllustrationConfig":
        """The preset's settings where `model` is one, overridden by options that are not None.

        Raises:
            ConfigError: an option is not known or has a value that cannot be used.
        """
        name = cls.model if model is None else str(model)
        known_in(cls, options, "drawing")
        settings = dict(PRESETS[name].settings) if name in PRESETS else {}
        settings |= {key: value for key, value in options.items() if value is not None}
        return cls(model=name, **settings)


def _is_size(pixels: int | None) -> bool:
    return pixels is None or (pixels >= _MULTIPLE and pixels % _MULTIPLE == 0)
