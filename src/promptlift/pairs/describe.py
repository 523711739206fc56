"""What is in a set of pairs: counts, lengths, words, what targets add, what survives."""

import re
import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from promptlift.errors import InputError
from promptlift.pairs.config import ColumnsConfig
from promptlift.pairs.faults import Faults
from promptlift.pairs.load import load_pairs
from promptlift.pairs.near import THRESHOLD, groups
from promptlift.pairs.split import whole_prompt
from promptlift.prompts.clauses import split_clauses
from promptlift.prompts.lexicon.terms import KINDS, find_terms
from promptlift.records import Pair

SCHEMA_VERSION = 1
_WORD = re.compile(r"[^\W\d_]{3,}")
_COMMON = {
    "and", "are", "but", "for", "from", "has", "have", "her", "his", "into", "its", "not", "one",
    "out", "over", "that", "the", "their", "them", "there", "they", "this", "was", "who", "with",
}  # fmt: skip


def describe_file(
    path: Path, columns: ColumnsConfig, *, report: Callable[[str], None]
) -> dict[str, Any]:
    """The description of a file of pairs, with the number of its `faulty_rows`.

    Args:
        path: file of pairs.
        columns: of the file.
        report: takes the columns and the faulty rows.

    Raises:
        InputError: the file cannot be read or holds no pairs.
    """
    faults = Faults(report)
    pairs = list(faults.sound(path, load_pairs(path, **vars(columns), report=report)))
    if not pairs:
        raise InputError(f"{path} holds no pairs.")
    return {**describe(pairs), "faulty_rows": len(faults.rows)}


def describe(pairs: Sequence[Pair], *, top: int = 30) -> dict[str, Any]:
    """A description of pairs as plain JSON types.

    Shares are of the pairs. A pair adds a painter (style, medium, …) when its target holds a term
    of that kind, as `find_terms` sees it, that its source lacks in any letter case. Survival is
    the share of the source's words of three letters or more, common ones left out, that stand in
    the target; of pairs to rewrite only, since in pairs to extend the source itself is kept.

    Args:
        pairs: at least one.
        top: how many of the commonest words and phrases.
    """
    prompts = [whole_prompt(pair) for pair in pairs]
    distinct = sorted(set(prompts))
    adding: Counter[str] = Counter()
    for pair in pairs:
        had = {(term.kind, term.text.lower()) for term in find_terms(pair.source)}
        found = {(term.kind, term.text.lower()) for term in find_terms(pair.target)}
        adding.update({kind for kind, _ in found - had})
    kept = [
        survival(pair) for pair in pairs if pair.mode == "rewrite" and content_words(pair.source)
    ]
    return {
        "schema_version": SCHEMA_VERSION,
        "pairs": len(pairs),
        "modes": dict(sorted(Counter(pair.mode for pair in pairs).items())),
        "distinct_sources": len({pair.source for pair in pairs}),
        "distinct_targets": len({pair.target for pair in pairs}),
        "repeated_pairs": len(pairs) - len(set(pairs)),
        "prompts": len(distinct),
        "near_duplicate_prompts": len(distinct) - len(set(groups(distinct))),
        "near_duplicate_threshold": THRESHOLD,
        "source_words": _lengths(pair.source for pair in pairs),
        "target_words": _lengths(pair.target for pair in pairs),
        "share_adding": {kind: round(adding[kind] / len(pairs), 4) for kind in KINDS},
        "survival": {
            "pairs": len(kept),
            "mean": round(statistics.fmean(kept), 4) if kept else None,
            "all_words": round(sum(share == 1 for share in kept) / len(kept), 4) if kept else None,
        },
        "top_source_words": _top((content_words(pair.source) for pair in pairs), top),
        "top_target_words": _top((content_words(pair.target) for pair in pairs), top),
        "top_target_phrases": _top(
            ({clause.lower() for clause in split_clauses(pair.target)} for pair in pairs), top
        ),
    }


def content_words(text: str) -> set[str]:
    """The words of a text, in lower case, without short and common ones."""
    return set(_WORD.findall(text.lower())) - _COMMON


def survival(pair: Pair) -> float:
    """Share of the source's content words that stand in the target, in [0, 1]."""
    words = content_words(pair.source)
    return len(words & content_words(pair.target)) / len(words) if words else 1.0


def _lengths(texts: Iterable[str]) -> dict[str, Any]:
    counts = sorted(len(text.split()) for text in texts)
    return {
        "mean": round(statistics.fmean(counts), 2),
        "10%": counts[int(0.1 * len(counts))],
        "median": statistics.median(counts),
        "90%": counts[int(0.9 * len(counts))],
        "longest": counts[-1],
        "histogram": {str(n): count for n, count in sorted(Counter(counts).items())},
    }


def _top(sets: Iterable[set[str]], top: int) -> list[list[Any]]:
    """The members of most sets, with the number of sets; ties in alphabetical order."""
    counts = Counter(item for members in sets for item in members)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return [list(item) for item in ordered[:top]]
