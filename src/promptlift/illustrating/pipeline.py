"""Loading diffusers pipelines: presets, folders, single files and Hub names, with a refiner."""

import contextlib
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from inspect import signature
from pathlib import Path
from typing import Any

from promptlift.devices import find_device, is_out_of_memory
from promptlift.errors import ConfigError, MissingExtraError, ModelError, first_line
from promptlift.illustrating.config import DTYPES, IllustrationConfig
from promptlift.illustrating.hub import SHARED, hub_folder
from promptlift.illustrating.presets import PRESETS, Weights
from promptlift.illustrating.single_file import load_single_file
from promptlift.illustrating.weights import Origin, files_of, read_index, variant_of

_REFINER = "StableDiffusionXLImg2ImgPipeline"
_SINGLE_FILES = (".safetensors", ".ckpt")
Report = Callable[[str], None]


@dataclass(frozen=True)
class Pipelines:
    """A base and perhaps a refiner, loaded, on their device.

    Attributes:
        base: any diffusers text-to-image pipeline.
        refiner: an SDXL image-to-image pipeline, or None.
        device: as torch names it.
        dtype: "float16", "bfloat16" or "float32".
        origins: of base and refiner.
    """

    base: Any
    refiner: Any
    device: str
    dtype: str
    origins: tuple[Origin, ...]

    @property
    def loaded(self) -> list[Any]:
        """Base and refiner, those that there are."""
        return [self.base] if self.refiner is None else [self.base, self.refiner]

    @property
    def is_clip(self) -> bool:
        """Whether prompts are encoded here: SDXL and Stable Diffusion 1 and 2."""
        kinds = {kind.__name__ for kind in type(self.base).__mro__}
        return bool(kinds & {"StableDiffusionXLPipeline", "StableDiffusionPipeline"})


def load_pipelines(config: IllustrationConfig, report: Report) -> Pipelines:
    """Load what a config names.

    Raises:
        ModelError: weights are missing, damaged, of another kind, or do not fit into memory.
        ConfigError: the device cannot do what is asked for, or the refiner is one that is gone.
        MissingExtraError: diffusers is not installed.
    """
    try:
        import torch
        import transformers  # noqa: F401

        with _quiet():
            import diffusers
    except ImportError as error:
        raise MissingExtraError("Drawing pictures", "illustrate") from error
    device = find_device(config.device)
    if device == "cpu" and config.offload != "none":
        raise ConfigError("--offload moves weights out of a GPU's memory; on a CPU it does nothing")
    dtype = _dtype_of(config, device)
    loader = _Loader(config, getattr(torch, dtype), report)
    preset = PRESETS.get(config.model)
    if preset and preset.notice:
        report(preset.notice)
    with _quiet():
        base, origin = loader.load(
            diffusers.DiffusionPipeline, config.model, preset.base if preset else None, {}
        )
        _check_base(base, config.model)
        origins, refiner = [origin], None
        if (name := _refiner_name(config)) is not None:
            shared = {part: getattr(base, part, None) for part in SHARED}
            if None in shared.values():
                raise ModelError(
                    f"{config.model} is not an SDXL model, so it cannot hand over to a refiner"
                )
            weights = preset.refiner if preset and config.refiner is None else None
            kind = diffusers.StableDiffusionXLImg2ImgPipeline
            refiner, origin = loader.load(kind, name, weights, shared)
            _check_refiner(refiner, base, name)
            origins.append(origin)
    found = Pipelines(base, refiner, device, dtype, tuple(origins))
    for pipeline in found.loaded:
        _prepare(pipeline, config, device)
    return found


def _dtype_of(config: IllustrationConfig, device: str) -> str:
    """The precision, as torch names it.

    Raises:
        ConfigError: the device cannot compute in it.
    """
    if config.dtype == "auto":
        return "float32" if device == "cpu" else "float16"
    if device == "cpu" and config.dtype == "fp16":
        raise ConfigError("dtype is fp16, which is slow and inexact on a CPU; use bf16 or fp32")
    return DTYPES[config.dtype]


@dataclass(frozen=True)
class _Loader:
    """Loads pipelines from any place, in one precision."""

    config: IllustrationConfig
    dtype: Any
    report: Report

    def load(
        self, kind: Any, name: str, weights: Weights | None, shared: dict[str, Any]
    ) -> tuple[Any, Origin]:
        """A pipeline of any place, and its origin; `shared` are components that it is given."""
        path = Path(weights.name if weights else name)
        there = path.is_dir()
        if weights and not there:
            self.report(f"{weights.name}, licence {weights.licence}")
            if weights.label:
                raise ModelError(f"{path} holds no bundled model. Reinstall promptlift.")
        half = str(self.dtype) == "torch.float16"
        options = {"torch_dtype": self.dtype, **shared}
        try:
            if path.suffix in _SINGLE_FILES:
                return load_single_file(kind, path, self.config, options, list(shared))
            label = (weights.label or weights.name) if weights else path.name if there else name
            if not there:
                path = hub_folder(
                    name, weights, self.config, self.report, half=half, without=list(shared)
                )
            class_name = read_index(path)["_class_name"]
            if kind.__name__ == "DiffusionPipeline" and class_name == _REFINER:
                raise ModelError(
                    f"{label} is a refiner: it belongs to --refiner, and --model is its base"
                )
            variant = variant_of(path, "fp16" if half else None)
            extra = {"add_watermarker": False} if "XL" in class_name else {}
            pipeline = kind.from_pretrained(
                path, variant=variant, local_files_only=True, **options, **extra
            )
            _check_whole(pipeline, path)
            files = files_of(path, variant=variant, without=list(shared))
            return pipeline, Origin(label, path, tuple(files))
        except (ModelError, ConfigError):
            raise
        # What diffusers, transformers and safetensors raise on damaged files has no common base.
        except Exception as error:
            raise ModelError(
                f"{path} cannot be loaded as a picture model: {first_line(error)}"
            ) from error


def _check_whole(pipeline: Any, path: Path) -> None:
    """Refuse weights that a file lacks: diffusers leaves them without data, and only logs it."""
    for part, module in pipeline.components.items():
        if not hasattr(module, "named_parameters"):
            continue
        lacking = [name for name, weight in module.named_parameters() if weight.is_meta]
        if lacking:
            raise ModelError(
                f"{path / part} lacks {len(lacking)} weights, {lacking[0]} the first; "
                "its file is incomplete or of another model"
            )


def _refiner_name(config: IllustrationConfig) -> str | None:
    if config.refiner is not None:
        if config.refiner == "pocket":  # 0.1.0 had it
            raise ConfigError(
                "the pocket world has no refiner any more: its pictures were worse with it. "
                "Leave refiner out, or name a folder or a Hub name."
            )
        return None if config.refiner == "none" else config.refiner
    preset = PRESETS.get(config.model)
    return preset.refiner.name if preset and preset.refiner else None


def _check_base(base: Any, name: str) -> None:
    parameters = signature(base.__call__).parameters
    if "prompt" not in parameters or "image" in list(parameters)[:3]:
        raise ModelError(f"{name} is a {type(base).__name__}, which does not draw from text alone")


def _check_refiner(refiner: Any, base: Any, name: str) -> None:
    width = sum(
        encoder.config.hidden_size
        for encoder in (refiner.text_encoder, refiner.text_encoder_2)
        if encoder is not None
    )
    wanted = refiner.unet.config.cross_attention_dim
    if width != wanted or refiner.unet.config.in_channels != base.unet.config.in_channels:
        raise ModelError(
            f"{name} is not a refiner for this base: it takes text of width {wanted} and the "
            f"encoders give {width}"
        )


def _prepare(pipeline: Any, config: IllustrationConfig, device: str) -> None:
    """Move a pipeline to its device, with what was asked for to save memory."""
    pipeline.set_progress_bar_config(disable=True)
    try:
        if config.offload == "model":
            pipeline.enable_model_cpu_offload(device=device)
        elif config.offload == "sequential":
            pipeline.enable_sequential_cpu_offload(device=device)
        else:
            pipeline.to(device)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise ModelError(
            f"the weights do not fit into the memory of {device}; try --offload model, "
            "or --refiner none"
        ) from error
    if config.vae_tiling:
        vae: Any = getattr(pipeline, "vae", None)
        if not hasattr(vae, "enable_tiling"):
            raise ConfigError(f"{type(pipeline).__name__} cannot tile its VAE")
        vae.enable_tiling()
    if config.compile:
        part = "unet" if getattr(pipeline, "unet", None) is not None else "transformer"
        getattr(pipeline, part).compile()  # in place: the pipeline looks at its class


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep progress bars and hints of the libraries out of a command's own lines."""
    from transformers.utils import logging as transformers_logging

    before = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    from diffusers.utils import logging as diffusers_logging

    earlier = diffusers_logging.get_verbosity()
    diffusers_logging.set_verbosity_error()
    diffusers_logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            # `dtype` is what newer versions call `torch_dtype`; older ones know only that.
            warnings.filterwarnings("ignore", "`torch_dtype` is deprecated", FutureWarning)
            yield
    finally:
        transformers_logging.set_verbosity(before)
        transformers_logging.enable_progress_bar()
        diffusers_logging.set_verbosity(earlier)
        diffusers_logging.enable_progress_bar()
