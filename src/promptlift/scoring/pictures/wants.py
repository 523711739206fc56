"""What a prompt asks for, as questions to its picture, each of one want.

TIFA (Hu et al., ICCV 2023) asks of a picture what its prompt says; that a question is of one want
and no more is from DSG (Cho et al., ICLR 2024). Their questions are written by a language model,
ours by the project's reading of prompts, which has no grammar: a noun phrase ends at a function
word or a comma, and its last word is the thing.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from promptlift.prompts.intent import STOP, Intent, is_plural, relation_at, stem
from promptlift.prompts.lexicon.terms import find_terms, phrases
from promptlift.world.captions import plural

_NOTHING = "a picture"
_NUMBERS = ("one", "two", "three", "four", "five")
_COLOURS = (
    "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white",
)  # fmt: skip
# What a style is held against, with the words by which it is known: those are of one style.
_STYLES = {
    "a photograph": ("photo", "realis"), "an oil painting": ("oil",),
    "a watercolour painting": ("watercolo",), "line art": ("line", "outline", "sketch", "ink"),
    "pixel art": ("pixel",), "a 3d render": ("3d", "render", "cgi"),
    "a cartoon": ("cartoon", "comic", "anime", "manga"), "flat style": ("flat", "vector"),
    "neon style": ("neon", "synthwave"),
}  # fmt: skip
_STYLE_ENDS = frozenset(("style", "art", "aesthetic", "colour", "watercolour", "neon"))
_POSITIONS = {
    "on the left": "left", "on the right": "right", "at the top": "top", "at the bottom": "bottom",
    "centred": "centre", "centered": "centre", "in the centre": "centre", "in the center": "centre",
    "in the middle": "centre",
}  # fmt: skip
_OPPOSITES = (
    ("left of", "right of"), ("to the left of", "to the right of"), ("above", "below"),
    ("on the left of", "on the right of"), ("on top of", "under"), ("underneath", "on top of"),
    ("beneath", "above"), ("in front of", "behind"), ("inside", "outside"), ("near", "far from"),
    ("next to", "far from"), ("beside", "far from"), ("close to", "far from"),
)  # fmt: skip
_OPPOSITE = {**{other: one for one, other in reversed(_OPPOSITES)}, **dict(_OPPOSITES)}
# Of clauses of these kinds a picture cannot be asked whether it shows them.
_UNSEEN = frozenset(("filler", "light", "camera", "painter", "detail", "mood", "quoted"))
# The picture itself, and what leads to a text, which is asked for as quoted.
_NO_THINGS = frozenset(
    ("picture", "pictures", "image", "images", "says", "saying", "reads", "reading")
)
_NOUNS_IN_ING = frozenset((
    "building", "string", "spring", "morning", "evening", "painting", "drawing", "ceiling",
    "clothing", "earring", "wedding", "viking", "duckling", "pudding", "railing", "carving",
))  # fmt: skip
_SHORT_NOUN = 5  # ring, king, wing, swing are no verbs


@dataclass(frozen=True)
class Question:
    """One want of a prompt, to be asked of a picture.

    Attributes:
        kind: thing, attribute, count, colour, relation, position, style, text or negation.
        text: as a model that answers questions is asked.
        statement: what is true of a picture that shows it.
        others: what would be true instead, for a model that compares.
        wanted: False of what the prompt rules out.
    """

    kind: str
    text: str
    statement: str
    others: tuple[str, ...]
    wanted: bool = True


@dataclass(frozen=True)
class _Phrase:
    """A noun phrase between two places of a text.

    Attributes:
        whole: all its words, "two small blue rings", "a red star".
        words: without numbers and colours, "small", "rings"; the last is the thing.
        has_article: whether the thing takes an article.
    """

    first: int
    last: int
    whole: str
    words: tuple[str, ...]
    has_article: bool

    @property
    def is_plural(self) -> bool:
        return is_plural(self.words[-1].lower())

    def thing(self, *before: str) -> str:
        """The thing with nothing said of it but these words."""
        said = " ".join((*before, self.words[-1]))
        return _with_article(said) if self.has_article and not self.is_plural else said


@lru_cache(10_000)
def questions_of(words: str) -> tuple[Question, ...]:
    """The questions of a prompt without weights and tags; none where it asks for nothing."""
    found = {question.text: question for question in _Prompt(words).questions()}
    return tuple(found.values())


class _Prompt:
    """A prompt's words, and what belongs together in them."""

    def __init__(self, words: str) -> None:
        self._intent = Intent(words)
        self._text = text = self._intent.text
        self._positions = [*self._found_positions()]
        self._relations = [*self._found_relations()]
        self._names = {want.key for want in self._intent.wants if want.kind == "name"}
        self._counted = {place for _, _, place in (*text.counts, *text.colours)}
        self._kinds = self._kinds_of_places()
        styles: list[list[int]] = []
        found: list[_Phrase] = []
        for span in self._spans():
            if self._kinds.get(span[-1]) == "style" or text.stems[span[-1]] in _STYLE_ENDS:
                styles.append(span)
            elif any(at not in self._counted for at in span):
                found.append(self._phrase(span))
        self._styles = styles
        ruled_out = {root for root, _ in text.negated}
        self._things = [one for one in found if stem(one.words[-1]) not in ruled_out]
        self._ruled_out = [one for one in found if one not in self._things]

    def questions(self) -> Iterator[Question]:
        text = self._text
        for phrase in self._things:
            yield _ask("thing", phrase, phrase.thing(), _NOTHING)
            for word in phrase.words[:-1]:
                yield _ask("attribute", phrase, phrase.thing(word), phrase.thing())
        for number, root, place in text.counts:
            if counted := self._of(root, place):
                things = counted.words[-1]
                many = things if counted.is_plural else plural(things)
                others = [f"{one} {many}" for at, one in enumerate(_NUMBERS, 1) if 1 < at != number]
                others += [f"one {stem(things)}"] * (number != 1)
                yield _ask("count", counted, f"{text.written[place]} {things}", *others)
        for colour, root, place in text.colours:
            if coloured := self._of(root, place):
                others = [coloured.thing(one) for one in _COLOURS if one != colour]
                yield _ask("colour", coloured, coloured.thing(colour), *others)
        for phrase in self._ruled_out:
            yield _ask("negation", phrase, phrase.whole, _NOTHING, wanted=False)
        yield from self._of_two()
        yield from self._of_places()
        for span in self._styles:
            style = " ".join(text.written[at] for at in span)
            yield Question("style", f"Is the style of the picture {style}?", style, _others(style))
        for want in self._intent.wants:
            if want.kind == "quoted":
                said = f'the text "{want.key[0]}"'
                yield Question("text", f"Is {said} in the picture?", said, (_NOTHING,))

    def _of_two(self) -> Iterator[Question]:
        """How two things stand, or what the one does, to the other or by itself."""
        for place, size in self._relations:
            follows = self._text.behind_article(place + size)
            one = self._before(place)
            other = next((thing for thing in self._things if thing.first == follows), None)
            relation = " ".join(self._text.words[place : place + size])
            if one is None:
                continue
            if other is not None:
                others = [one.whole, other.whole]
                if opposite := _OPPOSITE.get(relation):
                    others = [f"{one.whole} {opposite} {other.whole}"]
                yield _ask("relation", one, f"{one.whole} {relation} {other.whole}", *others)
            elif _is_verb(relation):
                yield _ask("attribute", one, f"{one.whole} {relation}", one.whole)

    def _of_places(self) -> Iterator[Question]:
        """Where in the picture a thing is."""
        for place, size in self._positions:
            if thing := self._before(place) or next(iter(self._things), None):
                said, here = thing.whole, " ".join(self._text.words[place : place + size])
                places = {where: words for words, where in reversed(_POSITIONS.items())}
                del places[_POSITIONS[here]]
                instead = (f"{said} {words}" for words in places.values())
                yield _ask("position", thing, f"{said} {here}", *instead)

    def _found_positions(self) -> Iterator[tuple[int, int]]:
        """Place and number of words of each position: "on the left", but not "on the left of"."""
        words = self._text.words
        for place in range(len(words)):
            for name in _POSITIONS:
                end = place + len(name.split())
                if words[place:end] == name.split() and words[end : end + 1] != ["of"]:
                    yield place, end - place

    def _found_relations(self) -> Iterator[tuple[int, int]]:
        """Place and number of words of each relation, a verb before it included."""
        text = self._text
        taken = {at for place, size in self._positions for at in range(place, place + size)}
        place = 0
        while place < len(text.words):
            size = 0
            if place and not text.ends[place - 1] and text.words[place - 1] not in STOP:
                size = int(_is_verb(text.words[place]))
            if not size or not text.ends[place]:
                size += relation_at(text.words, place + size)
            if size and taken.isdisjoint(range(place, place + size)):
                yield place, size
            place += size or 1

    def _kinds_of_places(self) -> dict[int, str]:
        """What words are that name no thing, by place: unseen, style, or what joins things."""
        text = self._text
        joined = (*self._positions, *self._relations)
        found = {at: "joins" for place, size in joined for at in range(place, place + size)}
        terms = [(one.kind, one.start, one.end) for one in find_terms(text.text)]
        for clause in re.finditer(r"[^,;|.\n]+", text.text):
            if phrase := phrases().get(clause[0].strip().lower()):
                terms.append((phrase.kind, clause.start(), clause.end()))
        for want in self._intent.wants:
            if want.kind == "quoted":
                start = text.text.index(want.text)
                terms.append(("quoted", start, start + len(want.text)))
        for kind, start, end in terms:
            places = (at for at, begin in enumerate(text.starts) if start <= begin < end)
            if kind in _UNSEEN:
                found.update(dict.fromkeys(places, "unseen"))
            elif kind in ("style", "medium"):
                found.update(dict.fromkeys(places, "style"))
        return found

    def _spans(self) -> Iterator[list[int]]:
        """Places of the words of each noun phrase."""
        text = self._text
        span: list[int] = []
        for place, word in enumerate(text.words):
            apart = (
                word in STOP or word in _NO_THINGS or self._kinds.get(place) in ("unseen", "joins")
            )
            if not apart:
                span.append(place)
            if span and (apart or text.ends[place]):
                yield span
                span = []
        if span:
            yield span

    def _phrase(self, span: Sequence[int]) -> _Phrase:
        text, first, last = self._text, span[0], span[-1]
        words = tuple(text.written[at] for at in span if at not in self._counted)
        whole = " ".join(text.written[at] for at in span)
        if tuple(text.words[at] for at in span) in self._names:
            return _Phrase(first, last, whole, (whole,), has_article=False)
        begins = not first or text.ends[first - 1] or text.words[first - 1] in ("a", "an", "the")
        has_article = begins and not _is_verb(text.words[last])
        is_number = any(place == first for _, _, place in text.counts)
        if has_article and not is_number and not is_plural(text.words[last]):
            whole = _with_article(whole)
        return _Phrase(first, last, whole, words, has_article)

    def _of(self, root: str, place: int) -> _Phrase | None:
        """The thing that a number or colour at a place belongs to."""
        found = [one for one in self._things if root in map(stem, one.words)]
        return min(found, key=lambda one: abs(one.last - place), default=None)

    def _before(self, place: int) -> _Phrase | None:
        """The last thing before a place, in the same clause."""
        found = [one for one in self._things if one.last < place]
        return found[-1] if found and not any(self._text.ends[found[-1].last : place]) else None


def _ask(kind: str, phrase: _Phrase, said: str, *others: str, wanted: bool = True) -> Question:
    verb = "Are" if phrase.is_plural else "Is"
    return Question(kind, f"{verb} there {said} in the picture?", said, others, wanted)


def _with_article(words: str) -> str:
    return f"{'an' if words[0].lower() in 'aeiou' else 'a'} {words}"


def _others(style: str) -> tuple[str, ...]:
    """The styles that a named one is none of."""
    words = style.lower().split()
    return tuple(
        name for name, known in _STYLES.items() if not any(word.startswith(known) for word in words)
    )


def _is_verb(word: str) -> bool:
    return word.endswith("ing") and len(word) > _SHORT_NOUN and word not in _NOUNS_IN_ING
