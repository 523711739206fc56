"""Phrases said in prose: after a prompt, or within it, behind the thing that has them.

There is no grammar behind this. A phrase names a thing in a picture, mostly without an article
("curved handle", "smoke rising"), or tells how or where something is ("seen from below").
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from promptlift.prompts.intent import STOP, is_plural
from promptlift.prompts.units import capitalized, openness

# A thing has a phrase if the score of both is at least the first number, and higher than that of
# any other thing by the second. Not tuned.
LEAST_OWN, LEAST_AHEAD = 0.3, 0.35
_WORD = re.compile(r"\w+(?:['’-]\w+)*|[^\w\s]")
_QUOTED = re.compile(r"\"[^\"]*\"|“[^”]*”")
_ARTICLES = frozenset(("a", "an", "the", "his", "her", "its", "their"))
_DETERMINERS = _ARTICLES | {
    "some", "several", "many", "few", "all", "both", "each", "every", "no", "another", "half",
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "hundreds",
    "thousands", "it", "him", "them",
}  # fmt: skip
_PREPOSITIONS = frozenset((
    "on", "in", "at", "of", "with", "under", "over", "above", "below", "behind", "beside",
    "between", "near", "inside", "outside", "through", "across", "along", "around", "against",
    "from", "to", "into", "onto", "beneath", "by", "for", "like", "without", "before", "after",
    "toward", "towards", "among", "amid", "within", "upon", "off", "down", "up", "past", "atop",
))  # fmt: skip
_SPLIT = re.compile(rf"(?<!\S)({'|'.join(sorted(_PREPOSITIONS))}) ")
_ADVERBS = frozenset((
    "close", "upright", "still", "apart", "forward", "upward", "downward", "ahead", "sideways",
    "back", "together", "each", "one",
))  # fmt: skip
_PARTICIPLE = re.compile(r"\w+(?:ing|ed|en|wn|ung|lit|set|bent|cut|held)")
_PAIR = re.compile(r"\b(\w+) (?:by|to|in) \1\b")  # "side by side"
_AN = re.compile(r"(?!uni|use|eu|one)[aeiou]|hour|honest", re.IGNORECASE)
_SINGULAR = frozenset(("lens", "canvas", "atlas"))
# Singular, and without an article: "on top", "at night".
_BARE = frozenset((
    "top", "front", "place", "night", "flight", "hand", "fire", "bloom", "rest", "motion", "dusk",
    "dawn", "profile", "angle", "focus", "line", "use", "sight", "view",
))  # fmt: skip
# What may follow a thing so that a phrase can stand between. Before an article stands a verb, which
# looks like a part of the thing ("child ride a motorcycle").
_FOLLOWING = (_PREPOSITIONS - {"of"}) | {
    "", ",", ".", "?", "!", ";", "and", "or", "is", "are", "was", "were", "while", "next",
}  # fmt: skip
# Nouns of light and air that a rewriting can begin with: "In soft light, a dog".
_OPENING = frozenset((
    "light", "lighting", "glow", "daylight", "sunlight", "moonlight", "haze", "mist", "fog",
))  # fmt: skip

Score = Callable[[str, Sequence[str]], Sequence[float]]


@dataclass(frozen=True)
class Thing:
    """Words for a thing in a text.

    Attributes:
        start, end: where they stand.
        is_open: whether a phrase can stand behind them.
    """

    start: int
    end: int
    is_open: bool


def woven(words: str, phrases: Sequence[str], score: Score, *, prose: bool) -> str:
    """A prompt with each phrase behind the thing that has it, and the others around it.

    Args:
        words: the prompt.
        phrases: what is to be said of it.
        score: how well phrases belong to some words, from -1 to 1.
        prose: whether the text is to be a sentence.
    """
    text = words.rstrip(" .,;:!?")
    mark = words[len(text) :].strip(" ,;:")
    things = _things(text)
    scores = [score(text[thing.start : thing.end], phrases) for thing in things]
    own: dict[int, list[str]] = {}
    rest = []
    for at, phrase in enumerate(phrases):
        owner = _owner([row[at] for row in scores])
        if owner is None or not things[owner].is_open or is_clause(phrase):
            rest.append(phrase)
        else:
            own.setdefault(things[owner].end, []).append(with_articles(phrase))
    for end in sorted(own, reverse=True):
        text = text[:end] + _between(own[end], text[end:])
    text = _opened(text, rest)
    if not prose:
        return ", ".join([text, *rest])
    last = going_on(text, rest).removesuffix(".") if rest else ""
    return capitalized(text + last + (mark or "."))


def going_on(words: str, phrases: Sequence[str]) -> str:
    """What says phrases after words: ", with a curved handle and soft light, seen from below."."""
    things = [with_articles(phrase) for phrase in phrases if not is_clause(phrase)]
    others = [phrase for phrase in phrases if is_clause(phrase)]
    if openness(words) < 2:
        start = [f"with {_listed(things)}"] if things else []
        return f", {', '.join([*start, *others])}."
    start = [f"There {'are' if _is_many(things[0]) else 'is'} {_listed(things)}"] if things else []
    return f" {capitalized(', '.join([*start, *others]))}."


def is_clause(phrase: str) -> bool:
    """Whether a phrase tells how or where something is: "seen from below", "on a plush bed"."""
    first, second, third, *_ = *phrase.lower().split(), "", "", ""
    if first in _PREPOSITIONS or _PAIR.search(phrase.lower()):
        return True
    if not second:
        return first in _no_nouns()
    if first not in _no_nouns() and not _PARTICIPLE.fullmatch(first):
        return False
    # "standing close together", not "alert forward ears"
    goes_on = not third or third in _PREPOSITIONS | _ARTICLES | _no_nouns()
    is_adverb = second in _ADVERBS or (second.endswith("ly") and second in _no_nouns())
    return second in _PREPOSITIONS | _ARTICLES or (is_adverb and goes_on)


def with_articles(phrase: str) -> str:
    """A phrase that names a thing, with the articles that such phrases leave out."""
    found = []
    before = ""
    for part in _SPLIT.split(phrase):
        words = part.split()
        if part in _PREPOSITIONS:
            before = part
        elif words and _lacks_article(words, before):
            found.append("the" if before else "an" if _AN.match(part) else "a")
        found += words
    return " ".join(found)


def head(phrase: str) -> str:
    """The noun that a phrase is about: "smoke" in "smoke rising from the hull"."""
    words = phrase.lower().split()
    end = next((at for at, word in enumerate(words) if at and word in _PREPOSITIONS), len(words))
    while end > 1 and words[end - 1] in _no_nouns():
        end -= 1
    return words[end - 1]


def _lacks_article(words: Sequence[str], before: str) -> bool:
    """Whether words that begin a phrase, or follow a preposition in it, are to have an article."""
    if before == "of" or words[0].lower() in _DETERMINERS:
        return False
    phrase = " ".join(words)
    noun = head(phrase.split(" and ", 1)[0])
    if noun in _no_nouns():  # "black and white fur"
        noun = head(phrase)
    is_name = before and words[-1][0].isupper()
    is_bare = before and len(words) == 1 and noun in _BARE
    countable = noun not in _mass() and noun not in _no_nouns() and not _is_many(noun)
    return countable and not is_name and not is_bare


def _is_many(phrase: str) -> bool:
    noun = head(phrase)
    return noun not in _SINGULAR and is_plural(noun)


def _listed(things: Sequence[str]) -> str:
    *others, last = things
    return f"{', '.join(others)} and {last}" if others else last


def _things(text: str) -> list[Thing]:
    text = _QUOTED.sub(lambda found: '"' * len(found[0]), text)
    words = [*_WORD.finditer(text)]
    found = []
    run: list[re.Match[str]] = []
    article = ""
    for at, word in enumerate([*words, None]):
        low = word[0].lower() if word else ""
        if word and low not in STOP and word[0][0].isalnum():
            run.append(word)
            continue
        if run:
            first, last = (one[0].lower() for one in (run[0], run[-1]))
            is_named = bool(article) or is_plural(last) or first in _DETERMINERS
            is_noun = last not in _no_nouns() and not _PARTICIPLE.fullmatch(last)
            # "a thick, old book"
            is_adjective = low == "," and at + 1 < len(words) and words[at + 1][0] not in STOP
            is_open = is_named and is_noun and low in _FOLLOWING and not is_adjective
            found.append(Thing(run[0].start(), run[-1].end(), is_open))
        run, article = [], low if low in _ARTICLES else ""
    return found


def _owner(scores: Sequence[float]) -> int | None:
    """The place of the thing that surely has a phrase, by the phrase's score with each."""
    ranked = sorted(range(len(scores)), key=lambda at: -scores[at])
    if not ranked or scores[ranked[0]] < LEAST_OWN:
        return None
    if len(ranked) > 1 and scores[ranked[0]] - scores[ranked[1]] < LEAST_AHEAD:
        return None
    return ranked[0]


def _opened(text: str, rest: list[str]) -> str:
    """A text behind the first phrase of light among those that are left, which is taken out."""
    light = next((one for one in rest if not is_clause(one) and head(one) in _OPENING), None)
    first = text.split(" ", 1)[0].lower()
    if light is None or not text or first in _PREPOSITIONS:
        return text
    rest.remove(light)
    small = text[0].lower() + text[1:] if first in _DETERMINERS else text
    return f"{'I' if text[0].isupper() else 'i'}n {with_articles(light)}, {small}"


def _between(things: Sequence[str], after: str) -> str:
    """What a thing has, and the text after it: a longer list, or between commas before "and"."""
    if after.startswith(" with "):
        return f" with {', '.join(things)} and {after.removeprefix(' with ')}"
    if re.match(r" (?:and|or)\b", after):
        return f", with {_listed(things)},{after}"
    return f" with {_listed(things)}{after}"


@cache
def _ends() -> dict[str, str]:
    """Words at the end of phrases that take no article, and why: "mass" nouns, or "other" words."""
    place = files("promptlift.prompts.lexicon") / "data" / "phrase_ends.tsv"
    return dict(line.split("\t") for line in place.read_text("utf-8").splitlines())


@cache
def _mass() -> frozenset[str]:
    """Nouns that take no article: "hair", "feet"."""
    return frozenset(word for word, kind in _ends().items() if kind == "mass")


@cache
def _no_nouns() -> frozenset[str]:
    """No nouns: "raised", "nearby"."""
    return frozenset(word for word, kind in _ends().items() if kind == "other")
