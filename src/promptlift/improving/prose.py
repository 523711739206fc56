"""Phrases said in prose: in a sentence after a prompt, or woven into it."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from promptlift.prompts.intent import QUOTED, STOP, Text, is_plural, stem
from promptlift.prompts.noun_phrases import (
    ARTICLES,
    DETERMINERS,
    PREPOSITIONS,
    head,
    is_many,
    is_modifier,
    is_noun,
    listed,
    with_articles,
)
from promptlift.prompts.units import capitalized, openness

# A phrase describes a thing if its score with that thing is at least the first number, and exceeds
# its score with every other thing by the second. Not tuned.
LEAST_OWN, LEAST_AHEAD = 0.3, 0.35
_WORD = re.compile(r"\w+(?:['’-]\w+)*|[^\w\s]")
_SEVERAL = re.compile(r"[.!?…][\"”’')]*\s|\n|\?\W*$")  # sentences, or a question
# What may come after a thing that a phrase is to follow. An article is not among these: the word
# before it is a verb that looks like a part of the thing ("child ride a motorcycle").
_FOLLOWING = (PREPOSITIONS - {"of", "without"}) | {
    "", ",", ".", "!", ";", "and", "or", "is", "are", "was", "were", "while", "next",
}  # fmt: skip
_NONE = frozenset(("no", "nothing", "neither"))
# Nouns of light and air that a rewriting can begin with: "In soft light, a dog".
_LIGHT = frozenset((
    "light", "lighting", "glow", "daylight", "sunlight", "moonlight", "haze", "mist", "fog",
))  # fmt: skip
# Nouns that describe the whole picture, whichever thing scores highest with them.
_SCENE = frozenset((
    "pasture", "meadow", "field", "landscape", "horizon", "sky", "skies", "ground", "background",
    "backdrop", "view", "viewpoint", "perspective", "framing", "composition", "angle",
))  # fmt: skip

Score = Callable[[str, Sequence[str]], Sequence[float]]


@dataclass(frozen=True)
class Thing:
    """The words of a prompt that name a thing.

    Attributes:
        start, end: where they stand.
        is_open: whether a phrase can follow them.
    """

    start: int
    end: int
    is_open: bool


def sentence_after(words: str, phrases: Sequence[str], asked: Sequence[str] = ()) -> str:
    """What adds phrases to a prompt: ", with a curved handle and soft light, seen from below."."""
    if not (phrases or asked):
        return ""
    # What is asked for may be anything, such as "8k" or a sentence.
    things = [
        with_articles(one) if " " in one and one.islower() else one
        for one in asked
        if not is_modifier(one)
    ]
    things += [with_articles(one) for one in phrases if not is_modifier(one)]
    others = [one for one in (*asked, *phrases) if is_modifier(one)]
    if openness(words) < 2:
        return f", {', '.join([*([f'with {listed(things)}'] if things else []), *others])}."
    start = []
    if things:
        several = any(is_many(head(one)) for one in (things[0].split(" and ")[0], things[0]))
        start = [f"There {'are' if several else 'is'} {listed(things)}"]
    return f" {capitalized(', '.join([*start, *others]))}."


def weave(
    words: str, phrases: Sequence[str], score: Score, asked: Sequence[str] = (), *, prose: bool
) -> str:
    """A prompt with each phrase after the thing that it describes, and the others around it.

    Into several sentences, and into a question, nothing is woven.

    Args:
        words: the prompt.
        phrases: what is to be said of it.
        score: how well phrases belong to some words, from -1 to 1.
        asked: what the options ask for, which is never woven in.
        prose: whether the text is to be a sentence.
    """
    text, rest = words.rstrip(" ,;:"), [*phrases]
    if not _SEVERAL.search(text):
        text, rest = _woven(text.rstrip(" ,;:.!…") or text, phrases, score)
    if not prose:
        return ", ".join([text, *asked, *rest])
    mark = words[len(words.rstrip(" .!…")) :].strip() if openness(text) < 2 else ""
    added = sentence_after(text, rest, asked)
    if openness(text) < 2:
        added = added.removesuffix(".") + (mark or ".")
    first = re.sub(r"['’]\w+$|[,;]$", "", text.split(" ", 1)[0])
    return (text[0].upper() + text[1:] if first.isalpha() and first.islower() else text) + added


def _woven(text: str, phrases: Sequence[str], score: Score) -> tuple[str, list[str]]:
    """A text with the phrases that can be woven into it, and those that are left."""
    things = _things(text)
    scores = [score(text[thing.start : thing.end], phrases) for thing in things]
    named = Text(text).stem_set
    own: dict[int, list[str]] = {}
    rest = []
    for at, phrase in enumerate(phrases):
        owner = None
        noun = head(phrase)
        # Not "an apple with a shiny round apple".
        if not is_modifier(phrase) and noun not in _SCENE and stem(noun) not in named:
            owner = _owner([row[at] for row in scores])
        if owner is None or not things[owner].is_open:
            rest.append(phrase)
        else:
            own.setdefault(things[owner].end, []).append(with_articles(phrase))
    for end in sorted(own, reverse=True):
        text = text[:end] + _between(own[end], text[end:])
    light = next((one for one in rest if _can_open(one)), None)
    first, _, after = text.partition(" ")
    is_name = first[:1].isupper() and after[:1].isupper()  # "One Piece"
    if light is None or first.lower() not in DETERMINERS or is_name:
        return text, rest
    rest.remove(light)
    opening = f"{'I' if text[0].isupper() else 'i'}n {with_articles(light)}"
    return f"{opening}, {text[0].lower()}{text[1:]}", rest


def _things(text: str) -> list[Thing]:
    """The noun phrases of a text, in order; quoted words are none."""
    text = QUOTED.sub(lambda found: '"' * len(found[0]), text)
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
            after = words[at + 1][0].lower() if at + 1 < len(words) else ""
            is_open = _names(run, article) and _can_be_followed(run, article, low, after)
            found.append(Thing(run[0].start(), run[-1].end(), is_open))
        run, article = [], low if low in ARTICLES else ""
    return found


def _names(run: Sequence[re.Match[str]], article: str) -> bool:
    """Whether words surely name a thing, and not a verb too: "a wolf howls"."""
    first, last = (one[0].lower() for one in (run[0], run[-1]))
    if not is_noun(last) or (article in ("a", "an") and last.endswith("s") and is_many(last)):
        return False
    return bool(article) or is_plural(last) or first in DETERMINERS


def _can_be_followed(run: Sequence[re.Match[str]], article: str, word: str, after: str) -> bool:
    """Whether a phrase can stand between a thing and the word or mark next to it."""
    if word in ("and", "or"):  # not in "sits and waits"
        return after in DETERMINERS
    if word == ",":  # not in "a thick, old book"
        return not article or len(run) > 1 or after in STOP
    if word in PREPOSITIONS and not after:  # not in "a cup with"
        return False
    return word in _FOLLOWING and not (word == "with" and after in _NONE)


def _owner(scores: Sequence[float]) -> int | None:
    """The place of the thing that a phrase surely describes, by the phrase's score with each."""
    ranked = sorted(range(len(scores)), key=lambda at: -scores[at])
    if not ranked or scores[ranked[0]] < LEAST_OWN:
        return None
    if len(ranked) > 1 and scores[ranked[0]] - scores[ranked[1]] < LEAST_AHEAD:
        return None
    return ranked[0]


def _can_open(phrase: str) -> bool:
    """Whether a phrase is of light or air alone: "soft light", not "light on the trunks"."""
    words = phrase.lower().split()
    return words[-1] in _LIGHT and DETERMINERS.union(PREPOSITIONS).isdisjoint(words)


def _between(things: Sequence[str], after: str) -> str:
    """What describes a thing, and the text after it.

    Before "with" the list goes on, before "and" it stands between commas.
    """
    low = after.lower()
    if low.startswith(" with "):
        joint = ", " if " and " in re.split(r"[,.;]", low)[0] else " and "
        return f" with {', '.join(things)}{joint}{after[len(' with ') :]}"
    if low.startswith((" and ", " or ")):
        return f", with {listed(things)},{after}"
    return f" with {listed(things)}{after}"
