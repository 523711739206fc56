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
_POSSESSIVE = re.compile(r"['’]s\b")
_MARKS, _STOPS = ",;:|", ".!?…"


@dataclass(frozen=True)
class Unit:
    """A kind of units.

    Attributes:
        split: the units of a text.
        between: what stands between two of them.
        joint: what stands between words and the first unit after them.
    """

    split: Callable[[str], list[str]]
    between: str
    joint: Callable[[str, str], str]

    def append(self, text: str, units: Sequence[str]) -> str:
        """Words, and units after them."""
        joint = self.joint(text, units[0]) if text and units else ""
        return text + joint + self.between.join(units)


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
    Only a comma stays in the first unit; `Unit.joint` gives the others again.

    Args:
        text: what a model wrote.
        before: the words, as far as the place of the text.
    """
    rest = text.strip()
    own = rest.lstrip(_STOPS + " ")
    if own != rest or _is_ended(before, _STOPS):
        rest = capitalized(own.lstrip(_MARKS + " "))
    elif _is_ended(before, _MARKS):
        rest = rest.lstrip(_MARKS + " ")
    return split_sentences(rest)


def _is_ended(text: str, marks: str) -> bool:
    return text[-1:] in [*marks] and not text.endswith("::")  # a weight of NovelAI


def _after_words(text: str, unit: str) -> str:
    return " " if _is_ended(text, _MARKS + ".!?") else ", "


def _after_sentence(text: str, unit: str) -> str:
    if unit[0] in _MARKS or _POSSESSIVE.match(unit):
        return ""
    letter = _LETTER.search(unit)
    goes_on = letter is not None and letter[0].islower()
    return " " if goes_on or _is_ended(text, _MARKS + _STOPS) else ". "


CLAUSE = Unit(split_clauses, ", ", _after_words)
SENTENCE = Unit(split_sentences, " ", _after_sentence)
UNITS = {"tags": CLAUSE, "paragraph": SENTENCE}
