"""Taking additions out of an improvement by hand, and pinning others to it."""

from collections.abc import Collection, Sequence
from dataclasses import fields, replace
from typing import Any

from promptlift.errors import InputError
from promptlift.improving.checks import check_result
from promptlift.improving.config import ControlConfig
from promptlift.improving.target import Target, cut
from promptlift.prompts.clauses import plain_words
from promptlift.prompts.reading import read
from promptlift.prompts.units import CLAUSE, SENTENCE
from promptlift.records import Improvement


def edited(
    improvement: Improvement, removed: Collection[int] = (), pinned: Sequence[str] = ()
) -> Improvement:
    """An improvement without some of its additions, and with phrases after those that are left.

    `checks` lists the former under `removed`, and under `pinned` the phrases that it lacked.

    Args:
        improvement: the improvement; nothing may be pinned to it before.
        removed: indices of additions to take out, among those that it still has.
        pinned: phrases, or in a paragraph sentences, that it is to have.

    Raises:
        InputError: there is no such addition, or phrases were pinned before.
    """
    additions = improvement.additions
    if wrong := [place for place in removed if not 0 <= place < len(additions)]:
        raise InputError(f"there is no addition {wrong[0]}: there are {len(additions)}, from 0")
    if not removed and not pinned:
        return improvement
    if improvement.checks.get("pinned"):
        raise InputError("phrases are pinned to this result: edit the one that it was made from")
    own = {plain_words(phrase) for phrase in additions}
    fresh = [phrase for phrase in dict.fromkeys(pinned) if plain_words(phrase) not in own]
    left = [phrase for place, phrase in enumerate(additions) if place not in removed]
    gone = [phrase for place, phrase in enumerate(additions) if place in removed]
    target = _target(improvement)
    reading = read(target.source(improvement.source)[0])
    unit = SENTENCE if improvement.settings.get("form") == "paragraph" else CLAUSE
    checks: dict[str, Any] = {}
    kept = (*left, *fresh)
    if not target.is_plain:
        made = target.edited(reading, improvement.prompt, additions, kept)
        prompt, words, kept = made.prompt, made.words, tuple(made.additions)
        checks = dict(made.checks or {})
    elif improvement.prompt == reading.extended(additions, unit):
        kept = tuple(reading.fitted(kept, unit))
        prompt = words = reading.extended(kept, unit)
    else:
        prompt = words = unit.append(cut(improvement.prompt, gone, unit), fresh)
    tokens, found = check_result(
        reading, words, kept, target.control.max_tokens, prose=unit is SENTENCE
    )
    checks = {**found, **checks}
    if earlier := _of_the_first(improvement, removed):
        checks["removed"] = earlier
    if fresh:
        checks["pinned"] = fresh
    return replace(improvement, prompt=prompt, additions=kept, clip_tokens=tokens, checks=checks)


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
