"""The little grammar that short phrases of a picture need to stand in a sentence.

A phrase names a thing, mostly without an article ("curved handle", "smoke rising"), or says how or
where something is ("seen from below"). There is no parser: words at the end of phrases are looked
up in `lexicon/data/phrase_ends.tsv`, and all others are judged by their endings.
"""

import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

from promptlift.prompts.intent import is_plural

ARTICLES = frozenset(("a", "an", "the", "his", "her", "its", "their"))
DETERMINERS = ARTICLES | {
    "some", "several", "many", "few", "all", "both", "each", "every", "no", "another", "half",
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "hundreds",
    "thousands",
}  # fmt: skip
PREPOSITIONS = frozenset((
    "on", "in", "at", "of", "with", "under", "over", "above", "below", "behind", "beside",
    "between", "near", "inside", "outside", "through", "across", "along", "around", "against",
    "from", "to", "into", "onto", "beneath", "by", "for", "like", "without", "before", "after",
    "toward", "towards", "among", "amid", "within", "upon", "off", "down", "up", "past", "atop",
))  # fmt: skip
# Words that, like determiners, no article precedes: "the same coat", "between them".
_NO_ARTICLE = DETERMINERS | {
    "it", "him", "them", "same", "other", "only", "last", "most", "more", "own", "such", "nothing",
}  # fmt: skip
_SPLIT = re.compile(rf"(?<!\S)({'|'.join(sorted(PREPOSITIONS))}) ")
_ADVERBS = frozenset((
    "close", "upright", "still", "apart", "forward", "upward", "downward", "ahead", "sideways",
    "back", "together",
))  # fmt: skip
_RECIPROCAL = frozenset(("each other", "one another"))
_PARTICIPLE = re.compile(r"\w+(?:ing|ed|en|wn|ung|lit|set|bent|cut|held)")
_PAIR = re.compile(r"\b(\w+) (?:by|to|in) \1\b")  # "side by side"
_AN = re.compile(
    r"(?!u(?:[bst][aeiou]|ni(?![mn])|-)|U|[Ee]u|[Oo]ne)[aeiouAEIO]|hour|honest|honou?r|heir"
    r"|[AEFHILMNORSX][A-Z]|[aefhilmnorsxAEFHILMNORSX]-|8|1[18](?:th)?\b"
)
_SINGULAR = frozenset(("lens", "canvas", "atlas"))
# Singular nouns without an article after a preposition: these only when alone ("on top"), those
# below with adjectives too ("in crisp focus").
_BARE_ALONE = frozenset((
    "top", "front", "place", "night", "hand", "fire", "dusk", "dawn", "angle", "line", "use",
    "sight",
))  # fmt: skip
_BARE = frozenset((
    "focus", "motion", "bloom", "flight", "rest", "profile", "silhouette", "prayer", "formation",
    "detail", "close-up", "view",
))  # fmt: skip


def with_articles(phrase: str) -> str:
    """A phrase that names a thing, with the articles that such phrases leave out.

    "coin meter on pole" becomes "a coin meter on the pole".
    """
    found = []
    before = ""
    for part in _SPLIT.split(phrase):
        words = part.split()
        if part in PREPOSITIONS:
            before = part
        elif words and _lacks_article(words, before):
            found.append("the" if before else "an" if _AN.match(words[0]) else "a")
        found += words
    return " ".join(found)


def head(phrase: str) -> str:
    """The noun that a phrase is about: "smoke" in "smoke rising from the hull"."""
    words = phrase.lower().split()
    end = next((at for at, word in enumerate(words) if at and word in PREPOSITIONS), len(words))
    for at in range(1, end):
        # "hands holding a book"; a singular noun would be like the adjective in "red glowing eyes".
        if is_many(words[at - 1]) and is_participle(words[at]):
            return words[at - 1]
    while end > 1 and words[end - 1] in _not_nouns():
        end -= 1
    return words[end - 1]


def is_many(noun: str) -> bool:
    """Whether a noun, the `head` of a phrase, is a plural."""
    return noun not in _SINGULAR and is_plural(noun)


def is_noun(word: str) -> bool:
    """Whether a lower-case word at the end of a phrase can be its noun."""
    return word not in _not_nouns() and not is_participle(word)


def is_participle(word: str) -> bool:
    """Whether a lower-case word looks like a participle and is no noun, as "kitten" is."""
    return bool(_PARTICIPLE.fullmatch(word)) and _ends().get(word, "other") == "other"


def is_modifier(phrase: str) -> bool:
    """Whether a phrase says how or where something is: "seen from below", "on a plush bed"."""
    first, second, third, *_ = *phrase.lower().split(), "", "", ""
    if first in PREPOSITIONS or _PAIR.search(phrase.lower()):
        return True
    if not second:
        return first in _not_nouns()
    if first not in _not_nouns() and not is_participle(first):
        return False
    # "standing close together", not "alert forward ears"
    goes_on = not third or third in PREPOSITIONS | ARTICLES or third in _not_nouns()
    is_adverb = second in _ADVERBS or (second.endswith("ly") and second in _not_nouns())
    return (
        second in PREPOSITIONS | ARTICLES
        or f"{second} {third}" in _RECIPROCAL
        or (is_adverb and goes_on)
    )


def listed(parts: Sequence[str]) -> str:
    """Texts as a sentence lists them: "a, b and c"; nothing of none."""
    return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]]))


def _lacks_article(words: Sequence[str], before: str) -> bool:
    """Whether the words that begin a phrase, or follow a preposition in it, need an article."""
    if before == "of" or words[0].lower() in _NO_ARTICLE:
        return False
    phrase = " ".join(words)
    first = phrase.split(" and ", 1)[0]
    noun = head(first)
    # "black and white fur", "side and front views"
    if noun in _not_nouns() or (" " not in first and is_many(head(phrase))):
        noun = head(phrase)
    if _ends().get(noun) in ("mass", "other") or is_many(noun):
        return False
    if not before:
        return True
    is_bare = noun in _BARE or (noun in _BARE_ALONE and len(words) == 1)
    return not is_bare and not words[-1][0].isupper()


@cache
def _ends() -> dict[str, str]:
    """Words at the end of phrases, and what they are there.

    "mass": nouns that take no article ("hair", "feet"); "other": no nouns ("raised", "ahead");
    "count": countable nouns that look like participles ("crown", "kitten").
    """
    place = files("promptlift.prompts.lexicon") / "data" / "phrase_ends.tsv"
    return dict(line.split("\t") for line in place.read_text("utf-8").splitlines())


@cache
def _not_nouns() -> frozenset[str]:
    return frozenset(word for word, kind in _ends().items() if kind == "other")
