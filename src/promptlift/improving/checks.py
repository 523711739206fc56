"""The checks of a result: what it lost, what it added, and whether it fits the budget."""

from collections.abc import Sequence
from typing import Any

from promptlift.prompts.clip_tokens import count_parts
from promptlift.prompts.parts import parts_of
from promptlift.prompts.reading import Reading
from promptlift.prompts.syntax import parse


def check_result(
    reading: Reading, prompt: str, additions: Sequence[str], limit: int | None, *, prose: bool
) -> tuple[int, dict[str, Any]]:
    """The CLIP tokens and the `checks` of an improvement; `limit` is in CLIP tokens,
    and `prose` is for a paragraph.
    """
    parts = reading.parts if prompt == reading.prompt else parts_of(parse(prompt))
    tokens = max(count_parts(parts))
    return tokens, {
        "lost": [want.text for want in reading.lost(prompt, parts, prose=prose)],
        "painters": reading.new_terms(additions, ("painter",)),
        "styles": reading.new_terms(additions, ("style", "medium")),
        "over_budget": limit is not None and tokens > limit,
    }
