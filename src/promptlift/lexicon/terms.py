"""Terms of a prompt: who paints it, in which style and medium, light, camera, colours, fillers.

Terms are those of `data/phrases.tsv`, the commonest clauses of real prompts with their counts, each
read and given a kind; and names after "by", which need not be in any list.
"""

import re
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from promptlift.lexicon.words import looks_by, target_words

KINDS = ("painter", "style", "medium", "filler", "light", "camera", "colour")
_WORD = re.compile(r"\w+(?:['’]\w+)*")
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
_LEAD = re.compile(r"^(?:(?:art|artwork|painted|drawn|made|style|in the style|photo) )?by ")
_NO_NAME = {
    "a", "an", "the", "with", "in", "on", "at", "of", "to", "from", "for", "his", "her", "its",
    "their", "my", "your", "one", "two", "three", "style", "art", "night", "day", "candlelight",
    "moonlight", "light", "sea", "hand", "side", "window", "fire",
}  # fmt: skip


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
    text = (files("promptlift.lexicon") / "data" / "phrases.tsv").read_text(encoding="utf-8")
    rows = (line.split("\t") for line in text.split("\n")[1:-1])
    return {name: Phrase(int(count), kind, offer == "yes") for name, count, kind, offer in rows}


def find_terms(prompt: str) -> list[Term]:
    """The terms of a prompt in their order, none of them overlapping; letter case is ignored."""
    words = [(found[0].lower(), found.start(), found.end()) for found in _WORD.finditer(prompt)]
    terms: list[Term] = []
    place = 0
    while place < len(words):
        size, kind = _term_at(prompt, words, place)
        if size:
            start, end = words[place][1], words[place + size - 1][2]
            terms.append(Term(kind, start, end, prompt[start:end]))
        place += size or 1
    return terms


_Words = list[tuple[str, int, int]]


def _term_at(prompt: str, words: _Words, place: int) -> tuple[int, str]:
    """Words and kind of the term that begins at a word; 0 words where none does."""
    if name := _name_after_by(prompt, words, place):
        return name, "painter"
    texts = _run(prompt, words, place, _LONGEST)
    alone_before = place == 0 or _ends_clause(prompt, words[place - 1][2], words[place][1])
    for size in range(len(texts), 0, -1):
        kind = _kinds().get(tuple(texts[:size]))
        if kind is None:
            continue
        last = place + size
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
    if not _introduced(prompt, words, place):
        return 0
    texts = _run(prompt, words, place, _NAME_WORDS + 1)
    size = next((i for i, text in enumerate(texts) if text in ("and", "&", *_NO_NAME)), len(texts))
    ordinary = all(text in target_words() for text in texts[:size])
    known = next((n for n in range(size, 0, -1) if _kinds().get(tuple(texts[:n])) == "painter"), 0)
    if known:
        return known
    return 0 if not size or size > _NAME_WORDS or ordinary else size


def _introduced(prompt: str, words: _Words, place: int) -> bool:
    """Whether an author's name is to be expected: after "by" and "style of", and in their lists."""
    before = [word for word, *_ in words[max(0, place - 2) : place]]
    if before[-1:] == ["by"]:
        return not looks_by(before[0])
    if before == ["style", "of"]:
        return True
    # A list goes on: "by moebius, jean giraud and enki bilal".
    index = place - 1
    while index > 0 and words[index][0] != "by":
        gap = prompt[words[index][2] : words[index + 1][1]]
        ordinary = words[index][0] in target_words() and words[index][0] not in ("and", "van", "de")
        if ordinary or gap.strip() not in ("", ",", "&", "-", "."):
            return False
        index -= 1
    joined = prompt[words[place - 1][2] : words[place][1]].strip() if place else ""
    starts = joined in (",", "&") or words[place - 1][0] == "and"
    return place > 0 and index >= 0 and words[index][0] == "by" and starts


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
                if one and not one.startswith("by "):
                    found.setdefault(tuple(_WORD.findall(one)), "painter")
            continue
        found.setdefault(tuple(_WORD.findall(name)), phrase.kind)
    found.pop((), None)
    return found
