"""Pipelines of one .safetensors file, whose configs and tokenizers come from elsewhere."""

from pathlib import Path
from typing import Any

from promptlift.errors import ModelError, first_line
from promptlift.illustrating.config import IllustrationConfig
from promptlift.illustrating.weights import INDEX, Origin, files_beside


def load_single_file(
    kind: Any, path: Path, config: IllustrationConfig, options: dict[str, Any], without: list[str]
) -> tuple[Any, Origin]:
    """A pipeline of a file, and its origin.

    Args:
        kind: class of the pipeline; `DiffusionPipeline` where the file is to tell.
        path: of the file, in the original code's layout.
        config: its `model_config` is the folder to read it with; configs of the Hub otherwise.
        options: of `from_single_file`.
        without: components among them.

    Raises:
        ModelError: the file or the folder cannot be used.
    """
    import diffusers

    if not path.is_file():
        raise ModelError(f"{path} does not exist or is not a file")
    if path.suffix == ".ckpt":
        raise ModelError(f"{path} may run code when it is loaded; convert it to .safetensors")
    keys = _keys_of(path)
    if kind.__name__ == "DiffusionPipeline":
        kind = _kind_of(diffusers, keys)
    folder = Path(config.model_config) if config.model_config else None
    if folder is not None and not (folder / INDEX).is_file():
        raise ModelError(
            f"--model-config {folder} is not the folder of a pipeline: it holds no {INDEX}, "
            "as `save_pretrained` of a pipeline writes it"
        )
    local = {"config": str(folder)} if folder is not None else {}
    try:
        extra = {"add_watermarker": False} if "XL" in kind.__name__ else {}
        pipeline = kind.from_single_file(
            str(path), local_files_only=config.offline, **local, **options, **extra
        )
    except Exception as error:
        hint = (
            ". Its configs and tokenizers come from the Hub; --model-config FOLDER names a "
            "pipeline's folder to take them from"
        )
        hint = "" if folder is not None else hint
        raise ModelError(f"{path} cannot be loaded: {first_line(error)}{hint}") from error
    if folder is None:
        return pipeline, Origin(path.name, path.parent, (path,))
    beside = files_beside(folder, _parts_beside(pipeline, keys, without))
    return pipeline, Origin(path.name, path.parent, (path,), folder, tuple(beside))


def _parts_beside(pipeline: Any, keys: list[str], without: list[str]) -> dict[str, str]:
    """What the pipeline of a file has of the folder beside it, as `files_beside` takes it.

    As `from_single_file` of diffusers 0.42 does it: networks come from the file and their configs
    from the folder. A text encoder that the file lacks comes from the folder, weights and all.
    """
    from diffusers.loaders import FromOriginalModelMixin
    from diffusers.loaders.single_file_utils import is_clip_model_in_single_file

    found = {}
    for name, part in pipeline.components.items():
        if part is None or name in without:
            continue
        if not hasattr(part, "named_parameters"):
            found[name] = "files"
        elif isinstance(part, FromOriginalModelMixin) or is_clip_model_in_single_file(
            type(part), keys
        ):
            found[name] = "config"
        else:
            found[name] = "weights"
    return found


def _keys_of(path: Path) -> list[str]:
    """Names of the tensors of a .safetensors file, which must hold a denoising network.

    Raises:
        ModelError: it does not, or is damaged.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            keys = list(file.keys())
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path} is not a whole .safetensors file: {error}") from error
    if not any(key.startswith("model.diffusion_model.") for key in keys):
        raise ModelError(
            f"{path} holds no whole picture model ({len(keys)} tensors, the first {keys[:1]}); "
            "a LoRA, a VAE or a part of a pipeline cannot draw alone"
        )
    return keys


def _kind_of(diffusers: Any, keys: list[str]) -> Any:
    """SDXL where the file holds SDXL's second text encoder, Stable Diffusion otherwise."""
    is_xl = any(key.startswith("conditioner.embedders.1.") for key in keys)
    return diffusers.StableDiffusionXLPipeline if is_xl else diffusers.StableDiffusionPipeline
