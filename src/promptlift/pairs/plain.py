"""Plain prompts from detailed ones, by rule."""

import re

from promptlift.prompts.clauses import split_clauses
from promptlift.prompts.lexicon.offers import may_be_offered
from promptlift.prompts.lexicon.terms import KINDS, find_terms, phrases

_MEDIUM = (
    "painting|portrait|photo|photograph|photography|illustration|render|rendering|drawing|shot|"
    "picture|image|art|artwork|sketch|poster|still|view|close-up|closeup|scene|concept art"
)
_LEAD_IN = re.compile(rf"^(?:an? |the )?(?:[\w-]+ ){{0,5}}?(?:{_MEDIUM}) of (?=\w)", re.IGNORECASE)
_AUTHOR = re.compile(r"\s*\b(?:art |painted |drawn |made )?by\s*$", re.IGNORECASE)
_MANNER = {*KINDS, "mood", "detail"}
_CONTENT = re.compile(r"[^\W\d_]{2,}")
_LINKS = {"a", "an", "the", "of", "with", "in", "on", "at", "and", "to", "by", "from", "for",
          "art", "style", "very", "highly", "super", "beautiful"}  # fmt: skip


def plain_head(head: str) -> str:
    """A head without the medium it begins with: "a painting of a cat" → "a cat"."""
    return _LEAD_IN.sub("", head, count=1)


def without_manner(prompt: str) -> str:
    """A prompt without clauses of style, medium, light, camera, mood, fillers, and painters.

    Clauses that name things stay, in their order, joined by ", "; the medium that the first one
    begins with goes, and an author at the end of a clause. Where nothing would stay, the
    first clause does.
    """
    clauses = split_clauses(prompt)
    kept = [clause for raw in clauses if (clause := _without_author(raw)) and not _manner(clause)]
    return plain_head(", ".join(kept or clauses[:1]))


def _without_author(clause: str) -> str:
    """The clause up to an author: "a castle by wlop" → "a castle"."""
    for term in find_terms(clause):
        if term.kind == "painter":
            return _AUTHOR.sub("", clause[: term.start]).strip()
    return clause.strip()


def _manner(clause: str) -> bool:
    """Whether a clause says how, and not what."""
    text = " ".join(clause.lower().split()).rstrip(".")
    if known := phrases().get(text):
        return known.kind in _MANNER
    if may_be_offered(text):
        return True
    covered = [(term.start, term.end) for term in find_terms(clause) if term.kind != "colour"]
    left = [
        found[0].lower()
        for found in _CONTENT.finditer(clause)
        if not any(start <= found.start() < end for start, end in covered)
    ]
    return bool(covered) and set(left) <= _LINKS
