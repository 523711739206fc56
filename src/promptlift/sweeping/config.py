"""A sweep file: the config of an experiment with two sections more, [sweep] and [space]."""

import itertools
import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from promptlift.errors import ConfigError
from promptlift.experimenting.config import (
    SECTIONS,
    ExperimentConfig,
    config_of,
    parsed,
    read_config,
)
from promptlift.options import check, known_in, option
from promptlift.scoring.pictures.metrics import CLIP_METRICS, PAIR_METRICS
from promptlift.scoring.scores import Metric
from promptlift.scoring.text.metrics import TEXT_METRICS
from promptlift.sweeping.space import Choice, Part, space_of
from promptlift.training.evaluation import LOGGED

SHIPPED = (
    "pocket-learning-rate", "paper-epochs", "paper-learning-rate", "paper-batch-size",
    "paper-new-tokens", "paper-t5", "paper-lora",
)  # fmt: skip
LOSS = Metric(
    name="loss", title="loss on validation pairs", range=(0.0, None), higher_is_better=False,
    source="natural log a token, mean of batches; of the weights that the trial kept",
    compares="target",
)  # fmt: skip
_MOST = 10_000  # combinations of lists
# Sections that a trial's result depends on, and those of them that have a seed.
_USED = {
    "train": ("pairs", "train"),
    "texts": ("pairs", "train", "texts"),
    "all": ("pairs", "train", "improve", "illustrate", "tune", "texts", "pictures"),
}
_SEEDED = {
    "train": ("train",),
    "texts": ("train", "texts"),
    "all": ("train", "improve", "illustrate", "texts", "pictures"),
}
_FREE = ("name", "gpu", "threads")  # of a file: they decide nothing
_OWN = ("sweep", "space")


@dataclass(frozen=True, kw_only=True)
class SweepConfig:
    """How a space is searched; a setting is a value for each option of the space."""

    base: str | None = option(
        None,
        "Experiment that the file changes: pocket, paper or a config file.",
    )
    until: str = option(
        "train",
        "How far a trial goes: train; texts, where what its model writes is scored too; all, the "
        "whole experiment with its pictures.",
        choices=("train", "texts", "all"),
    )
    trained: str | None = option(
        None, "Run folder whose model all trials take: nothing is trained. Needs until = texts."
    )
    metric: str = option("loss", "What is to be best: loss, or a metric of texts or pictures.")
    settings: int | None = option(
        None, "Settings to propose; without it all combinations, of lists alone.", least=1
    )
    seeds: tuple[int, ...] = option((), "Each setting is tried once with each of these seeds.")
    seed: int = option(0, "Seed of what is proposed.", least=0)
    prune: bool | None = option(
        None,
        "End a trial whose loss after an epoch is above the median of the complete trials there.",
        shown="on where settings are proposed and the metric is loss",
    )

    def __post_init__(self) -> None:
        whole = all(isinstance(one, int) and not isinstance(one, bool) and one >= 0
                    for one in self.seeds)  # fmt: skip
        trains = self.trained is None
        check(
            self,
            "" if whole else f"seeds is {list(self.seeds)} and must be whole numbers, 0 or more",
            "seeds has one twice" if len(set(self.seeds)) < len(self.seeds) else "",
            "" if trains or self.until == "texts" else "trained needs until = \"texts\"",
            "prune goes by the loss, so it needs metric = \"loss\""
            if self.prune and self.metric != LOSS.name else "",
        )  # fmt: skip
        if self.metric not in (known := self.metrics()):
            near = get_close_matches(self.metric, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"there is: {', '.join(known)}"
            raise ConfigError(f"metric is {self.metric!r}, which no trial has; {hint}")

    def metrics(self) -> dict[str, Metric]:
        """What trials can be compared by: what they measure and has a better end."""
        texts = [one for one in TEXT_METRICS.values() if one.higher_is_better is not None]
        if self.until == "train":
            found = [one for one in texts if one.name in LOGGED]
        else:
            found = [*texts, *((*CLIP_METRICS, PAIR_METRICS[0]) if self.until == "all" else ())]
        return {one.name: one for one in ([LOSS] if self.trained is None else []) + found}


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """What a sweep file says.

    Attributes:
        file: its name, for errors.
        config: how the space is searched.
        space: what is searched.
        values: of the experiment, by section, as its own file would have them.
    """

    file: str
    config: SweepConfig
    space: tuple[Part, ...]
    values: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.values.get("name", Path(self.file).stem))

    @property
    def metric(self) -> Metric:
        """What is to be best."""
        return self.config.metrics()[self.config.metric]

    @property
    def is_grid(self) -> bool:
        """Whether all combinations are tried, and nothing is proposed."""
        return self.config.settings is None

    @property
    def prunes(self) -> bool:
        if self.config.prune is None:
            return not self.is_grid and self.config.metric == LOSS.name
        return self.config.prune

    @property
    def count(self) -> int:
        """The number of settings."""
        return self.config.settings or math.prod(len(part.values) for part in self.space)

    @property
    def seeds(self) -> tuple[int | None, ...]:
        """The seeds of each setting; None for those that the experiment has."""
        return self.config.seeds or (None,)

    @property
    def trials(self) -> int:
        """The number of trials: of each setting one for each seed."""
        return self.count * len(self.seeds)

    def combinations(self) -> Iterator[dict[str, Any]]:
        """The settings of a grid; the option that was named last changes first."""
        names = [part.name for part in self.space]
        for values in itertools.product(*(part.values for part in self.space)):
            yield dict(zip(names, values, strict=True))

    def experiment(self, setting: Mapping[str, Any], seed: int | None) -> ExperimentConfig:
        """The experiment of a trial.

        Raises:
            ConfigError: it cannot be, as where two values exclude each other.
        """
        values = {
            name: dict(found) if isinstance(found, Mapping) else found
            for name, found in self.values.items()
        }
        asked = dict(setting)
        if seed is not None:
            asked |= {f"{section}.seed": seed for section in _SEEDED[self.config.until]}
        for name, value in asked.items():
            section, key = name.split(".", 1)
            values.setdefault(section, {})[key] = value
        return config_of(self.file, values)

    def given(self) -> dict[str, Any]:
        """All that decides a sweep's trials, flat; more settings may be proposed later."""
        sweep = asdict(self.config) | {"settings": "all" if self.is_grid else "proposed"}
        del sweep["base"]  # its values are here
        found = {f"sweep.{name}": value for name, value in sweep.items()}
        for section, options in self.values.items():
            if section not in _FREE:
                found |= {f"{section}.{name}": value for name, value in options.items()}
        for part in self.space:
            known = {item.name: getattr(part, item.name) for item in fields(part)}
            del known["name"]
            found[f"space {part.name}"] = known["values"] if isinstance(part, Choice) else known
        return {name: list(one) if isinstance(one, tuple) else one for name, one in found.items()}


def load_sweep(name: str) -> Sweep:
    """The sweep of a name in `SHIPPED`, or of a file.

    Raises:
        ConfigError: there is no such sweep, or it has a section, option or value that cannot be.
        InputError: a file cannot be read.
    """
    found = parsed(name, read_sweep(name))
    own = {section: found.pop(section, {}) for section in _OWN}
    if not isinstance(own["sweep"], Mapping):
        raise ConfigError(f"{name}: sweep must be a section, [sweep]")
    known_in(SweepConfig, own["sweep"], f"{name} [sweep]")
    if not isinstance(own["sweep"].get("seeds", []), list):
        raise ConfigError(f"{name} [sweep]: seeds must be a list, as [1, 2, 3]")
    given: dict[str, Any] = {**own["sweep"], "seeds": tuple(own["sweep"].get("seeds", []))}
    try:
        config = SweepConfig(**given)
    except (ConfigError, TypeError) as error:
        raise ConfigError(f"{name} [sweep]: {error}") from error
    base = {} if config.base is None else parsed(config.base, read_config(config.base))
    base.pop("name", None)
    values = _over(base, found)
    config_of(name, values)
    used = ("texts",) if config.trained else _USED[config.until]
    space = space_of(name, own["space"], {section: _swept(section) for section in used})
    sweep = Sweep(file=name, config=config, space=space, values=values)
    _check(sweep)
    return sweep


def read_sweep(name: str) -> str:
    """The text of a sweep file, as `read_config` has that of an experiment."""
    return read_config(name, SHIPPED, "promptlift.sweeping", "sweep")


def _over(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """The values of an experiment, and over them those of the file."""
    found = dict(base)
    for name, value in own.items():
        both = isinstance(value, Mapping) and isinstance(base.get(name), Mapping)
        found[name] = {**base[name], **value} if both else value
    return found


def _swept(section: str) -> Collection[str]:
    """Options of a section that a space may have; seeds are `seeds` of the sweep."""
    return [name for name in sorted(SECTIONS[section]) if name != "seed"]


def _check(sweep: Sweep) -> None:
    """Refuse what no trial could do, before the first one.

    Raises:
        ConfigError: a value or a combination cannot be, or there are too many.
    """
    ranges = [part.name for part in sweep.space if not isinstance(part, Choice)]
    if sweep.is_grid and ranges:
        raise ConfigError(
            f"{sweep.file} [sweep]: say how many settings to propose, as settings = 20; without "
            f"it all combinations are tried, and {ranges[0]} is a range"
        )
    if sweep.is_grid and sweep.count > _MOST:
        raise ConfigError(
            f"{sweep.file} [space] has {sweep.count:,} combinations; settings = N in [sweep] "
            "proposes some of them"
        )
    first = {part.name: part.values[0] for part in sweep.space}
    tried = (
        sweep.combinations()
        if sweep.is_grid
        else ({**first, part.name: value} for part in sweep.space for value in part.values)
    )
    for setting in tried:
        try:
            config = sweep.experiment(setting, None)
        except ConfigError as error:
            named = ", ".join(f"{name} = {value!r}" for name, value in setting.items())
            raise ConfigError(f"{error} (in [space]: {named})") from error
        measured = config.train.evaluation_decoding != "none" or sweep.config.until != "train"
        if sweep.metric is not LOSS and not measured:
            raise ConfigError(
                f"{sweep.file}: {sweep.metric.name} is measured where predictions are generated "
                'after each epoch: evaluation_decoding = "model" in [train]'
            )
