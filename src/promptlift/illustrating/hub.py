"""Folders of Hub models: found in the local cache, or downloaded where that is allowed."""

from collections.abc import Callable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from promptlift.errors import ModelError, first_line
from promptlift.illustrating.config import IllustrationConfig
from promptlift.illustrating.presets import PRESETS, Weights

SHARED = ("text_encoder_2", "vae")  # what a refiner takes from its base


def hub_folder(
    name: str,
    weights: Weights | None,
    config: IllustrationConfig,
    report: Callable[[str], None],
    *,
    half: bool,
    without: Sequence[str],
) -> Path:
    """The folder of a Hub model in the local cache, downloaded where that is allowed.

    Args:
        name: as the user wrote it.
        weights: where it is a preset's.
        config: may forbid the network.
        report: called with lines about downloads.
        half: whether weights in half precision are preferred.
        without: components that come from elsewhere.

    Raises:
        ModelError: it is not there and cannot be downloaded, or its name is none.
    """
    from diffusers import DiffusionPipeline
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    hub = weights.name if weights else name
    try:
        validate_repo_id(hub)
        is_name = hub.count("/") == 1
    except HFValidationError:
        is_name = False
    if not is_name:
        raise ModelError(_unknown(name))
    lacking = _lacking(config, half=half) if weights else []
    if lacking and config.offline:
        raise ModelError(_by_hand(lacking, half=half))
    if (folder := _cached(hub, half=half, without=without)) is not None:
        return folder
    command = download_command(hub, half=half)
    if config.offline:
        raise ModelError(f"{hub} is not on this machine. Download it once: {command}")
    about = f", {_size(weights, half=half):.1f} GB, licence {weights.licence}" if weights else ""
    report(f"{hub} is not on this machine; downloading it{about}")
    try:
        return Path(DiffusionPipeline.download(hub, **_options(half=half, without=without)))
    except Exception as error:
        how = f"It is not on this machine; to download it by hand: {command}"
        how = _by_hand(lacking, half=half) if lacking else how
        raise ModelError(f"{hub} cannot be downloaded: {first_line(error)}. {how}") from error


def download_command(hub: str, *, half: bool) -> str:
    """The command that downloads a pipeline, and no other formats of it."""
    wanted = "*.fp16.safetensors" if half else "*/*model.safetensors"
    return f"hf download {hub} --include '*.json' --include '*.txt' --include '{wanted}'"


def _options(*, half: bool, without: Sequence[str]) -> dict[str, Any]:
    return {"variant": "fp16" if half else None, **dict.fromkeys(without, True)}


def _cached(hub: str, *, half: bool, without: Sequence[str]) -> Path | None:
    from diffusers import DiffusionPipeline

    options = _options(half=half, without=without)
    try:
        return Path(DiffusionPipeline.download(hub, local_files_only=True, **options))
    except (OSError, ValueError):
        return None


def _lacking(config: IllustrationConfig, *, half: bool) -> list[Weights]:
    """What a preset draws with, base and refiner, and is not in the local cache."""
    preset = PRESETS[config.model]
    refiner = preset.refiner if config.refiner is None else None
    parts: dict[Weights | None, tuple[str, ...]] = {preset.base: (), refiner: SHARED}
    return [
        weights
        for weights, without in parts.items()
        if weights is not None
        and not Path(weights.name).is_dir()
        and _cached(weights.name, half=half, without=without) is None
    ]


def _by_hand(lacking: Sequence[Weights], *, half: bool) -> str:
    """How to download what a preset lacks: size, licence and command of each, and the sum."""
    first, *others = lacking
    sizes = [_size(weights, half=half) for weights in lacking]
    each = [
        f"{size:.1f} GB, licence {weights.licence}: {download_command(weights.name, half=half)}"
        for size, weights in zip(sizes, lacking, strict=True)
    ]
    nor = "".join(f", nor is {weights.name}" for weights in others)
    asked = f"Download both once, {sum(sizes):.1f} GB:" if others else "Download it once,"
    return f"{first.name} is not on this machine{nor}. {asked} {'; '.join(each)}"


def _size(weights: Weights, *, half: bool) -> float:
    return weights.gigabytes * (1 if half else 2)


def _unknown(name: str) -> str:
    near = get_close_matches(name, PRESETS, 1)
    hint = f"Did you mean {near[0]}? " if near else ""
    return (
        f"{name} is not a preset ({', '.join(PRESETS)}), a folder, a file or a name on the Hub. "
        f"{hint}A folder must exist; a Hub name is written OWNER/NAME."
    )
