"""The space of a sweep: by option a list of values, or a range to propose values from."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from promptlift.errors import ConfigError
from promptlift.options import known_in

Value = str | int | float | bool
_KEYS = ("low", "high", "log", "step")


@dataclass(frozen=True, kw_only=True)
class Choice:
    """An option that takes one of some values.

    Attributes:
        name: section and option, as "train.epochs".
        values: one or more, all different.
    """

    name: str
    values: tuple[Value, ...]


@dataclass(frozen=True, kw_only=True)
class Range:
    """An option that takes any number of a range; a whole one where both ends are whole.

    Attributes:
        name: section and option, as "train.learning_rate".
        low, high: its ends, which belong to it.
        log: whether each power of ten gets as many values as another.
        step: distance of the values; any where None.
    """

    name: str
    low: float
    high: float
    log: bool = False
    step: float | None = None

    @property
    def values(self) -> tuple[Value, ...]:
        """Both ends."""
        return self.low, self.high

    @property
    def whole(self) -> bool:
        """Whether it gives whole numbers."""
        return isinstance(self.low, int) and isinstance(self.high, int)


Part = Choice | Range


def space_of(file: str, found: Any, sections: Mapping[str, Collection[str]]) -> tuple[Part, ...]:
    """The space that `[space]` of a file describes.

    Args:
        file: named in errors.
        found: the section, as TOML gives it: `train.epochs = [5, 10]` is a table in a table.
        sections: options by section that a trial's result can depend on.

    Raises:
        ConfigError: the space is empty, or has what it cannot have.
    """
    where = f"{file} [space]"
    if not isinstance(found, Mapping) or not any(found.values()):
        raise ConfigError(f"{where} is empty; name options with values: train.epochs = [5, 10]")
    known_in(sections, found, f"{where}, whose options are SECTION.NAME,")
    parts: list[Part] = []
    for section, options in found.items():
        if not isinstance(options, Mapping):
            raise ConfigError(f"{where}: name an option of {section}, as {section}.NAME = [1, 2]")
        known_in(sections[section], options, f"{where} {section}")
        parts += [_part(where, f"{section}.{name}", value) for name, value in options.items()]
    return tuple(parts)


def _part(where: str, name: str, value: Any) -> Part:
    if isinstance(value, Mapping):
        return _range(where, name, value)
    if not isinstance(value, list) or not value:
        raise ConfigError(
            f"{where}: {name} is {value!r} and must be a list of values or a range, "
            "as {low = 1e-5, high = 1e-3, log = true}"
        )
    for one in value:
        if not isinstance(one, Value):
            raise ConfigError(f"{where}: {name} has {one!r}; values are texts, numbers or booleans")
    if len({(type(one), one) for one in value}) < len(value):
        raise ConfigError(f"{where}: {name} has a value twice")
    return Choice(name=name, values=tuple(value))


def _range(where: str, name: str, value: Mapping[str, Any]) -> Range:
    known_in(_KEYS, value, f"{where} {name}")
    numbers = {key: value[key] for key in ("low", "high", "step") if key in value}
    wrong = {"low", "high"} - set(numbers) or any(map(_no_number, numbers.values()))
    if wrong:
        raise ConfigError(f"{where}: {name} needs finite numbers: low, high and, if any, step")
    low, high, step = numbers["low"], numbers["high"], numbers.get("step")
    log = value.get("log", False)
    found = Range(name=name, low=low, high=high, log=log, step=step)
    problems = {
        f"low is {low:g} and must be below high, {high:g}": low >= high,
        "log must be true or false": not isinstance(log, bool),
        f"low is {low:g} and must be above 0 where log is true": log is True and low <= 0,
        "log and step exclude each other": bool(log) and step is not None,
        "step must be above 0": step is not None and step <= 0,
        "step must be a whole number, as low and high are": found.whole
        and not isinstance(step, int | None),
    }
    for message, applies in problems.items():
        if applies:
            raise ConfigError(f"{where}: {name}: {message}")
    return found


def _no_number(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return not is_number or not math.isfinite(value)
