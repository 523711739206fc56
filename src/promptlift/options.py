"""Settings have one home, the fields of a config; commands and requests are made from it.

A field holds type, default, range, choices and help. `check` refuses what cannot be used, `takes`
gives a command the options of a config, and `web.answers.fields_of` a request its fields.
"""

import inspect
import keyword
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import MISSING, Field, dataclass, field, fields
from difflib import get_close_matches
from functools import wraps
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from promptlift.errors import ConfigError

Command = TypeVar("Command", bound=Callable[..., Any])
REQUIRED = MISSING  # the default of a setting that must be given
_KEY = "option"
_FEW = 5  # choices among which one finds the right one at a glance
# For a field of each type, what its value may be, and that in words.
_KINDS: dict[type, tuple[type, str]] = {
    bool: (bool, "True or False"),
    str: (str, "text"),
    int: (Integral, "a whole number"),
    float: (Real, "a number"),
}


@dataclass(frozen=True, kw_only=True)
class Option:
    """What is known of a setting beside its type and default.

    Attributes:
        help: what it does, in a sentence.
        choices: the values it may have; none for any.
        least, most: the ends of its range; `above` and `below` leave them out.
        shown: what help shows as the default, where it is not the value itself.
        short: another flag for it, as "-n".
        off: the flag that switches it off, where that is not "--no-NAME".
        typed: what it is called on the command line, where that is not its name.
    """

    help: str
    choices: tuple[str, ...] = ()
    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None
    shown: str | None = None
    short: str | None = None
    off: str | None = None
    typed: str | None = None

    def allows(self, value: Any) -> bool:
        """Whether a value lies in the range or is a choice; of several, whether all are."""
        if self.choices:
            return (
                {*value} <= {*self.choices} if isinstance(value, tuple) else value in self.choices
            )
        if not isinstance(value, Real):
            return True
        value = float(value)
        return (
            math.isfinite(value)
            and (self.least is None or value >= self.least)
            and (self.above is None or value > self.above)
            and (self.most is None or value <= self.most)
            and (self.below is None or value < self.below)
        )

    @property
    def must_be(self) -> str:
        """The range or the choices in words."""
        if self.choices:
            return " or ".join(filter(None, [", ".join(self.choices[:-1]), self.choices[-1]]))
        if self.least is not None and self.most is not None:
            return f"from {self.least:,g} to {self.most:,g}"
        if self.above is not None and self.below is not None:
            return f"between {self.above:,g} and {self.below:,g}"
        ends = (
            ("{} or more", self.least), ("above {}", self.above),
            ("at most {}", self.most), ("below {}", self.below),
        )  # fmt: skip
        words = [text.format(f"{end:,g}") for text, end in ends if end is not None]
        return " and ".join(words) or "a finite number"


def option(default: Any, help: str, **known: Any) -> Any:
    """A field of a config; `known` are the fields of `Option`, which its metadata have too.

    A setting whose default is `REQUIRED` must be given.
    """
    made = Option(help=help, **known)
    return field(default=default, metadata={**vars(made), _KEY: made})


def options_of(config: type) -> dict[str, tuple["Field[Any]", Option]]:
    """The settings of a config by name: those of its fields that `option` made."""
    return {
        item.name: (item, item.metadata[_KEY]) for item in fields(config) if _KEY in item.metadata
    }


def check(config: Any, *more: str) -> None:
    """Refuse a config whose settings are outside their ranges, all of them in one line.

    Args:
        config: an instance of a config.
        more: what else is wrong with it.

    Raises:
        ConfigError: something is wrong.
    """
    values = (
        (name, getattr(config, name), item, known)
        for name, (item, known) in options_of(type(config)).items()
    )
    wrong = []
    for name, value, item, known in values:
        if value is None:
            continue
        if (kind := _wrong_kind(item, value)) is not None:
            wrong.append(f"{name} is {value!r} and must be {kind}")
        elif not known.allows(value):
            wrong.append(f"{name} is {value!r} and must be {known.must_be}{_nearest(value, known)}")
    if problems := [*wrong, *filter(None, more)]:
        raise ConfigError("; ".join(problems))


def _nearest(value: Any, known: Option) -> str:
    """Of many choices the one that may have been meant, in words."""
    several = isinstance(value, str) and len(known.choices) > _FEW
    near = get_close_matches(str(value).lower(), known.choices, 1) if several else []
    return f"; did you mean {near[0]}?" if near else ""


def _wrong_kind(item: "Field[Any]", value: Any) -> str | None:
    """What a value must be to be of a field's type, where it is not; None where it is."""
    kind, *others = set(kinds(item.type))
    if others or kind not in _KINDS:
        return None
    accepted, words = _KINDS[kind]
    # To Python, True is a whole number.
    fits = isinstance(value, accepted) and isinstance(value, bool) == (kind is bool)
    return None if fits else words


def known_in(config: type | Iterable[str], names: Iterable[str], what: str) -> None:
    """Raise ConfigError unless a config, or a list, has all of these names of settings.

    `what` names it in the error.
    """
    known = list(options_of(config) if isinstance(config, type) else config)
    for name in names:
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]}?" if near else f"these are: {', '.join(known)}"
            raise ConfigError(f"{what} has no option {name!r}; {hint}")


def flag(name: str) -> str:
    """An option as it is typed."""
    return f"--{name.replace('_', '-')}"


def takes(
    config: type,
    into: str,
    *,
    only: Collection[str] | None = None,
    without: Collection[str] = (),
    renamed: Mapping[str, str] | None = None,
    defaults: Mapping[str, Any] | None = None,
    show_defaults: bool = True,
) -> Callable[[Command], Command]:
    """Give a command the options of a config.

    What was typed reaches the command as a mapping from the config's names to values; options that
    were not typed are not in it, so that presets and files have their say.

    Args:
        config: the config.
        into: the command's parameter for the mapping.
        only: the settings it takes; all where None.
        without: settings that it does not take.
        renamed: what a setting is called on the command line, by its name in the config.
        defaults: what help shows for a default that the command overrides.
        show_defaults: not where presets or model cards have defaults of their own.
    """
    names = {
        name: (renamed or {}).get(name, known.typed or name)
        for name, (_, known) in options_of(config).items()
        if (only is None or name in only) and name not in without
    }
    known = options_of(config)

    def add(command: Command) -> Command:
        signature = inspect.signature(command)
        own = [item for item in signature.parameters.values() if item.name != into]
        made = [
            inspect.Parameter(
                _parameter(typed),
                inspect.Parameter.KEYWORD_ONLY,
                default=None,
                annotation=_typed(
                    *known[name],
                    typed,
                    (defaults or {}).get(name, known[name][0].default if show_defaults else None),
                ),
            )
            for name, typed in names.items()
        ]

        @wraps(command)
        def run(*args: Any, **kwargs: Any) -> Any:
            given = {name: kwargs.pop(_parameter(typed), None) for name, typed in names.items()}
            kwargs[into] = {
                name: _value(known[name][0], value)
                for name, value in given.items()
                if value is not None
            }
            return command(*args, **kwargs)

        run.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=sorted([*own, *made], key=lambda item: item.kind)
        )
        run.__annotations__ = {
            **{name: hint for name, hint in command.__annotations__.items() if name != into},
            **{item.name: item.annotation for item in made},
        }
        return run  # type: ignore[return-value]

    return add


def _parameter(typed: str) -> str:
    """The parameter of an option: `for` is a word of Python's."""
    return f"{typed}_" if keyword.iskeyword(typed) else typed


def _typed(item: "Field[Any]", known: Option, name: str, default: Any) -> Any:
    """The annotation by which Typer makes an option of a field."""
    import typer

    shown = known.shown
    if shown is None and default is not False and default not in (None, (), REQUIRED):
        shown = _shown(default)
    types = set(kinds(item.type))
    listed = tuple in types
    kind = str if listed or {float, str} <= types else next(iter(types))
    flags = [known.short] if known.short else []
    off = f"/{known.off or flag(f'no-{name}')}" if kind is bool else ""
    flags.append(flag(name) + off)
    made = typer.Option(
        *flags,
        help=known.help + (f" [{shown}]" if shown else ""),
        show_default=False,
    )
    return Annotated[(list[str] if listed else kind) | None, made]


def kinds(hint: Any) -> Iterator[type]:
    """The types that a field may have beside None; of `tuple[str, ...]` it is `tuple`."""
    if get_origin(hint) in (Union, UnionType):
        for part in get_args(hint):
            yield from kinds(part)
    elif hint is not NoneType:
        yield get_origin(hint) or hint


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value))
    if value is True:
        return "on"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _value(item: "Field[Any]", given: Any) -> Any:
    """What was typed, as the config has it."""
    types = set(kinds(item.type))
    if tuple in types:
        return tuple(given)
    if {float, str} <= types:
        with suppress(ValueError):  # of a word: the config says which there are
            return float(given)
    return given
