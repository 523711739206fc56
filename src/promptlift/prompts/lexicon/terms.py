"""Terms of a prompt: who paints it, in which style and medium, light, camera, colours, fillers.

Terms are those of `data/phrases.tsv`, the commonest clauses of real prompts with their counts, each
read and given a kind; and names after "by", which need not be in any list.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from promptlift.prompts.lexicon.words import looks_by, names, target_words

KINDS = ("painter", "style", "medium", "filler", "light", "camera", "colour")
# A phrase with one of these words speaks of light.
LIGHT = frozenset((
    "light", "lights", "lighting", "lit", "sunlit", "sunlight", "daylight", "moonlight", "glow",
    "rays", "shadow", "shadows", "hues", "reflections", "gradients",
))  # fmt: skip
# An accent may stand as a character of its own after its letter.
_WORD = re.compile(r"\w[\w\u0300-\u036f]*(?:['’]\w[\w\u0300-\u036f]*)*")
_ANYWHERE = {
    "portrait", "close-up", "closeup", "bokeh", "macro", "selfie", "fisheye", "photorealistic",
}  # fmt: skip
_LIGHTING = {
    "lighting", "lights", "light", "backlight", "backlighting", "illumination",
}  # fmt: skip
_COLOURS = {
    "red", "orange", "yellow", "green", "blue", "purple", "violet", "pink", "brown", "black",
    "white", "grey", "gray", "gold", "golden", "silver", "turquoise", "teal", "cyan", "magenta",
    "crimson", "scarlet", "beige", "maroon", "lavender", "indigo", "azure", "emerald",
    "burgundy", "monochrome", "colorful", "colourful", "pastel", "blonde", "iridescent",
    "multicolored",
}  # fmt: skip
_SHADES = {
    "dark", "light", "deep", "pale", "bright", "neon", "pastel", "vivid",
}  # fmt: skip
_LONGEST = 6  # words of a phrase
_NAME_WORDS = 4
_LIST_WORDS = 40  # words after "by" in which its list of names may go on
_UNDECOMPOSED = str.maketrans("łøđ", "lod")
_LEAD = re.compile(r"^(?:(?:art|artwork|painted|drawn|made|style|in the style|photo) )?by ")
_NO_NAME = {
    "a", "an", "the", "with", "in", "on", "at", "of", "to", "from", "for", "his", "her", "its",
    "their", "my", "your", "one", "two", "three", "style", "art", "night", "day", "candlelight",
    "moonlight", "light", "sea", "hand", "side", "window", "fire",
}  # fmt: skip
_NO_STYLE = {"hair", "in", "of", "the", "this", "that", "same", "life", "free"}  # before "style"
_MAKING = {"made", "created"}  # before "by" and an unusual word they name an author after all


@dataclass(frozen=True)
class Term:
    """A term found in a prompt.

    Attributes:
        kind: one of `KINDS`.
        start: index of its first character.
        end: index after its last one.
        text: the term as it stands in the prompt.
    """

    kind: str
    start: int
    end: int
    text: str


@dataclass(frozen=True)
class Phrase:
    """A frequent clause of real prompts.

    Attributes:
        count: prompts of the collection that hold it as a clause, in any letter case.
        kind: one of `KINDS`, or "name", "setting", "mood", "detail", "other".
        offer: whether it may be offered to a stranger's prompt.
    """

    count: int
    kind: str
    offer: bool


@cache
def phrases() -> dict[str, Phrase]:
    """The reviewed clauses, in lower case."""
    text = (files("promptlift.prompts.lexicon") / "data" / "phrases.tsv").read_text(
        encoding="utf-8"
    )
    rows = (line.split("\t") for line in text.split("\n")[1:-1])
    return {name: Phrase(int(count), kind, offer == "yes") for name, count, kind, offer in rows}


def names_of(kind: str) -> frozenset[str]:
    """The listed terms of a kind, in lower case; painters without what introduces them."""
    return frozenset(" ".join(texts) for texts, found in _kinds().items() if found == kind)


def find_terms(prompt: str) -> list[Term]:
    """The terms of a prompt in their order, none of them overlapping; letter case is ignored."""
    words = [(_folded(found[0]), found.start(), found.end()) for found in _WORD.finditer(prompt)]
    introduced = any(word in ("by", "of") for word, *_ in words)
    terms: list[Term] = []
    place = 0
    while place < len(words):
        size, kind = _name_after_by(prompt, words, place) if introduced else 0, "painter"
        if not size:
            size, kind = _term_at(prompt, words, place)
        if size:
            start, end = words[place][1], words[place + size - 1][2]
            terms.append(Term(kind, start, end, prompt[start:end]))
        place += size or 1
    return terms


_Words = list[tuple[str, int, int]]


def _folded(word: str) -> str:
    """In lower case and without accents, as lists spell names."""
    if word.isascii():
        return word.lower()
    parts = unicodedata.normalize("NFKD", word.lower())
    bare = "".join(part for part in parts if not unicodedata.combining(part))
    return bare.translate(_UNDECOMPOSED) or word  # some marks are nothing else


def _term_at(prompt: str, words: _Words, place: int) -> tuple[int, str]:
    """Words and kind of the listed term that begins at a word; 0 words where none does."""
    nearby = [word for word, *_ in words[place : place + 3]]
    named = nearby[1:2] == ["style"]
    if nearby[0] not in _first_words() and _LIGHTING.isdisjoint(nearby) and not named:
        return 0, ""
    texts = _run(prompt, words, place, _LONGEST)
    alone_before = place == 0 or _ends_clause(prompt, words[place - 1][2], words[place][1])
    if named and len(texts) == 2 and alone_before and texts[0] not in _NO_STYLE:
        return 2, "style"
    for size in range(len(texts), 0, -1):
        kind = _kinds().get(tuple(texts[:size]))
        if kind is None:
            continue
        last = place + size
        if kind == "painter" and texts[size : size + 1] and texts[size] in _LIGHTING:
            return size + 1, "light"  # Rembrandt lighting
        whole = alone_before and (
            last == len(words) or _ends_clause(prompt, words[last - 1][2], words[last][1])
        )
        if size > 1 or whole or _stands_anywhere(texts[0], kind):
            return size, kind
    if size := _lighting(texts):
        return size, "light"
    if texts[0] in _SHADES and len(texts) > 1 and texts[1] in _COLOURS:
        return 2, "colour"
    return (1, "colour") if texts[0] in _COLOURS else (0, "")


def _lighting(texts: list[str]) -> int:
    """Words of a phrase such as "warm window lighting", which no list holds in all its forms."""
    for size, text in enumerate(texts[:3], 1):
        if text in _LIGHTING and size > 1:
            return size
        if text not in target_words() or text in _NO_NAME or text == "and":
            return 0
    return 0


def _stands_anywhere(word: str, kind: str) -> bool:
    """Whether a single word is a term within a longer clause too."""
    if kind == "painter":
        return word not in target_words()
    if word in _ANYWHERE:
        return True
    return kind in ("medium", "style", "colour") or word not in target_words()


def _name_after_by(prompt: str, words: _Words, place: int) -> int:
    """Words of a name that "by" introduces, directly or as a later one of its list."""
    before = [word for word, *_ in words[max(0, place - 2) : place]]
    direct = before[-1:] == ["by"] or before in (["style", "of"], ["manner", "of"])
    if not direct and not _list_goes_on(prompt, words, place):
        return 0
    texts = _run(prompt, words, place, _NAME_WORDS + 1)
    size = next((i for i, text in enumerate(texts) if _ends_name(text, i)), len(texts))
    looks = before[-1:] == ["by"] and _says_looks(before[0])
    for known in range(size, 0, -1):
        if _is_known_name(texts[:known], listed=direct and not looks):
            if texts[known : known + 1] and texts[known] in _LIGHTING:
                return 0  # by Rembrandt lighting
            # "Surrounded by magic" means no studio of that name.
            return 0 if looks and target_words().issuperset(texts[:known]) else known
    if not 0 < size <= _NAME_WORDS or looks or texts[0][0].isdigit():
        return 0
    if direct:
        return 0 if target_words().issuperset(texts[:size]) else size
    # Behind a comma something else may follow: "by moebius, tokyo skyline, octane render".
    if any(char.isdigit() for char in texts[0]) or texts[size - 1] in target_words():
        return 0
    starts = [" ".join(texts[:n]) for n in range(1, size + 1)]
    other = any(len(start) > 1 and start in phrases() for start in starts)  # no initial
    return 0 if other else size


def _says_looks(word: str) -> bool:
    """Whether an unknown name after this word and "by" is none: lit by, surrounded by."""
    return looks_by(word) and word not in _MAKING


def _ends_name(text: str, index: int) -> bool:
    return text in ("and", "&", *_NO_NAME) or (index > 0 and text[0].isdigit())


def _is_known_name(texts: list[str], listed: bool) -> bool:
    """Whether words are a painter's name; `listed` says that `names` counts too."""
    kind = _kinds().get(tuple(texts))
    return kind == "painter" or (kind is None and listed and " ".join(texts) in names())


def _list_goes_on(prompt: str, words: _Words, place: int) -> bool:
    """Whether a list of names may go on here: "by moebius, jean giraud and enki bilal"."""
    if not place:
        return False
    joined = prompt[words[place - 1][2] : words[place][1]].strip()
    if joined not in (",", "&") and words[place - 1][0] != "and":
        return False
    for index in range(place - 1, max(-1, place - 1 - _LIST_WORDS), -1):
        word, _, end = words[index]
        if word == "by":
            return not _says_looks(words[index - 1][0] if index else "")
        gap = prompt[end : words[index + 1][1]].strip()
        if _ordinary(word) or gap not in ("", ",", "&", "-", "."):
            return False
    return False


def _ordinary(word: str) -> bool:
    """Whether a word stands in no list of names; initials do."""
    if word in _NO_NAME:
        return True
    return len(word) > 1 and word in target_words() and word not in ("and", "van", "de")


def _run(prompt: str, words: _Words, place: int, longest: int) -> list[str]:
    """The words from a place to the end of its clause, at most `longest`."""
    texts = [words[place][0]]
    for index in range(place + 1, min(place + longest, len(words))):
        if _ends_clause(prompt, words[index - 1][2], words[index][1]):
            break
        texts.append(words[index][0])
    return texts


def _ends_clause(prompt: str, end: int, start: int) -> bool:
    between = prompt[end:start]
    if between == " ":
        return False
    if between == ". " and prompt[end - 1].isalpha() and not prompt[max(0, end - 2)].isalpha():
        return False  # the full stop of an initial: M. C. Escher
    return any(mark in between for mark in ",;|:()[]\n") or ". " in between


@cache
def _kinds() -> dict[tuple[str, ...], str]:
    """Kind by the words of a phrase; painters also without what introduces them."""
    found: dict[tuple[str, ...], str] = {}
    for name, phrase in phrases().items():
        if phrase.kind not in KINDS:
            continue
        if phrase.kind == "painter":
            name = _LEAD.sub("", name)
            for one in re.split(r" and | & ", name):
                texts = _texts(one)
                # One that ends in an initial was cut there: "h. r" of "h. r. giger".
                if texts and len(texts[-1]) > 1 and not one.startswith("by "):
                    found.setdefault(texts, "painter")
            continue
        found.setdefault(_texts(name), phrase.kind)
        found.setdefault(_texts(name.replace("color", "colour")), phrase.kind)
    found.pop((), None)
    return found


@cache
def _first_words() -> frozenset[str]:
    """Words that a term may begin with, but for lighting and names after "by"."""
    return frozenset((*_SHADES, *_COLOURS, *(texts[0] for texts in _kinds())))


def _texts(phrase: str) -> tuple[str, ...]:
    return tuple(_folded(word) for word in _WORD.findall(phrase))
