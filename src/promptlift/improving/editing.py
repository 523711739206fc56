"""Taking additions out of an improvement by hand."""

from collections.abc import Collection
from dataclasses import replace

from promptlift.errors import InputError
from promptlift.improving.checks import check_result
from promptlift.prompts.reading import read
from promptlift.prompts.units import CLAUSE, SENTENCE, Unit
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
    reading = read(improvement.source)
    unit = SENTENCE if improvement.settings.get("form") == "paragraph" else CLAUSE
    if improvement.prompt == reading.extended(additions, unit):
        kept = tuple(reading.fitted(kept, unit))
        prompt = reading.extended(kept, unit)
    else:
        prompt = _cut(improvement.prompt, gone, unit)
    tokens, checks = check_result(
        reading, prompt, kept, _limit(improvement), prose=unit is SENTENCE
    )
    return replace(
        improvement,
        prompt=prompt,
        additions=kept,
        clip_tokens=tokens,
        checks={**checks, "removed": _of_the_first(improvement, removed)},
    )


def _of_the_first(improvement: Improvement, removed: Collection[int]) -> list[int]:
    """Indices among the additions that the improvement was made with."""
    earlier = set(improvement.checks.get("removed", ()))
    count = len(improvement.additions) + len(earlier)
    left = [place for place in range(count) if place not in earlier]
    return sorted(earlier | {left[place] for place in removed})


def _limit(improvement: Improvement) -> int | None:
    settings = improvement.settings
    tokens, chunks = settings.get("max_prompt_tokens"), settings.get("chunks", 1)
    if settings.get("form") == "paragraph":
        return None
    return tokens * chunks if isinstance(tokens, int) and isinstance(chunks, int) else None


def _cut(prompt: str, phrases: tuple[str, ...], unit: Unit) -> str:
    """A rewriting without some of its clauses or sentences; the last one stays."""
    units = unit.split(prompt)
    for phrase in phrases:
        if phrase in units and len(units) > 1:
            units.remove(phrase)
    return unit.between.join(units)
