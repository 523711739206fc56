"""Settings of drawing: the home of each default, its help and its check."""

import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from promptlift.endpoint import key_for, wrong_url
from promptlift.errors import ConfigError
from promptlift.illustrating.presets import PRESETS
from promptlift.options import check, flag, known_in, option

DTYPES = {"fp16": "float16", "bf16": "bfloat16", "fp32": "float32"}  # and torch's names
OFFLOADS = ("none", "model", "sequential")
DIFFUSERS = "diffusers"
# Servers that draw, with the address at which each usually is.
SERVERS = {"comfyui": "http://127.0.0.1:8188", "a1111": "http://127.0.0.1:7860", "openai": None}
URL_VARIABLE, KEY_VARIABLE = "PROMPTLIFT_PICTURE_URL", "PROMPTLIFT_PICTURE_API_KEY"
_VENDOR = "https://api.openai.com/v1"
_STEPS = 40
_PLACE = re.compile(r"\w+=[^.=\s]+(?:\.\w+)?")
_OF_SERVERS = ("url", "timeout_s", "attempts")
_OF_ALL = (
    "backend", "model", "num_inference_steps", "guidance_scale", "width", "height", "seed",
    "seeds", "negative", "batch_size", "offline",
)  # fmt: skip
_OF_ONE = {"comfyui": ("workflow", "place", "sampler"), "a1111": ("sampler",), "openai": ()}
_MULTIPLE = 8  # pixels that one latent stands for, in every VAE of the Stable Diffusion family


@dataclass(frozen=True, kw_only=True)
class IllustrationConfig:
    """What is drawn with, and how. Names are those of diffusers where it has one."""

    backend: str = option(
        DIFFUSERS,
        "What draws: diffusers here, or a server that runs: comfyui, a1111 (Forge and SD.Next "
        "too), openai (any endpoint with /images/generations).",
        choices=(DIFFUSERS, *SERVERS),
    )
    url: str | None = option(
        None,
        "Address of the server.",
        shown=f"{URL_VARIABLE}, or the usual port on this computer",
    )
    workflow: str | None = option(
        None, "ComfyUI's workflow, saved by “Export (API)”; or a picture that it drew."
    )
    place: tuple[str, ...] = option(
        (),
        "Where the workflow takes something, as NAME=NODE.INPUT, where it is not found: prompt, "
        "negative, seed, width, height, steps, guidance, sampler, model; or output=NODE.",
    )
    sampler: str | None = option(None, "Sampler of the server.", shown="its own")
    timeout_s: float = option(
        600.0, "Seconds after which a server's picture has failed.", above=0, most=86_400
    )
    attempts: int = option(6, "Requests for a picture until it has failed.", least=1)
    model: str = option(
        "pocket",
        f"{', '.join(PRESETS)}, or any diffusers text-to-image pipeline: a folder, a "
        ".safetensors file or a Hub name; of a server, one of its models.",
        short="-m",
    )
    refiner: str | None = option(
        None,
        "SDXL refiner: a folder, a .safetensors file, a Hub name, or none for no refiner.",
    )
    model_config: str | None = option(
        None, "Folder of a pipeline whose configs and tokenizers a .safetensors file is read with."
    )
    num_inference_steps: int | None = option(
        None,
        "Denoising steps, base and refiner together.",
        least=1,
        short="--steps",
        shown=f"{_STEPS}; a server's own",
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
        "Pictures drawn together; unless given, as many as fit into GPU memory, and 1 on a CPU. "
        "Of a server, pictures asked for at once; unless given, 1.",
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
        if self.num_inference_steps is None and not self.is_server:
            object.__setattr__(self, "num_inference_steps", _STEPS)
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
        if self.url is not None:
            wrong.append(wrong_url(self.url, "url", "http://127.0.0.1:8188"))
        wrong += [
            f"place is {item!r} and must be like prompt=6.text"
            for item in self.place
            if not _PLACE.fullmatch(item)
        ]
        check(self, *wrong)

    def settings(self) -> dict[str, Any]:
        """The settings as files have them: those of servers only where one draws."""
        found = asdict(self)
        hidden = set() if self.is_server else {"backend", *_ONLY_SERVERS}
        return {name: value for name, value in found.items() if name not in hidden}

    @property
    def is_server(self) -> bool:
        """Whether a server draws."""
        return self.backend in SERVERS

    @property
    def server_url(self) -> str:
        """The address of the server.

        Raises:
            ConfigError: it has no usual one, and none is named.
        """
        url = self.url or os.environ.get(URL_VARIABLE) or SERVERS[self.backend]
        if not url:
            raise ConfigError(f"name the server with --url, or with {URL_VARIABLE}")
        if wrong := wrong_url(url, URL_VARIABLE, "http://127.0.0.1:8188"):
            raise ConfigError(wrong)
        return url.rstrip("/").removesuffix("/images/generations").rstrip("/")

    def server_key(self, environment: Mapping[str, str] = os.environ) -> str | None:
        """The key to send to the server, None for none.

        Ours goes to PROMPTLIFT_PICTURE_URL where that is set, and else to whatever address was
        named; OPENAI_API_KEY to OPENAI_BASE_URL where that is set, and else to the vendor.

        Raises:
            ConfigError: it holds what no HTTP header may hold.
        """
        owners = [(KEY_VARIABLE, environment.get(URL_VARIABLE) or self.server_url)]
        if self.backend == "openai":
            owners.append(("OPENAI_API_KEY", environment.get("OPENAI_BASE_URL") or _VENDOR))
        return key_for(self.server_url, owners, environment)

    @classmethod
    def resolve(cls, model: str | None = None, **options: Any) -> "IllustrationConfig":
        """The preset's settings where `model` is one, overridden by options that are not None.

        Raises:
            ConfigError: an option is not known or has a value that cannot be used.
        """
        known_in(cls, options, "drawing")
        given = {key: value for key, value in options.items() if value is not None}
        backend = given.get("backend", cls.backend)
        own = "" if backend in SERVERS else cls.model
        name = own if model is None else str(model)
        settings = {}
        if backend in SERVERS:
            _check_given(given, {*_OF_ALL, *_OF_SERVERS, *_OF_ONE[backend]}, backend)
        else:
            _check_given(given, {item.name for item in fields(cls)} - _ONLY_SERVERS, backend)
            settings = dict(PRESETS[name].settings) if name in PRESETS else {}
        return cls(model=name, **{**settings, **given})


_ONLY_SERVERS = {*_OF_SERVERS, *(name for names in _OF_ONE.values() for name in names)}


def _check_given(given: Mapping[str, Any], known: set[str], backend: str) -> None:
    """Refuse what a backend does not read, rather than draw otherwise than was asked for."""
    own = {item.name: item.default for item in fields(IllustrationConfig)}
    if wrong := [
        flag(name) for name, value in given.items() if name not in known and value != own[name]
    ]:
        raise ConfigError(f"{', '.join(wrong)} cannot be used with --backend {backend}")


def _is_size(pixels: int | None) -> bool:
    return pixels is None or (pixels >= _MULTIPLE and pixels % _MULTIPLE == 0)
