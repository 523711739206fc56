"""Editors complete what the configs have: the typed keywords are equal to their fields."""

from collections.abc import Sequence
from inspect import Parameter, signature
from typing import get_type_hints

from promptlift.improving.config import ControlConfig, DecodingConfig
from promptlift.improving.improver import Improver
from promptlift.improving.keywords import ImproveOptions, Settings


def test_settings_are_the_fields_of_the_configs_with_their_types() -> None:
    fields = {**get_type_hints(DecodingConfig), **get_type_hints(ControlConfig)}
    as_given = {tuple[str, ...]: Sequence[str]}
    assert get_type_hints(Settings) == {name: as_given.get(t, t) for name, t in fields.items()}


def test_options_are_settings_and_the_parameters_of_a_stream() -> None:
    parameters = signature(Improver.improve_stream).parameters.values()
    own = {item.name: item.annotation for item in parameters if item.kind == Parameter.KEYWORD_ONLY}
    assert get_type_hints(ImproveOptions) == {**get_type_hints(Settings), **own}
