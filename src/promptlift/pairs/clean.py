"""Targets that a shipped model may learn from: no names of people, nothing twice."""

from promptlift.lexicon.words import may_be_taught
from promptlift.pairs.cut import split_clauses


def clean_target(target: str, source: str = "") -> str:
    """The clauses of `target` that may be taught, joined by ", "; empty when none may.

    A clause goes when the lexicon does not pass it, when it stands in `source` already, or
    when it was there before (in any letter case).
    """
    seen = {clause.lower() for clause in split_clauses(source)}
    kept = []
    for clause in (clause.rstrip(" .") for clause in split_clauses(target)):
        if clause.lower() not in seen and may_be_taught(clause):
            kept.append(clause)
        seen.add(clause.lower())
    return ", ".join(kept)
