"""Targets that a shipped model may learn from: nothing but manner, no names, nothing twice."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from promptlift.pairs.config import KEPT
from promptlift.prompts.clauses import split_clauses
from promptlift.prompts.lexicon.offers import is_filler, may_be_offered
from promptlift.prompts.lexicon.terms import find_terms
from promptlift.prompts.lexicon.words import may_be_taught
from promptlift.records import Pair

# More than two of "8k, highly detailed, masterpiece" in a row crowd out what shows in a picture.
MAX_FILLERS = 2


def clean_target(target: str, source: str = "", keep: str = "offers") -> str:
    """The clauses of `target` that may be taught, joined by ", "; empty when none may.

    Args:
        target: clauses of a prompt.
        source: what stands before them; clauses that stand there already go.
        keep: "offers" keeps what `may_be_offered` to any prompt, of fillers the first two, and
            no medium where the source names one; "words" keeps what `may_be_taught`, which is all
            but names and unknown words; "all" keeps the target as it is.

    A clause that was there before (in any letter case) goes too, except with "all".
    """
    if keep not in KEPT:
        raise ValueError(f"keep is {keep!r} and must be one of {', '.join(KEPT)}")
    if keep == "all":
        return target
    allowed = may_be_offered if keep == "offers" else may_be_taught
    seen = {clause.lower() for clause in split_clauses(source)}
    kept, fillers = [], 0
    drawn_already = keep == "offers" and names_medium(source)
    for clause in (clause.rstrip(" .") for clause in split_clauses(target)):
        second_medium = drawn_already and names_medium(clause)
        if clause.lower() not in seen and not second_medium and allowed(clause):
            filler = keep == "offers" and is_filler(clause)
            fillers += filler
            if not filler or fillers <= MAX_FILLERS:
                kept.append(clause)
        seen.add(clause.lower())
    return ", ".join(kept)


@lru_cache(100_000)
def names_medium(text: str) -> bool:
    """Whether a text says what the picture is made as: a photo, an oil painting, a render."""
    return any(term.kind == "medium" for term in find_terms(text))


def cap_phrases(pairs: Sequence[Pair], max_share: float, *, seed: int = 0) -> list[Pair]:
    """The pairs with common clauses taken out of random targets: painters and boilerplate capped.

    What is counted is each clause, in any letter case, and each painter and filler within it. Where
    one of those stands in more than `max_share` of the targets, its clauses are kept in that share
    of them. Clauses that stand in the source, and the head of a rewrite, always stay. A pair of
    whose target nothing is left is dropped.

    Args:
        pairs: what to cap.
        max_share: share of all targets, in (0, 1].
        seed: of the choice.
    """
    generator = random.Random(seed)
    counts = Counter(
        part
        for pair in pairs
        for part in {part for clause in split_clauses(pair.target) for part in _parts(clause)}
    )
    chance = {part: max_share * len(pairs) / count for part, count in counts.items()}
    capped = []
    for pair in pairs:
        lowered = pair.source.lower()
        clauses = split_clauses(pair.target)
        kept = clauses[:1] if pair.mode == "rewrite" else []
        for clause in clauses[len(kept) :]:
            least = min(chance[part] for part in _parts(clause))
            if least >= 1 or clause.lower() in lowered or generator.random() < least:
                kept.append(clause)
        if kept:
            capped.append(replace(pair, target=", ".join(kept)))
    return capped


@lru_cache(100_000)
def _parts(clause: str) -> frozenset[str]:
    terms = (term for term in find_terms(clause) if term.kind in ("painter", "filler"))
    return frozenset([clause.lower(), *(term.text.lower() for term in terms)])
