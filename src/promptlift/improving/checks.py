"""What is found in a result, whoever put it together."""

from collections.abc import Sequence
from typing import Any

from promptlift.improving.phrases import new_terms
from promptlift.prompts.reading import Reading, longest_part


def check_result(
    reading: Reading, prompt: str, additions: Sequence[str], limit: int | None
) -> tuple[int, dict[str, Any]]:
    """CLIP tokens and `checks` of an improvement; `limit` is in CLIP tokens."""
    tokens = longest_part(prompt)
    return tokens, {
        "lost": [want.text for want in reading.lost(prompt)],
        "painters": new_terms(additions, reading, ("painter",)),
        "styles": new_terms(additions, reading, ("style", "medium")),
        "over_budget": limit is not None and tokens > limit,
    }
