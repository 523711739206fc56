"""What a prompt asks for, and whether a result still says so.

There is no grammar behind this: numbers and colours belong to the noun that follows, a noun phrase
ends at a function word or a comma. docs/intent.md has its precision and recall on cases that were
labelled by reading them.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import pairwise

from promptlift.prompts.lexicon.terms import find_terms

KINDS = ("content", "count", "colour", "negation", "relation", "name", "quoted")

# Emoji are words: pictures, flags of two letters, joined ones ("👩‍🚀") with skin and style. Arrows,
# boxes and bullets are none.
_PICTURE = "[\u231a-\u23ff\u2600-\u2791\u2b1b\u2b1c\u2b50\u2b55\U0001f000-\U0001faff]"
_STYLED = f"{_PICTURE}[\ufe0f\u20e3\U0001f3fb-\U0001f3ff]*"
_EMOJI = f"[\U0001f1e6-\U0001f1ff]{{2}}|{_STYLED}(?:\u200d{_STYLED})*"
_WORD = re.compile(rf"[^\W_]+(?:['’-][^\W_]+)*|{_EMOJI}")
_MARKS = frozenset(",;|.!?()\n")
QUOTED = re.compile(r"\"([^\"\n]+)\"|“([^”\n]+)”|«([^»\n]+)»|(?<!\w)['‘]([^'’\n]+)['’](?!\w)")
_NUMBERS = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8,
    "nine": 9, "ten": 10, "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14,
    "fifteen": 15, "sixteen": 16, "twenty": 20, "thirty": 30, "fifty": 50, "hundred": 100,
    "couple": 2, "pair": 2, "dozen": 12,
}  # fmt: skip
_COLOURS = frozenset((
    "red", "orange", "yellow", "green", "blue", "purple", "violet", "pink", "brown", "black",
    "white", "grey", "gold", "golden", "silver", "turquoise", "teal", "cyan", "magenta", "crimson",
    "scarlet", "beige", "maroon", "lavender", "indigo", "azure", "emerald", "burgundy", "bronze",
    "tan", "ivory", "navy",
))  # fmt: skip
_NEGATIONS = frozenset(("no", "without", "not", "never", "nobody", "none", "nor"))
_ARTICLES = frozenset(("a", "an", "the", "any", "its", "his", "her", "their"))
STOP = frozenset((
    "a", "an", "the", "and", "or", "but", "of", "in", "on", "at", "to", "from", "for", "with", "by",
    "as", "is", "are", "was", "were", "be", "been", "being", "it", "its", "this", "that", "these",
    "those", "his", "her", "their", "my", "your", "our", "he", "she", "they", "we", "you", "i",
    "who", "which", "whose", "what", "where", "when", "while", "then", "than", "so", "such", "some",
    "any", "each", "every", "all", "both", "few", "more", "most", "other", "into", "onto", "upon",
    "over", "under", "above", "below", "behind", "beside", "between", "near", "next", "front",
    "top", "left", "right", "side", "inside", "outside", "through", "across", "along", "around",
    "against", "about", "up", "down", "out", "off", "there", "here", "has", "have", "had", "having",
    "do", "does", "did", "can", "could", "will", "would", "should", "may", "might", "must", "very",
    "too", "also", "just", "only", "no", "not", "without", "never", "nor", "none", "nobody", "like",
    "one's", "it's",
))  # fmt: skip
_RELATIONS = (
    "to the left of", "to the right of", "on the left of", "on the right of", "left of",
    "right of", "on top of", "in front of", "at the bottom of", "in the middle of", "next to",
    "on the left", "on the right", "close to", "far from", "away from", "surrounded by",
    "behind", "beneath", "under", "underneath", "above", "below", "between", "inside", "outside",
    "beside", "near", "over", "against", "across", "around", "through", "atop", "facing",
    "holding", "riding", "wearing", "carrying", "on", "in", "into",
)  # fmt: skip
_IRREGULAR = {
    "men": "man", "women": "woman", "children": "child", "people": "person", "mice": "mouse",
    "geese": "goose", "feet": "foot", "teeth": "tooth", "wolves": "wolf", "knives": "knife",
    "leaves": "leaf", "shelves": "shelf", "elves": "elf", "dwarves": "dwarf", "loaves": "loaf",
    "gray": "grey", "color": "colour", "colors": "colour", "armor": "armour",
}  # fmt: skip
_AMERICAN = frozenset(("gray", "color", "armor"))  # other spellings, no plurals
_PLURALS = frozenset(_IRREGULAR) - _AMERICAN | {"sheep", "fish"}
_SPAN = 4  # words in which a noun belongs to the number, colour or negation before it


@dataclass(frozen=True)
class Want:
    """Something that a prompt asks for.

    Attributes:
        kind: one of `KINDS`.
        text: how the prompt says it.
        key: what is looked for in a result: stems, after the number, colour or relation.
    """

    kind: str
    text: str
    key: tuple[str, ...]


class Intent:
    """What a prompt asks for. Weights, tags and other syntax are to be taken out before."""

    def __init__(self, words: str) -> None:
        self.text = Text(words)

    @cached_property
    def wants(self) -> tuple[Want, ...]:
        """All that is asked for."""
        return tuple(_find(self.text))

    def lost(self, result: str, *, prose: bool = False) -> tuple[Want, ...]:
        """What a result, of phrases or in `prose`, no longer says."""
        text = Text(result, prose)
        return tuple(want for want in self.wants if not _said(want, text))


class Text:
    """The words of a text, and which of them belong together.

    In `prose` a verb may follow a noun, "a red cat sleeps", and nothing tells it from a noun: a
    number, colour or negation is then that of each word in the noun phrase, not of the last alone.
    """

    def __init__(self, text: str, prose: bool = False) -> None:
        self.text, self.prose = text, prose
        found = list(_WORD.finditer(text))
        self.words = [match[0].lower().replace("’", "'") for match in found]
        self.written = [match[0] for match in found]
        self.stems = [stem(word) for word in self.words]
        self.starts = [match.start() for match in found]
        # Whether a comma or the like follows a word.
        self.ends = [
            not _MARKS.isdisjoint(text[one.end() : other.start()]) for one, other in pairwise(found)
        ] + [True]

    @cached_property
    def stem_set(self) -> frozenset[str]:
        parts = {part for word in self.words if "-" in word for part in word.split("-")}
        return frozenset(self.stems) | {stem(part) for part in parts}

    @cached_property
    def word_set(self) -> frozenset[str]:
        pairs = (f"{a}-{b}" for a, b in pairwise(self.words))
        triples = (
            "-".join(three)
            for three in zip(self.words, self.words[1:], self.words[2:], strict=False)
        )
        return frozenset((*self.words, *pairs, *triples))

    def run(self, place: int) -> list[str]:
        """Stems of the noun phrase at a place: up to a function word or comma."""
        stems: list[str] = []
        for index in range(place, min(place + _SPAN, len(self.words))):
            word = self.words[index]
            if word in STOP or (stems and word.endswith("ing")):
                break
            stems.append(self.stems[index])
            if self.ends[index]:
                break
        return stems

    def _heads(self, run: list[str]) -> list[str]:
        return run if self.prose else run[-1:]

    def behind_article(self, place: int) -> int:
        """The first place from here on that is no article or the like."""
        while place < len(self.words) and self.words[place] in _ARTICLES:
            place += 1
        return place

    @cached_property
    def counts(self) -> list[tuple[int, str, int]]:
        """Number, stem of what is counted, and place of the number."""
        found = []
        for place, word in enumerate(self.words):
            number = _NUMBERS.get(word)
            if number is None and word.isdecimal() and word.isascii() and int(word) < 1000:
                number = int(word)
            if number is None or self.ends[place]:
                continue
            first = place + 1
            while first < len(self.words) and self.words[first] in ("of", "the", "these", "those"):
                first += 1
            run = self.run(first)
            plural = [s for i, s in enumerate(run) if is_plural(self.words[first + i])]
            if number == 1 and word == "one":
                found += [(1, root, place) for root in self._heads(run)]
            elif number > 1 and plural:
                found.append((number, plural[0], place))
        return found

    @cached_property
    def colours(self) -> list[tuple[str, str, int]]:
        """Colour, stem of what has it, and place of the colour."""
        found = []
        for place, colour in enumerate(self.stems):
            if colour not in _COLOURS:
                first, _, rest = self.words[place].partition("-")
                if rest and stem(first) in _COLOURS:  # white-haired
                    found.append((stem(first), stem(rest), place))
                continue
            last = place
            while (
                last + 2 < len(self.words)
                and self.words[last + 1] in ("and", "or")
                and self.stems[last + 2] in _COLOURS
            ):
                last += 2
            if not self.ends[last]:
                run = [stem for stem in self.run(last + 1) if stem not in _COLOURS]
                if run:
                    found += [(colour, root, place) for root in self._heads(run)]
                    continue
            if place > 1 and self.words[place - 1] in ("is", "are", "in", "painted"):
                found.append((colour, self.stems[place - 2], place))
        return found

    @cached_property
    def negated(self) -> list[tuple[str, int]]:
        """Stems that are ruled out, and the place of the negation."""
        found = []
        for place, word in enumerate(self.words):
            if word in _NEGATIONS and not self.ends[place]:
                first = place + 1
                run = self.run(self.behind_article(first))
                found += [(root, place) for root in self._heads(run)]
        return found


@lru_cache(50_000)
def stem(word: str) -> str:
    """A word in lower case without plural and possessive, an emoji without its style."""
    word = word.lower().replace("\ufe0f", "").replace("’", "'").removesuffix("'s").removesuffix("'")
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    if len(word) > 4 and word.endswith("ies"):
        return word[:-3] + "y"
    if len(word) > 4 and word.endswith(("ses", "xes", "zes", "ches", "shes")):
        return word[:-2] if not word.endswith(("uses", "ases", "oses")) else word[:-1]
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return word[:-1]
    return word


def _find(text: Text) -> Iterable[Want]:
    for match in QUOTED.finditer(text.text):
        yield Want("quoted", match[0], (next(group for group in match.groups() if group),))
    # A colour or number that belongs to a thing is a want of its own.
    seen = {text.stems[place] for _, _, place in (*text.colours, *text.counts)}
    for word, root in zip(text.written, text.stems, strict=True):
        if word.lower() not in STOP and root not in seen and word.lower() not in _NUMBERS:
            seen.add(root)
            yield Want("content", word, (root,))
    for number, root, place in text.counts:
        yield Want("count", _excerpt(text, place), (str(number), root))
    for colour, root, place in text.colours:
        yield Want("colour", _excerpt(text, place), (colour, root))
    for root, place in text.negated:
        yield Want("negation", _excerpt(text, place), (root,))
    yield from _relations(text)
    yield from _names(text)


def _relations(text: Text) -> Iterable[Want]:
    place = 0
    while place < len(text.words):
        size = relation_at(text.words, place)
        following = text.run(text.behind_article(place + size)) if size else []
        if size and following and not any(text.ends[place : place + size]):
            relation = " ".join(text.words[place : place + size])
            yield Want("relation", f"{relation} {following[-1]}", (relation, *following))
        place += size or 1


def relation_at(words: list[str], place: int) -> int:
    """Words of the relation that begins here, 0 where none does."""
    for relation in _RELATIONS:
        parts = relation.split()
        if words[place : place + len(parts)] == parts:
            return len(parts)
    return 0


def _names(text: Text) -> Iterable[Want]:
    """Painters in any letters, and words in capitals within a sentence."""
    seen = set()
    for term in find_terms(text.text):
        words = tuple(Text(term.text).words)
        name = Want("name", term.text, words)
        # Of "made by-hand" the lexicon's rule reads a name that is no word of its own.
        if term.kind == "painter" and words not in seen and _said(name, text):
            seen.add(words)
            yield name
    capital = [word[0].isupper() and not word.isupper() for word in text.written]
    if sum(capital) * 2 > len(capital):  # a title, or every word begins with a capital
        return
    place = 0
    while place < len(capital):
        size = 0
        while place + size < len(capital) and capital[place + size]:
            size += 1
            if text.ends[place + size - 1]:
                break
        first = place == 0 or text.ends[place - 1]
        if size > 1 or (size == 1 and not first and text.words[place] not in STOP):
            words = tuple(text.words[place : place + size])
            if words not in seen:
                yield Want("name", " ".join(text.written[place : place + size]), words)
        place += size or 1


def _excerpt(text: Text, place: int) -> str:
    return " ".join(text.written[place : place + 3])


def _said(want: Want, text: Text) -> bool:
    if want.kind == "quoted":
        return want.key[0] in text.text
    if want.kind == "content":
        return want.key[0] in text.stem_set
    if want.kind == "count":
        return any((str(number), root) == want.key for number, root, _ in text.counts)
    if want.kind == "colour":
        return any((colour, root) == want.key for colour, root, _ in text.colours)
    if want.kind == "negation":
        return any(root == want.key[0] for root, _ in text.negated)
    if want.kind == "name":
        size = len(want.key)
        runs = (tuple(text.words[i : i + size]) for i in range(len(text.words) - size + 1))
        return want.key in runs
    relation, *things = want.key
    for place in range(len(text.words)):
        size = relation_at(text.words, place)
        if size and " ".join(text.words[place : place + size]) == relation:
            following = text.run(text.behind_article(place + size))
            if set(things) & set(following):
                return True
    return False


def is_plural(word: str) -> bool:
    """Whether a word has the form of a plural."""
    if word in _PLURALS:
        return True
    return word not in _AMERICAN and stem(word) != word and not word.endswith("'s")
