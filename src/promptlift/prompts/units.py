"""The units that additions come in: the clauses of tags, or the sentences of a paragraph."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from promptlift.prompts.clauses import split_clauses

# Not after a title or an initial: "St. Paul", "J. Doe".
_TITLES = "".join(rf"(?<!\b{title}\.)" for title in ("Mr", "Mrs", "Ms", "Dr", "St", "Mt", "[A-Z]"))
_END = re.compile(rf"(?:(?<=[.!?…])|(?<=[.!?…][\"”’')])){_TITLES}\s+(?=[^\s\w]*[^\W_a-z])")
_LETTER = re.compile(r"[^\W_]")
_FINISHED = re.compile(r"[.!?…][\"”’')]*\Z")
_MARKS, _STOPS = ",;:|，、；：", ".!?…。！？"
_DASHES = ("–", "—", " -", " /", " &")
_JOINERS = _MARKS + _STOPS + " \n\t"
_POSSESSIVE = re.compile(r"['’]s\b")
_LEAD = re.compile(rf"(?:[{_JOINERS}]|{_POSSESSIVE.pattern})*")
# What may stand between words and their last mark: brackets with weights, and quotation marks.
_CLOSED = re.compile(r"(?:(?::\s*-?\d*\.?\d+)?[)\]}](?:\d*\.?\d+|[+-]+)?|[\"'“”’»]|::)+\Z")
_MOST_CLOSED = 100  # characters
# First words that have a capital only where a sentence begins.
_SMALL = {
    "a", "above", "an", "and", "around", "as", "at", "behind", "below", "beneath", "beside",
    "between", "both", "each", "every", "from", "he", "her", "his", "in", "inside", "it",
    "its", "near", "on", "over", "several", "she", "some", "that", "the", "their", "there", "these",
    "they", "this", "those", "through", "under", "while", "with",
}  # fmt: skip


@dataclass(frozen=True)
class Unit:
    """A kind of units.

    Attributes:
        split: the units of a text.
        between: what stands between two of them.
        fit: a unit as it goes on from words.
        joint: what stands between words and the first unit after them.
        ends: marks that end a unit.
    """

    split: Callable[[str], list[str]]
    between: str
    fit: Callable[[str, str], str]
    joint: Callable[[str, str], str]
    ends: str = ""

    def fitted(self, text: str, units: Sequence[str]) -> list[str]:
        """Units, the first of them as it goes on from words."""
        return [self.fit(text, units[0]), *units[1:]] if text and units else [*units]

    def append(self, text: str, units: Sequence[str]) -> str:
        """Words, and units after them."""
        fitted = self.fitted(text, units)
        joint = self.joint(text, fitted[0]) if text and fitted else ""
        return text + joint + self.between.join(fitted)


def split_sentences(text: str) -> list[str]:
    """The sentences of a text, stripped, each with the mark that ends it."""
    return [sentence for part in _END.split(text) if (sentence := part.strip())]


def is_finished(sentence: str) -> bool:
    """Whether a mark ends a sentence."""
    return _FINISHED.search(sentence) is not None


def capitalized(sentence: str) -> str:
    """A sentence whose first letter is a capital."""
    return _LETTER.sub(lambda found: found[0].upper(), sentence, count=1)


def continuation(text: str, before: str) -> list[str]:
    """What goes on from words: the rest of their sentence, then whole sentences.

    A model that goes on begins with ". ", ", " or " ", of which decoding may have lost the blank.
    Only a comma stays in the first unit; `Unit.joint` gives the others again. Where a mark ends the
    words already, that of the model goes.

    Args:
        text: what a model wrote.
        before: the words, as far as the place of the text.
    """
    return split_sentences(_going_on(text, before))


def openness(words: str) -> int:
    """How words end: 0 openly, 1 with a mark within a sentence, 2 with that of its end."""
    end = _ending(words)
    return 0 if not end else 2 if end in _STOPS else 1


def _going_on(text: str, before: str) -> str:
    """A text as it goes on from words; the same again where it was fitted to them already."""
    rest, end = text.strip(), _ending(before)
    joiner = rest[: len(rest) - len(rest.lstrip(_JOINERS))]
    own = _LEAD.sub("", rest, count=1)
    if end and end in _STOPS:
        return capitalized(own)
    if end:
        return own if end in ":：|" else _uncapitalized(own)
    if not joiner:
        return own if _POSSESSIVE.match(_open(before)[-2:]) else rest
    if not own or not {*joiner}.isdisjoint(_STOPS):
        return capitalized(own)
    return f"{joiner[0]} {own}"


def _uncapitalized(text: str) -> str:
    """A text whose first word has no capital unless it may be a name."""
    word = text.partition(" ")[0]
    return word.lower() + text[len(word) :] if word.lower() in _SMALL else text


def _ending(words: str) -> str:
    """The mark that ends words, within brackets and quotation marks too; "" where none does."""
    bare = _open(words)
    if bare.endswith(_DASHES):
        return "—"
    return bare[-1:] if bare.endswith((*_MARKS, *_STOPS)) else ""


def _open(words: str) -> str:
    """The end of words, without what closes after them."""
    return _CLOSED.sub("", words[-_MOST_CLOSED:]).rstrip()


def _after_words(text: str, unit: str) -> str:
    is_ended = text[-1:] in [*",;:|.!?"] and not text.endswith("::")  # a weight of NovelAI
    return " " if is_ended else ", "


def _after_sentence(text: str, unit: str) -> str:
    if unit[0] in _MARKS or _POSSESSIVE.match(unit):
        return ""
    letter = _LETTER.search(unit)
    goes_on = letter is not None and letter[0].islower()
    return " " if goes_on or _ending(text) else ". "


CLAUSE = Unit(split_clauses, ", ", lambda text, unit: unit, _after_words)
SENTENCE = Unit(
    split_sentences, " ", lambda text, unit: _going_on(unit, text) or unit, _after_sentence, _STOPS
)
UNITS = {"tags": CLAUSE, "paragraph": SENTENCE}
