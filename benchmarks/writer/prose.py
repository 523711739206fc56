"""From a description in whole sentences: its subject in few words, and its things as phrases.

Words are tagged by TextBlob's pattern tagger, whose lexicon comes with the package; phrases are
found by regular expressions over one letter a word. What is no plain thing to be seen is left out:
talk of the picture, moods, places in the frame.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from textblob.en import tag

from promptlift.prompts.units import split_sentences

_TOKEN = re.compile(r"[^\W_]+(?:['’\-/.][^\W_]+)*|[^\w\s]")
_LETTERS = {
    "DT": "D", "PRP$": "D", "JJ": "J", "JJR": "J", "JJS": "J", "NN": "N", "NNS": "N", "IN": "P",
    "TO": "P", "VBG": "G", "VBN": "V", "VBD": "V", "VBZ": "F", "VBP": "F", "VB": "F", "MD": "F",
    "CC": "C", "RB": "R", "CD": "I", "PRP": "Y", "WDT": "W", "WP": "W",
}  # fmt: skip
# What the tagger's lexicon has wrong in such texts.
_RETAGGED = {
    word: letter
    for letter, words in {
        "J": "azure cool early flickering flowing gleaming glistening lush moonlit polished soft "
        "sunlit surrounding towering warm weathered winding",
        "N": "backdrop cobblestone glow light t-shirt",
        "F": "adds casts creates features fills flutters line reveals showcases sits stands",
        "V": "clad lit set",
        "G": "hanging",
        "P": "behind like",
        "W": "that which",
        "Y": "there",
        "X": "as while",
    }.items()
    for word in words.split()
}
_NOUNS = r"D?(?:R?[JVI](?:[CA]R?[JV])?|G(?=N))*N+"
_PLACE = rf"P{_NOUNS}"
_ACTION = r"R?[GV]R?"
_PATTERNS = (
    # walls (are) decorated with old posters; smoke rising from the chimney
    ("clause", re.compile(rf"(?P<who>{_NOUNS})(?P<be>F)?(?P<does>{_ACTION}{_PLACE}(?:{_PLACE})?)")),
    # nestled in a snowy forest
    ("doing", re.compile(rf"{_ACTION}{_PLACE}(?:{_PLACE})?")),
    # the lighting is soft: soft lighting
    ("being", re.compile(rf"(?P<who>{_NOUNS})(?P<be>F)(?P<how>R?J(?:CR?J)?)(?![NJ])")),
    ("place", re.compile(rf"{_PLACE}(?:{_PLACE})?")),
    ("thing", re.compile(rf"{_NOUNS}(?:{_PLACE})?")),
)
_BE = {"is", "are", "was", "were"}
PLACES = {
    "in", "on", "under", "against", "beside", "near", "behind", "among", "amongst", "beneath",
    "above", "along", "across", "within", "amidst", "amid", "atop", "through", "at", "between",
}  # fmt: skip
_LEADING = {
    "a", "an", "the", "its", "their", "his", "her", "this", "these", "both", "some", "several",
    "many", "various", "numerous", "each", "all", "other", "another", "few", "any", "every",
}  # fmt: skip
_TALK = frozenset(
    (Path(__file__).parent / "words" / "talk.txt").read_text(encoding="utf-8").split()
)
# Talk that may stand in a phrase with a thing: "mountains in the distance".
_ALLOWED_LATER = {
    "background", "center", "detail", "details", "distance", "edge", "edges", "foreground", "front",
    "middle", "part", "set", "side", "sides", "surroundings", "texture", "textures", "top",
}  # fmt: skip
_MOST_WORDS = 9


@dataclass(frozen=True)
class Word:
    """A word of a sentence, its letter and where it stands."""

    text: str
    letter: str
    start: int
    end: int


def tagged(sentence: str) -> list[Word]:
    """Its words with a letter each: D for determiners, J adjectives, N nouns, and so on."""
    found = list(_TOKEN.finditer(sentence))
    tags = tag(" ".join(match[0] for match in found), tokenize=False)
    if len(tags) != len(found):
        return []
    words = []
    for place, (match, (_, kind)) in enumerate(zip(found, tags, strict=True)):
        lowered = match[0].lower()
        letter = _RETAGGED.get(lowered) or _LETTERS.get(kind, "X")
        if match[0] == ",":
            letter = "A"
        if kind == "NNP":  # a name, unless it only begins the sentence
            letter = "N" if place == 0 or "-" in match[0] else "M"
        words.append(Word(match[0], letter, match.start(), match.end()))
    for place, word in enumerate(words[:-1]):  # light brown wood is no light
        if word.text.lower() == "light" and words[place + 1].letter in "JN":
            words[place] = Word(word.text, "J", word.start, word.end)
    return words


def heads(sentence: str) -> list[int]:
    """Places where the sentence may be cut, so that what is before names its subject in short."""
    words = tagged(sentence)
    letters = "".join(word.letter for word in words)
    found = re.match(rf"{_NOUNS}", letters)
    if found is None:
        return []
    ends = [found.end()]
    more = re.compile(rf"(?:{_PLACE}|R?[GV]R?(?:{_PLACE}|{_NOUNS})|P{_NOUNS})")
    while (next_one := more.match(letters, ends[-1])) and len(ends) < 3:
        ends.append(next_one.end())
    # Cut before "of", "a cluster of jellyfish" is no subject.
    whole = (end for end in ends if [word.text for word in words[end : end + 1]] != ["of"])
    return [words[end - 1].end for end in whole if end <= 16]


def phrases(text: str) -> Iterator[str]:
    """Its things to be seen, as phrases of two to nine words in lower case, in their order."""
    for sentence in split_sentences(text):
        words = tagged(sentence)
        yield from _phrases_of(words)


def is_thing(phrase: str) -> bool:
    """Whether a phrase of a list has two words or more and ends with a noun."""
    words = tagged(phrase)
    return len(words) > 1 and words[-1].letter == "N" and words[-1].text.lower() not in _TALK


def _phrases_of(words: list[Word]) -> Iterator[str]:
    letters = "".join(word.letter for word in words)
    place = 0
    while place < len(words):
        for kind, pattern in _PATTERNS:
            match = pattern.match(letters, place)
            if match and (phrase := _phrase(kind, match, words)):
                yield phrase
                place = match.end()
                break
        else:
            place += 1


def _phrase(kind: str, match: re.Match[str], words: list[Word]) -> str | None:
    found = [word.text.lower() for word in words[match.start() : match.end()]]
    letters = match[0]
    if kind in ("clause", "being") and match["be"]:
        at = match.start("be") - match.start()
        if found[at] not in _BE:
            return None
        if kind == "being":
            who = _bare(found[:at])
            found = found[at + 1 :] + who
        else:
            del found[at]
    if kind == "place" and found[0] not in PLACES:
        return None
    if kind == "doing" and found[0] in ("is", "being", "having", "making", "creating", "adding"):
        return None
    if kind == "thing" and not re.search("[JVGIP]|NN", letters):
        return None
    found = _bare(found)
    text = " ".join(found).replace(" ,", ",")
    if not 2 <= len(found) <= _MOST_WORDS or "," in text:
        return None
    if _TALK.intersection(found) - _ALLOWED_LATER or found[-1] in _TALK - {
        "background",
        "distance",
    }:
        return None
    return text


def _bare(words: list[str]) -> list[str]:
    while words and words[0] in _LEADING:
        words = words[1:]
    return words
