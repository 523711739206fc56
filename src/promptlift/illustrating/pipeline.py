"""Loading diffusers pipelines: presets, folders, single files and Hub names, with a refiner."""

import contextlib
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from inspect import signature
from pathlib import Path
from typing import Any

from promptlift.errors import ConfigError, MissingExtraError, ModelError
from promptlift.illustrating.config import IllustrationConfig
from promptlift.illustrating.device import device_of, dtype_of, is_out_of_memory
from promptlift.illustrating.presets import PRESETS, Weights
from promptlift.illustrating.single_file import first_line, load_single_file
from promptlift.illustrating.weights import Origin, files_of, read_index, variant_of
from promptlift.world import bundle

_SHARED = ("text_encoder_2", "vae")  # what a refiner takes from its base
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
    def is_clip(self) -> bool:
        """Whether prompts are encoded here: SDXL and Stable Diffusion 1 and 2."""
        kinds = {kind.__name__ for kind in type(self.base).__mro__}
        return bool(kinds & {"StableDiffusionXLPipeline", "StableDiffusionPipeline"})


def load_pipelines(config: IllustrationConfig, report: Report) -> Pipelines:
    """Load what a config names.

    Raises:
        ModelError: weights are missing, damaged, of another kind, or do not fit into memory.
        ConfigError: the device cannot do what is asked for.
        MissingExtraError: diffusers is not installed.
    """
    try:
        import torch
        import transformers  # noqa: F401

        with _quiet():
            import diffusers
    except ImportError as error:
        raise MissingExtraError("Drawing pictures", "illustrate") from error
    device = device_of(config)
    dtype = dtype_of(config, device)
    options = {"torch_dtype": getattr(torch, dtype)}
    preset = PRESETS.get(config.model)
    weights = preset.base if preset else None
    if preset and preset.notice:
        report(preset.notice)
    with _quiet():
        base, origin = _load(
            diffusers.DiffusionPipeline, config.model, weights, config, report, options
        )
        _check_base(base, config.model)
        origins = [origin]
        refiner = None
        if (name := _refiner_name(config)) is not None:
            shared = {part: getattr(base, part, None) for part in _SHARED}
            if None in shared.values():
                raise ModelError(f"{config.model} is no SDXL, so it cannot hand over to a refiner")
            weights = preset.refiner if preset and config.refiner is None else None
            kind = diffusers.StableDiffusionXLImg2ImgPipeline
            refiner, origin = _load(kind, name, weights, config, report, {**options, **shared})
            _check_refiner(refiner, base, name)
            origins.append(origin)
    for pipeline in filter(None, (base, refiner)):
        _prepare(pipeline, config, device)
    return Pipelines(base, refiner, device, dtype, tuple(origins))


def _load(
    kind: Any,
    name: str,
    weights: Weights | None,
    config: IllustrationConfig,
    report: Report,
    options: dict[str, Any],
) -> tuple[Any, Origin]:
    """A pipeline of any place, and its origin."""
    path = Path(weights.name if weights else name)
    if weights and not path.is_dir():
        report(f"{weights.name}, licence {weights.licence}")
    half = "float16" in str(options["torch_dtype"]).split(".")
    without = [part for part in _SHARED if part in options]
    if weights and weights.label and not path.is_dir():
        raise ModelError(f"{path} holds no bundled model. Reinstall promptlift.")
    try:
        if path.suffix in _SINGLE_FILES:
            return load_single_file(kind, path, config, options, without)
        own = path.name if path.is_dir() else name
        label = (weights.label or weights.name) if weights else own
        if not path.is_dir():
            path = _from_hub(name, weights, config, report, half=half, without=without)
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
        files = files_of(path, variant=variant, without=without)
        return pipeline, Origin(label, path, tuple(files))
    except (ModelError, ConfigError):
        raise
    # What diffusers, transformers and safetensors raise on damaged files has no common base.
    except Exception as error:
        raise ModelError(
            f"{path} cannot be loaded as a picture model: {first_line(error)}"
        ) from error


def _from_hub(
    name: str,
    weights: Weights | None,
    config: IllustrationConfig,
    report: Report,
    *,
    half: bool,
    without: list[str],
) -> Path:
    """The folder of a Hub model in the local cache, downloaded where that is allowed."""
    from diffusers import DiffusionPipeline
    from huggingface_hub.errors import HFValidationError

    hub = weights.name if weights else name
    lacking = _lacking(config, half=half) if weights else []
    if lacking and config.offline:
        raise ModelError(_by_hand(lacking, half=half))
    if not weights and (hub.count("/") != 1 or hub.startswith((".", "/", "~"))):
        raise ModelError(_unknown(name))
    options: dict[str, Any] = {"variant": "fp16" if half else None, **dict.fromkeys(without, True)}
    try:
        return Path(DiffusionPipeline.download(hub, local_files_only=True, **options))
    except HFValidationError as error:
        raise ModelError(_unknown(name)) from error
    except (OSError, ValueError):
        pass
    size = f", {weights.gigabytes * (1 if half else 2):.1f} GB" if weights else ""
    licence = f", licence {weights.licence}" if weights else ""
    command = download_command(hub, half=half)
    if config.offline:
        raise ModelError(f"{hub} is not on this machine. Download it once: {command}")
    report(f"{hub} is not on this machine; downloading it{size}{licence}")
    try:
        return Path(DiffusionPipeline.download(hub, **options))
    except Exception as error:
        raise ModelError(
            f"{hub} cannot be downloaded: {first_line(error)}. "
            + (
                _by_hand(lacking, half=half)
                if lacking
                else f"It is not on this machine; to download it by hand: {command}"
            )
        ) from error


def _lacking(config: IllustrationConfig, *, half: bool) -> list[Weights]:
    """What a preset draws with, base and refiner, and is not in the local cache."""
    from diffusers import DiffusionPipeline

    preset = PRESETS[config.model]
    refiner = preset.refiner if config.refiner is None else None
    found = []
    parts: list[tuple[Weights | None, tuple[str, ...]]] = [(preset.base, ()), (refiner, _SHARED)]
    for weights, without in parts:
        if weights is None or Path(weights.name).is_dir():
            continue
        options: dict[str, Any] = {"variant": "fp16" if half else None}
        options |= dict.fromkeys(without, True)
        try:
            DiffusionPipeline.download(weights.name, local_files_only=True, **options)
        except (OSError, ValueError):
            found.append(weights)
    return found


def _by_hand(lacking: list[Weights], *, half: bool) -> str:
    """How to download what a preset lacks: size, licence and command of each, and the sum."""
    first, *others = lacking
    sizes = [weights.gigabytes * (1 if half else 2) for weights in lacking]
    each = [
        f"{size:.1f} GB, licence {weights.licence}: {download_command(weights.name, half=half)}"
        for size, weights in zip(sizes, lacking, strict=True)
    ]
    nor = "".join(f", nor is {weights.name}" for weights in others)
    asked = f"Download both once, {sum(sizes):.1f} GB:" if others else "Download it once,"
    return f"{first.name} is not on this machine{nor}. {asked} {'; '.join(each)}"


def download_command(hub: str, *, half: bool) -> str:
    """What downloads a pipeline, and no other formats of it."""
    wanted = "*.fp16.safetensors" if half else "*/*model.safetensors"
    return f"hf download {hub} --include '*.json' --include '*.txt' --include '{wanted}'"


def _check_whole(pipeline: Any, path: Path) -> None:
    """diffusers leaves weights that a file lacks without any data, and says so in its log only."""
    for part, module in pipeline.components.items():
        if not hasattr(module, "named_parameters"):
            continue
        lacking = [name for name, weight in module.named_parameters() if weight.is_meta]
        if lacking:
            raise ModelError(
                f"{path / part} lacks {len(lacking)} weights, {lacking[0]} the first; "
                "its file is incomplete or of another model"
            )


def _unknown(name: str) -> str:
    near = get_close_matches(name, PRESETS, 1)
    hint = f"Did you mean {near[0]}? " if near else ""
    return (
        f"{name} is no preset ({', '.join(PRESETS)}), no folder, no file and no name of the Hub. "
        f"{hint}A folder must exist; a Hub name is written OWNER/NAME."
    )


def _refiner_name(config: IllustrationConfig) -> str | None:
    if config.refiner is not None:
        named = {"none": None, "pocket": str(bundle.REFINER)}
        return named.get(config.refiner, config.refiner)
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
            f"{name} is no refiner for this base: it takes text of width {wanted} and the "
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
    vae = getattr(pipeline, "vae", None)
    for asked, act in (
        (config.vae_slicing, "enable_slicing"),
        (config.vae_tiling, "enable_tiling"),
    ):
        if asked:
            if not hasattr(vae, act):
                raise ConfigError(f"{type(pipeline).__name__} cannot slice or tile its VAE")
            getattr(vae, act)()
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
