"""Taking additions out of an improvement by hand."""

from collections.abc import Collection, Mapping
from dataclasses import fields, replace
from typing import Any

from promptlift.errors import InputError
from promptlift.improving.checks import check_result
from promptlift.improving.config import ControlConfig
from promptlift.improving.target import Target, cut
from promptlift.prompts.reading import read
from promptlift.prompts.units import CLAUSE, SENTENCE
from promptlift.records import Improvement


def without(improvement: Improvement, removed: Collection[int]) -> Improvement:
    """An improvement without some of its additions, which `checks` lists under `removed`.

    Args:
        improvement: the improvement, edited before or not.
        removed: indices of additions to take out, among those that it still has.

    Raises:
        InputError: there is no such addition.
    """
    additions = improvement.additions
    if wrong := [place for place in removed if not 0 <= place < len(additions)]:
        raise InputError(f"there is no addition {wrong[0]}: there are {len(additions)}, from 0")
    if not removed:
        return improvement
    kept = tuple(phrase for place, phrase in enumerate(additions) if place not in removed)
    gone = tuple(phrase for place, phrase in enumerate(additions) if place in removed)
    target = _target(improvement)
    reading = read(target.source(improvement.source)[0])
    unit = SENTENCE if improvement.settings.get("form") == "paragraph" else CLAUSE
    checks: Mapping[str, Any] = {}
    if not target.is_plain:
        made = target.without(reading, improvement.prompt, additions, kept)
        prompt, words, kept = made.prompt, made.words, tuple(made.additions)
        checks = made.checks or {}
    elif improvement.prompt == reading.extended(additions, unit):
        kept = tuple(reading.fitted(kept, unit))
        prompt = words = reading.extended(kept, unit)
    else:
        prompt = words = cut(improvement.prompt, gone, unit)
    tokens, found = check_result(
        reading, words, kept, target.control.max_tokens, prose=unit is SENTENCE
    )
    return replace(
        improvement,
        prompt=prompt,
        additions=kept,
        clip_tokens=tokens,
        checks={**found, **checks, "removed": _of_the_first(improvement, removed)},
    )


def _of_the_first(improvement: Improvement, removed: Collection[int]) -> list[int]:
    """Indices among the additions that the improvement was made with."""
    earlier = set(improvement.checks.get("removed", ()))
    count = len(improvement.additions) + len(earlier)
    left = [place for place in range(count) if place not in earlier]
    return sorted(earlier | {left[place] for place in removed})


def _target(improvement: Improvement) -> Target:
    """What an improvement was made for."""
    known = {item.name for item in fields(ControlConfig)}
    settings: dict[str, Any] = {"max_prompt_tokens": None}  # of older records
    settings |= {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in improvement.settings.items()
        if name in known
    }
    return Target(ControlConfig(**settings))
