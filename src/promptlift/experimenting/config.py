"""The config file of an experiment: sections of options that the commands take too."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path
from typing import Any

from promptlift.errors import ConfigError, InputError
from promptlift.experimenting.choices import Conditions, PairsChoice, TuneChoice
from promptlift.files import write_text
from promptlift.illustrating.config import IllustrationConfig
from promptlift.illustrating.sources import ImprovingChoice
from promptlift.judging.config import JudgingConfig
from promptlift.options import known_in, options_of
from promptlift.scoring.pictures.config import PictureScoringConfig
from promptlift.scoring.text.config import TextConfig
from promptlift.training.config import TrainingConfig
from promptlift.tuning.config import TuneConfig

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SHIPPED = ("pocket", "paper")
# How things are done, not what comes out: a run may go on with others.
_FREE = {
    "illustrate": {"device", "batch_size", "offload", "vae_tiling", "compile", "offline",
                   "url", "timeout_s", "attempts"},
    "tune": {"batch_size"},
    "pictures": {"device", "batch_size", "offline"},
    "texts": {"offline", "bertscore_batch_size"},
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ExperimentConfig(Conditions):
    """A whole experiment.

    Attributes:
        name: of the experiment.
        pairs: what is learned and measured on.
        train: how.
        encoder: what scores predictions after each epoch.
        improve: which prompts, and how.
        illustrate: what they are drawn with.
        tune: whether the rewriter is tuned by pictures, and what it is compared with.
        tuning: how.
        texts, pictures: how both are scored.
        judge: how people are asked.
    """

    name: str
    pairs: PairsChoice
    train: TrainingConfig
    encoder: TextConfig
    improve: ImprovingChoice
    illustrate: IllustrationConfig
    tune: TuneChoice
    tuning: TuneConfig
    texts: TextConfig
    pictures: PictureScoringConfig
    judge: JudgingConfig

    def settings(self) -> dict[str, Any]:
        """All that decides the results, flat, as "train.epochs"; judging keeps its own."""
        found: dict[str, Any] = {}
        for section in ("pairs", "train", "encoder", "improve", "illustrate", "texts", "pictures"):
            free = _FREE.get(section, set())
            chosen = getattr(self, section)
            values = chosen.settings() if hasattr(chosen, "settings") else asdict(chosen)
            for name, value in values.items():
                if name not in free:
                    found[f"{section}.{name}"] = list(value) if isinstance(value, tuple) else value
        if self.tune.enabled:  # a run that was begun before there was tuning goes on without
            values = asdict(self.tune) | asdict(self.tuning)
            names = sorted(SECTIONS["tune"] - _FREE["tune"])
            found |= {f"tune.{name}": values[name] for name in names}
        return found


def load_config(name: str) -> ExperimentConfig:
    """The config of a name in `SHIPPED`, or of a file.

    Raises:
        ConfigError: there is no such config, or it has a section, option or value that cannot be.
        InputError: the file cannot be read.
    """
    return config_of(name, parsed(name, read_config(name)))


def parsed(file: str, text: str) -> dict[str, Any]:
    """What TOML says; errors name the file."""
    try:
        found: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{file} is no TOML: {error}") from error
    return found


def read_config(
    name: str,
    shipped: Sequence[str] = SHIPPED,
    package: str = __package__,
    kind: str = "experiment",
) -> str:
    """The text of a config: one that a room ships, or a file.

    Args:
        name: of either.
        shipped: names of those that the room ships.
        package: the room.
        kind: what it is, as an error says it.

    Raises:
        ConfigError: there is none of that name.
        InputError: the file cannot be read.
    """
    if name in shipped:
        return (files(package) / f"{name}.toml").read_text(encoding="utf-8")
    path = Path(name)
    if not path.is_file():
        near = get_close_matches(name, shipped, 1)
        hint = f"Did you mean {near[0]}?" if near else f"There is: {', '.join(shipped)}."
        raise ConfigError(f"{name} is no {kind} and no file. {hint}")
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error


def copy_config(text: str, path: Path) -> None:
    """Write the text of a config to a file of one's own.

    Raises:
        ConfigError: the file exists.
    """
    if path.exists():
        raise ConfigError(f"{path} exists; name another file to copy to")
    write_text(path, text)


SECTIONS: dict[str, set[str]] = {
    "pairs": {item.name for item in fields(PairsChoice)},
    "train": {item.name for item in fields(TrainingConfig)} | {"preset", "encoder", "layer"},
    "improve": {item.name for item in fields(ImprovingChoice)},
    "illustrate": {item.name for item in fields(IllustrationConfig)},
    "tune": {*options_of(TuneChoice), *options_of(TuneConfig)},
    "texts": {item.name for item in fields(TextConfig)},
    "pictures": {item.name for item in fields(PictureScoringConfig)},
    "judge": {item.name for item in fields(JudgingConfig)} | {"enabled"},
}
_TOP = {"name", "gpu", "threads"}


def config_of(file: str, values: Mapping[str, Any]) -> ExperimentConfig:
    """The config of what a file says.

    Raises:
        ConfigError: a section, option or value cannot be; the line names the file.
    """
    known_in([*_TOP, *SECTIONS], values, file)
    parts: dict[str, dict[str, Any]] = {}
    for name, known in SECTIONS.items():
        part = values.get(name, {})
        if not isinstance(part, Mapping):
            raise ConfigError(f"{file}: {name} must be a section, [{name}]")
        known_in(known, part, f"{file} [{name}]")
        parts[name] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in part.items()
        }
    train, tune, judge = parts["train"], parts["tune"], parts["judge"]
    preset = str(train.pop("preset", "pocket"))
    encoder = {name: train.pop(name) for name in ("encoder", "layer") if name in train}
    chosen = {name: tune.pop(name) for name in options_of(TuneChoice) if name in tune}
    top = {name: values[name] for name in ("gpu", "threads") if name in values}
    if "enabled" in judge:
        top["judged"] = judge.pop("enabled")
    if isinstance(judge.get("raters", ()), str):
        raise ConfigError(f'{file} [judge]: raters must be a list, as ["me"]')
    made: dict[str, Any] = {}
    for section, make in (
        ("pairs", lambda: PairsChoice(**parts["pairs"])),
        ("train", lambda: TrainingConfig.resolve(preset, train)),
        ("encoder", lambda: TextConfig(**encoder)),
        ("improve", lambda: ImprovingChoice(**parts["improve"])),
        ("illustrate", lambda: IllustrationConfig.resolve(**parts["illustrate"])),
        ("tune", lambda: TuneChoice(**chosen)),
        ("tuning", lambda: TuneConfig(**tune)),
        ("texts", lambda: TextConfig(**parts["texts"])),
        ("pictures", lambda: PictureScoringConfig(**parts["pictures"])),
        ("judge", lambda: JudgingConfig(**judge)),
    ):
        try:
            made[section] = make()
        except (ConfigError, TypeError) as error:  # a text where a number must be
            named = "tune" if section == "tuning" else section
            raise ConfigError(f"{file} [{named}]: {error}") from error
    try:
        return ExperimentConfig(name=str(values.get("name", Path(file).stem)), **top, **made)
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from error
