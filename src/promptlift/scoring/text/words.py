"""Which words and phrases prompts hold before and after, and which were added and lost."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from promptlift.prompts.clauses import split_clauses

# Articles, prepositions, conjunctions, pronouns, auxiliaries. Negations and numbers are no stop
# words: "without people" and "two cats" are what a prompt asks for.
STOP_WORDS = frozenset((
    "a", "about", "above", "after", "all", "am", "among", "an", "and", "any", "are", "around",
    "as", "at", "be", "been", "before", "behind", "being", "below", "beneath", "beside", "between",
    "both", "but", "by", "can", "could", "did", "do", "does", "doing", "down", "during", "each",
    "for", "from", "had", "has", "have", "having", "he", "her", "hers", "him", "his", "how", "i",
    "if", "in", "inside", "into", "is", "it", "it's", "its", "like", "me", "my", "near", "of",
    "off", "on", "onto", "or", "our", "out", "over", "she", "should", "so", "some", "such", "than",
    "that", "the", "their", "them", "then", "there", "these", "they", "this", "those", "through",
    "to", "too", "toward", "towards", "under", "up", "upon", "us", "very", "via", "was", "we",
    "were", "what", "when", "where", "which", "while", "who", "whose", "will", "with", "within",
    "would", "you", "your",
))  # fmt: skip
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")

STOP_WORDS_NOTE = (
    f"words are lower case, hyphens and apostrophes within them kept; content words are those "
    f"that are none of {len(STOP_WORDS)} articles, prepositions, conjunctions, pronouns and "
    "auxiliaries and are longer than one character; negations and numbers count as content"
)


def words_of(text: str) -> list[str]:
    """The words of a text in lower case: letters and digits, hyphens and apostrophes within."""
    return [word.replace("’", "'") for word in _WORD.findall(text.lower())]


def content_words(text: str) -> list[str]:
    """The words of a text that are no stop words, in order; a word may come several times."""
    return [word for word in words_of(text) if is_content(word)]


def is_content(word: str) -> bool:
    """Whether a word says more than grammar."""
    return len(word) > 1 and word not in STOP_WORDS


def word_frequencies(pairs: Sequence[tuple[str, str]], top: int = 10) -> dict[str, Any]:
    """Word counts of sources and predictions, as plain JSON types.

    Occurrences are counted, as in the paper, and beside each the number of prompts that hold it,
    since one prompt may repeat a word. Added and lost words are found prompt by prompt: of "a red
    red cat" from "a cat", "red" was added twice; a word that only moved is neither.

    Args:
        pairs: source and prediction (the whole improved prompt) of each prompt.
        top: how many words and phrases each list has; ties in alphabetical order.

    Returns:
        `pairs`: their number.
        `stop_words`: how words are cut and which are left out.
        `totals`: by "all_words" and "content_words" the occurrences `before` and `after` and
        their `ratio`, null where there were none before.
        `top_words_ratio`: occurrences of the `top` commonest content words after over those of
        the `top` commonest before; the paper's "about five times as often".
        `words`, `clauses`, `bigrams`, `trigrams`: each `before` and `after`, lists of objects
        with `text`, `count` (occurrences) and `prompts` (that hold it). Clauses are what commas
        and the like part; n-grams lie within a clause and begin and end with a content word.
        `added` and `lost`: content words, alike; `added_phrases`: clauses that the source lacks.
    """
    before, after = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    words = [[content_words(text) for text in side] for side in (before, after)]
    everything = [sum(len(words_of(text)) for text in side) for side in (before, after)]
    content = [sum(map(len, side)) for side in words]
    sides = list(zip(*words, strict=True))
    tops = [_top(side, top) for side in words]
    commonest = [sum(item["count"] for item in side) for side in tops]
    clauses = [[_clauses(text) for text in side] for side in (before, after)]
    return {
        "pairs": len(pairs),
        "stop_words": STOP_WORDS_NOTE,
        "totals": {"all_words": _ratio(*everything), "content_words": _ratio(*content)},
        "top_words_ratio": _ratio(*commonest)["ratio"],
        "words": dict(zip(("before", "after"), tops, strict=True)),
        "clauses": _both(clauses, top),
        "bigrams": _both([[ngrams(text, 2) for text in side] for side in (before, after)], top),
        "trigrams": _both([[ngrams(text, 3) for text in side] for side in (before, after)], top),
        "added": _top([_beyond(new, old) for old, new in sides], top),
        "lost": _top([_beyond(old, new) for old, new in sides], top),
        "added_phrases": _top([_beyond(new, old) for old, new in zip(*clauses, strict=True)], top),
    }


def ngrams(text: str, order: int) -> list[str]:
    """Runs of so many words within a clause that begin and end with a content word."""
    found = []
    for clause in split_clauses(text):
        words = words_of(clause)
        for place in range(len(words) - order + 1):
            run = words[place : place + order]
            if is_content(run[0]) and is_content(run[-1]):
                found.append(" ".join(run))
    return found


def _clauses(text: str) -> list[str]:
    joined = (" ".join(words_of(clause)) for clause in split_clauses(text))
    return [clause for clause in joined if clause]


def _beyond(one: Iterable[str], other: Iterable[str]) -> list[str]:
    """What one list has beyond another, as often as it has it more often."""
    return list((Counter(one) - Counter(other)).elements())


def _ratio(before: int, after: int) -> dict[str, Any]:
    ratio = round(after / before, 4) if before else None
    return {"before": before, "after": after, "ratio": ratio}


def _both(sides: list[list[list[str]]], top: int) -> dict[str, Any]:
    return {name: _top(side, top) for name, side in zip(("before", "after"), sides, strict=True)}


def _top(texts: Sequence[Sequence[str]], top: int) -> list[dict[str, Any]]:
    counts = Counter(item for text in texts for item in text)
    prompts = Counter(item for text in texts for item in set(text))
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:top]
    return [{"text": text, "count": count, "prompts": prompts[text]} for text, count in ordered]
