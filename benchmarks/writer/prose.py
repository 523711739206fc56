"""From a description in whole sentences: its subject in few words, and its things as phrases.

Words are tagged by TextBlob's pattern tagger, whose lexicon comes with the package; phrases are
found by regular expressions over one letter a word. What is no plain thing to be seen is left out:
talk of the picture, moods, places in the frame.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from textblob.en import tag

_TOKEN = re.compile(r"[^\W_]+(?:['’\-/.][^\W_]+)*|[^\w\s]")
_SENTENCE = re.compile(r"(?<=[.!?])[\"”]?\s+(?=[A-Z\"“])")
_LETTERS = {
    "DT": "D", "PRP$": "D", "JJ": "J", "JJR": "J", "JJS": "J", "NN": "N", "NNS": "N", "IN": "P",
    "TO": "P", "VBG": "G", "VBN": "V", "VBD": "V", "VBZ": "F", "VBP": "F", "VB": "F", "MD": "F",
    "CC": "C", "RB": "R", "CD": "I", "PRP": "Y", "WDT": "W", "WP": "W",
}  # fmt: skip
# What the tagger's lexicon has wrong in such texts.
_RETAGGED = {
    "lush": "J", "lit": "V", "sunlit": "J", "moonlit": "J", "azure": "J", "t-shirt": "N",
    "cobblestone": "N", "that": "W", "which": "W", "like": "P", "as": "X", "while": "X",
    "there": "Y", "glow": "N", "backdrop": "N", "surrounding": "J", "winding": "J", "clad": "V",
    "towering": "J", "gleaming": "J", "glistening": "J", "flowing": "J", "flickering": "J",
    "weathered": "J", "polished": "J", "hanging": "G", "set": "V", "set against": "V",
    "soft": "J", "features": "F", "reveals": "F", "casts": "F", "creates": "F", "adds": "F",
    "showcases": "F", "stands": "F", "sits": "F", "flutters": "F", "fills": "F", "line": "F", "warm": "J", "cool": "J", "early": "J", "behind": "P",
}  # fmt: skip
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
    """image picture photo photograph scene composition viewer viewers camera frame shot view views
    perspective atmosphere sense touch feel feeling mood ambiance ambience essence charm allure vibe
    beauty attention contrast elements element overall subject subjects left right center centre
    top bottom corner side sides middle part parts area areas portion foreground effect impression
    focus depth hint appearance presence story narrative moment aesthetic style design layout text
    illustration painting drawing artwork art visible seen shown display title caption look
    character characters way kind type types variety range number series set pair array it them
    himself herself itself they he she one ones other others something anything everything life
    interest addition detail details quality tone tones palette color colors colour colours shade
    setting settings environment surroundings space spaces vibrancy movement motion video
    experience background individual individuals people person man woman object objects
    tranquility serenity warmth elegance intricacy texture textures nature magic mystery wonder
    energy dynamism realism simplicity sophistication nostalgia intimacy freedom joy harmony peace
    timelessness anticipation theme themes level front back edge edges distance length width
    direction stark""".split()
)
# Talk that may stand in a phrase with a thing: "mountains in the distance".
_ALLOWED_LATER = frozenset(
    "background distance foreground surroundings detail details texture textures edge edges side "
    "sides front top bottom life set pair array part background center middle".split()
)
_MOST_WORDS = 9


@dataclass(frozen=True)
class Word:
    text: str
    letter: str
    start: int
    end: int


def sentences(text: str) -> list[str]:
    """The sentences of a text."""
    return [part.strip() for part in _SENTENCE.split(text) if part.strip()]


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
        if lowered == "light":  # light brown wood, soft light
            letter = "N"
        if kind == "NNP":  # a name, unless it only begins the sentence
            letter = "N" if place == 0 or "-" in match[0] else "M"
        words.append(Word(match[0], letter, match.start(), match.end()))
    for place, word in enumerate(words[:-1]):
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
    for sentence in sentences(text):
        words = tagged(sentence)
        yield from _phrases_of(words)


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
    if _TALK.intersection(found) - _ALLOWED_LATER or found[-1] in _TALK - {"background", "distance"}:
        return None
    return text


def _bare(words: list[str]) -> list[str]:
    while words and words[0] in _LEADING:
        words = words[1:]
    return words
