"""Taking additions out of an improvement by hand."""

from collections.abc import Collection
from dataclasses import replace

from promptlift.errors import InputError
from promptlift.improving.checks import check_result
from promptlift.prompts.clauses import split_clauses
from promptlift.prompts.reading import read
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
    if improvement.prompt == reading.extended(list(additions)):
        prompt = reading.extended(list(kept))
    else:
        prompt = _cut(improvement.prompt, gone)
    tokens, checks = check_result(reading, prompt, kept, _limit(improvement))
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
    return tokens * chunks if isinstance(tokens, int) and isinstance(chunks, int) else None


def _cut(prompt: str, phrases: tuple[str, ...]) -> str:
    """A rewriting without some of its clauses; the last one stays."""
    clauses = split_clauses(prompt)
    for phrase in phrases:
        if phrase in clauses and len(clauses) > 1:
            clauses.remove(phrase)
    return ", ".join(clauses)
