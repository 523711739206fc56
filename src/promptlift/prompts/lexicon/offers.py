"""Which clauses may be offered to a stranger's prompt."""

import re
from functools import cache

from promptlift.prompts.lexicon.terms import phrases
from promptlift.prompts.lexicon.words import may_be_taught

_WORD = re.compile(r"[a-z0-9]+")
_LINKS = {"a", "an", "the", "of", "with", "in", "on", "at", "and", "to", "by", "from", "for", "s"}
_MAX_WORDS = 6
# In reviewed phrases these are harmless ("full body"), in new arrangements they make subjects.
_NOT_REARRANGED = {
    "american",
    "body",
    "building",
    "buildings",
    "character",
    "god",
    "long",
    "soviet",
}


def may_be_offered(clause: str) -> bool:
    """Whether a clause adds a manner, not a thing: light, medium, style, setting.

    A clause that was read is offered as was said of it (`phrases`). Others pass where all their
    words stand in phrases that may be offered, they have at most six, and `may_be_taught` agrees:
    they are new arrangements of words that no subject is made of.
    """
    text = " ".join(clause.lower().split())
    if reviewed := phrases().get(text):
        return reviewed.offer
    words = _WORD.findall(text)
    return (
        0 < len(words) <= _MAX_WORDS
        and _offered_words().issuperset(words)
        and not _NOT_REARRANGED.intersection(words)
        and not {"low", "quality"}.issubset(words)
        and words[0] not in ("of", "and")
        and words[-1] not in _LINKS
        and may_be_taught(clause)
    )


def is_filler(clause: str) -> bool:
    """Whether a clause asks for better rather than for something to be seen; any case."""
    found = phrases().get(" ".join(clause.lower().split()))
    return found is not None and found.kind == "filler"


@cache
def _offered_words() -> frozenset[str]:
    return frozenset(
        word for name, phrase in phrases().items() if phrase.offer for word in _WORD.findall(name)
    )
