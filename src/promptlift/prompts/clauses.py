"""The clauses of a prompt, and which of them are new."""

import re
from collections.abc import Callable

from promptlift.records import Pair

# A full stop ends a clause only before white space: "f1.2" and "v2.0" stay whole.
_SEPARATOR = re.compile(r"[,;|]|\.\s+")
_WORD = re.compile(r"[^\W_]+")
MAX_HEAD_WORDS = 25


def split_clauses(prompt: str) -> list[str]:
    """The clauses of a prompt, stripped, empty ones left out."""
    clauses = (clause.strip() for clause in _SEPARATOR.split(prompt))
    return [clause for clause in clauses if clause]


def plain_words(text: str) -> str:
    """The words in lower case between blanks, so that whole words are found in it."""
    return f" {' '.join(_WORD.findall(text.lower()))} "


def new_clauses(
    result: str, source: str, split: Callable[[str], list[str]] = split_clauses
) -> list[str]:
    """The clauses of a result, or what `split` gives, whose words do not stand in its source."""
    own = plain_words(source)
    return [clause for clause in split(result) if plain_words(clause) not in own]


def cut_prompt(prompt: str) -> Pair | None:
    """The head of a detailed prompt as source, the rest as target, in mode "extend".

    The head is the first clause, or the first two where the first is one word and at least
    two more follow. Both sides are joined by ", ".

    Returns:
        None where nothing follows the head or the head is longer than 25 words.
    """
    clauses = split_clauses(prompt)
    heads = 2 if len(clauses) >= 4 and len(clauses[0].split()) == 1 else 1
    source, target = ", ".join(clauses[:heads]), ", ".join(clauses[heads:])
    if not target or len(source.split()) > MAX_HEAD_WORDS:
        return None
    return Pair(source=source, target=target, mode="extend")
