"""The config file of an experiment: sections of options that the commands take too."""

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any

from promptlift.errors import ConfigError, InputError
from promptlift.files import write_text
from promptlift.illustrating.config import IllustrationConfig
from promptlift.illustrating.sources import ImprovingChoice
from promptlift.judging.config import JudgingConfig
from promptlift.scoring.pictures.config import PictureScoringConfig
from promptlift.scoring.text.config import TextConfig
from promptlift.training.config import TrainingConfig

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SHIPPED = ("pocket", "paper")
WORLDS = ("pocket", "control")
# How things are done, not what comes out: a run may go on with others.
_FREE = {
    "illustrate": {"device", "batch_size", "offload", "vae_tiling", "compile",
                   "offline"},
    "pictures": {"device", "batch_size", "offline"},
    "texts": {"offline", "bertscore_batch_size"},
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class PairsChoice:
    """Where pairs come from: a world that makes them, or data.

    Attributes:
        world: "pocket" or "control".
        count: of the world, scenes to learn from.
        test: of the world, scenes to measure on.
        data: a file, a folder or a name on the Hub. Where it has a split "test", that is measured
            on; otherwise pairs are set apart.
    """

    world: str | None = None
    count: int = 8000
    test: int = 300
    data: str | None = None

    def __post_init__(self) -> None:
        if (self.world is None) == (self.data is None):
            raise ConfigError("give world or data, one of both")
        if self.world is not None and self.world not in WORLDS:
            raise ConfigError(f"world is {self.world!r} and must be {' or '.join(WORLDS)}")
        for name in ("count", "test"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)} and must be 1 or more")


@dataclass(frozen=True, kw_only=True)
class ExperimentConfig:
    """A whole experiment.

    Attributes:
        name: of the experiment.
        gpu: whether not to begin without one.
        threads: of PyTorch on a CPU; its own choice where None.
        pairs: what is learned and measured on.
        train: how.
        encoder: what scores predictions after each epoch.
        improve: which prompts, and how.
        illustrate: what they are drawn with.
        texts, pictures: how both are scored.
        judge: how people are asked.
        judged: whether they are asked.
    """

    name: str
    gpu: bool
    threads: int | None
    pairs: PairsChoice
    train: TrainingConfig
    encoder: TextConfig
    improve: ImprovingChoice
    illustrate: IllustrationConfig
    texts: TextConfig
    pictures: PictureScoringConfig
    judge: JudgingConfig
    judged: bool

    def settings(self) -> dict[str, Any]:
        """All that decides the results, flat, as "train.epochs"; judging keeps its own."""
        found: dict[str, Any] = {}
        for section in ("pairs", "train", "encoder", "improve", "illustrate", "texts", "pictures"):
            free = _FREE.get(section, set())
            for name, value in asdict(getattr(self, section)).items():
                if name not in free:
                    found[f"{section}.{name}"] = list(value) if isinstance(value, tuple) else value
        return found


def load_config(name: str) -> ExperimentConfig:
    """The config of a name in `SHIPPED`, or of a file.

    Raises:
        ConfigError: there is no such config, or it has a section, option or value that cannot be.
        InputError: the file cannot be read.
    """
    text = read_config(name)
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{name} is no TOML: {error}") from error
    return _config(name, values)


def read_config(name: str) -> str:
    """The text of a config."""
    if name in SHIPPED:
        return (files("promptlift.experimenting") / f"{name}.toml").read_text(encoding="utf-8")
    path = Path(name)
    if not path.is_file():
        near = get_close_matches(name, SHIPPED, 1)
        hint = f"Did you mean {near[0]}?" if near else f"There is: {', '.join(SHIPPED)}."
        raise ConfigError(f"{name} is no experiment and no file. {hint}")
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error


def copy_config(name: str, path: Path) -> None:
    """Write a config to a file of one's own.

    Raises:
        ConfigError: the file exists.
    """
    if path.exists():
        raise ConfigError(f"{path} exists; name another file to copy to")
    write_text(path, read_config(name))


_SECTIONS: dict[str, set[str]] = {
    "pairs": {item.name for item in fields(PairsChoice)},
    "train": {item.name for item in fields(TrainingConfig)} | {"preset", "encoder", "layer"},
    "improve": {item.name for item in fields(ImprovingChoice)},
    "illustrate": {item.name for item in fields(IllustrationConfig)},
    "texts": {item.name for item in fields(TextConfig)},
    "pictures": {item.name for item in fields(PictureScoringConfig)},
    "judge": {item.name for item in fields(JudgingConfig)} | {"enabled"},
}
_TOP = {"name", "gpu", "threads"}


def _config(file: str, values: Mapping[str, Any]) -> ExperimentConfig:
    _check_names(file, "", values, _TOP | set(_SECTIONS))
    parts: dict[str, dict[str, Any]] = {}
    for name, known in _SECTIONS.items():
        part = values.get(name, {})
        if not isinstance(part, Mapping):
            raise ConfigError(f"{file}: {name} must be a section, [{name}]")
        _check_names(file, f"[{name}] ", part, known)
        parts[name] = dict(part)
    train, judge = parts["train"], parts["judge"]
    preset = str(train.pop("preset", "pocket"))
    encoder = {name: train.pop(name) for name in ("encoder", "layer") if name in train}
    judged = _flag(file, "[judge] enabled", judge.pop("enabled", False))
    if isinstance(judge.get("raters", []), str):
        raise ConfigError(f'{file} [judge]: raters must be a list, as ["me"]')
    made: dict[str, Any] = {}
    for section, make in (
        ("pairs", lambda: PairsChoice(**parts["pairs"])),
        ("train", lambda: TrainingConfig.resolve(preset, train)),
        ("encoder", lambda: TextConfig(**encoder)),
        ("improve", lambda: ImprovingChoice(**parts["improve"])),
        ("illustrate", lambda: IllustrationConfig.resolve(**parts["illustrate"])),
        ("texts", lambda: TextConfig(**parts["texts"])),
        ("pictures", lambda: PictureScoringConfig(**_tuples(parts["pictures"]))),
        ("judge", lambda: JudgingConfig(**_tuples(judge))),
    ):
        try:
            made[section] = make()
        except (ConfigError, TypeError) as error:  # a text where a number must be
            raise ConfigError(f"{file} [{section}]: {error}") from error
    threads = values.get("threads")
    if threads is not None and not (isinstance(threads, int) and threads >= 1):
        raise ConfigError(f"{file}: threads is {threads!r} and must be 1 or more")
    return ExperimentConfig(
        name=str(values.get("name", Path(file).stem)),
        gpu=_flag(file, "gpu", values.get("gpu", False)),
        threads=threads,
        judged=judged,
        **made,
    )


def _flag(file: str, name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise ConfigError(f"{file}: {name} is {value!r} and must be true or false")
    return value


def _check_names(file: str, where: str, given: Mapping[str, Any], known: set[str]) -> None:
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"there is: {', '.join(sorted(known))}"
            raise ConfigError(f"{file}: {where}{name} is not known; {hint}")


def _tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
    }
