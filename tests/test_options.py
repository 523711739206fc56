"""Options come from the fields of configs: commands, checks and requests agree on them."""

from dataclasses import dataclass
from typing import Any

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError, create_model
from typer.testing import CliRunner

from promptlift.errors import ConfigError
from promptlift.improving.config import ControlConfig, DecodingConfig
from promptlift.options import REQUIRED, check, known_in, option, options_of, takes
from promptlift.web.answers import fields_of


@dataclass(frozen=True, kw_only=True)
class Settings:
    steps: int = option(4, "Steps.", least=1, short="-s")
    share: float = option(0.5, "Share.", above=0, below=1)
    kind: str = option("one", "Kind.", choices=("one", "two", "three"))
    strength: float | str = option("never", "Strength.")
    words: tuple[str, ...] = option((), "Words.")
    fast: bool = option(True, "Fast.", off="--slow")
    seed: int | None = option(None, "Seed.", shown="drawn")
    first: int = option(0, "First.")

    def __post_init__(self) -> None:
        check(self)


def run(*typed: str, **how: Any) -> tuple[Any, str]:
    """What a command is given of what was typed, and its help."""
    found: list[Any] = []

    def command(name: str = "x", settings: Any = None) -> None:
        found.append(settings)

    app = typer.Typer(rich_markup_mode=None)
    app.command()(takes(Settings, "settings", **how)(command))
    shown = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"}).stdout
    done = CliRunner().invoke(app, list(typed))
    return (found[0] if found else done.exit_code), shown


def test_a_command_is_given_what_was_typed_and_nothing_else() -> None:
    assert run()[0] == {}
    typed = ["-s", "7", "--share", "0.25", "--strength", "0.5", "--words", "a", "--words", "b",
             "--slow"]  # fmt: skip
    assert run(*typed)[0] == {
        "steps": 7, "share": 0.25, "strength": 0.5, "words": ("a", "b"), "fast": False,
    }  # fmt: skip
    assert run("--strength", "free")[0] == {"strength": "free"}
    assert run("--pace", "3", renamed={"steps": "pace"})[0] == {"steps": 3}
    assert run("--share", "0.1", without=["share"])[0] == 2
    assert run("--kind", "two", only=["share"])[0] == 2


def test_help_shows_each_option_once_with_its_default() -> None:
    shown = run()[1]
    defaults = {"steps": "[4]", "share": "[0.5]", "kind": "[one]", "strength": "[never]",
                "fast": "[on]", "seed": "[drawn]", "first": "[0]"}  # fmt: skip
    for name, default in defaults.items():
        [line] = [line for line in shown.splitlines() if f"--{name} " in line]
        assert default in line
    assert "--fast / --slow" in shown
    assert "[4]" not in run(show_defaults=False)[1]
    assert "[9]" in run(defaults={"steps": 9})[1]


def test_all_that_is_wrong_is_told_at_once() -> None:
    with pytest.raises(ConfigError) as error:
        Settings(steps=0, share=1.0, kind="four", seed=1.5)  # type: ignore[arg-type]
    assert str(error.value) == (
        "steps is 0 and must be 1 or more; share is 1.0 and must be between 0 and 1; "
        "kind is 'four' and must be one, two or three; seed is 1.5 and must be a whole number"
    )
    with pytest.raises(ConfigError, match="steps is True and must be a whole number"):
        Settings(steps=True)
    with pytest.raises(ConfigError, match="fast is 'no' and must be True or False"):
        Settings(fast="no")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="kind is 5 and must be text"):
        Settings(kind=5)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="drawing has no option 'stepps'; did you mean steps"):
        known_in(Settings, ["steps", "stepps"], "drawing")


NUMBERS = st.integers(-5, 2000) | st.floats(-3, 200) | st.sampled_from([float("inf"), 1e-9])


@pytest.mark.parametrize("config", [DecodingConfig, ControlConfig], ids=lambda one: one.__name__)
@given(value=NUMBERS)
def test_what_a_config_refuses_a_request_refuses_too(config: type, value: float) -> None:
    Body: type[BaseModel] = create_model("Body", **fields_of(config))
    for name, (item, known) in options_of(config).items():
        if item.type not in (int, float):
            continue
        try:
            config(**{name: value})
            fine = True
        except ConfigError as error:
            # Of two bounds that exclude each other, the other one is at fault.
            fine = "must be at most max_new_tokens" in str(error)
        try:
            Body.model_validate({name: value}, strict=True)
            taken = True
        except ValidationError:
            taken = False
        assert taken <= fine, (name, value, known)


def test_what_must_be_given_is_an_option_without_a_default() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Needs:
        name: str = option(REQUIRED, "Name.")
        parts: tuple[str, ...] = option(("one",), "Parts.", choices=("one", "two"))

        def __post_init__(self) -> None:
            check(self)

    with pytest.raises(TypeError, match="name"):
        Needs()
    with pytest.raises(ConfigError, match=r"parts is \('one', 'six'\) and must be one or two"):
        Needs(name="x", parts=("one", "six"))
    assert Needs(name="x", parts=("two", "one")).parts == ("two", "one")
    shown: list[Any] = []
    app = typer.Typer(rich_markup_mode=None)
    app.command()(takes(Needs, "settings")(lambda settings=None: shown.append(settings)))
    assert "Name.\n" in CliRunner().invoke(app, ["--help"]).stdout
    assert CliRunner().invoke(app, ["--name", "x"]).exit_code == 0 and shown == [{"name": "x"}]
