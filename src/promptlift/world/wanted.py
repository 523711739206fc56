"""What a prompt in the language of the pocket world asks for."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from promptlift.world.captions import (
    BACKGROUND_WORDS,
    PLACES,
    STYLE_WORDS,
    plural,
)
from promptlift.world.scenes import COLOURS, SHAPES

_SHAPE_OF = {word: shape for shape in SHAPES for word in (shape, plural(shape))}
_COLOUR = "|".join(COLOURS)
_SHAPE = "|".join(sorted(_SHAPE_OF, key=len, reverse=True))
_SUBJECT = re.compile(
    rf"(?:\b(?P<number>an?|one|two|three) )?(?:\b(?P<size>small|large) )?"
    rf"(?:\b(?P<colour>{_COLOUR}) )?\b(?P<shape>{_SHAPE})\b"
    rf"(?: (?P<relation>left of|right of|above|below) (?:an? )?"
    rf"(?:(?P<other_colour>{_COLOUR}) )?(?P<other_shape>{_SHAPE})\b)?"
)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a prompt asks for; None where it says nothing.

    Attributes:
        shape, colour, number: of the things named first, number from 1 to 3.
        size: "small" or "large".
        relation: how they stand to the other thing.
        other_shape, other_colour: of the other thing.
        position: of `scenes.POSITIONS`.
        background: of `scenes.BACKGROUNDS`.
        style: of `scenes.STYLES`.
    """

    shape: str | None = None
    colour: str | None = None
    number: int | None = None
    size: str | None = None
    relation: str | None = None
    other_shape: str | None = None
    other_colour: str | None = None
    position: str | None = None
    background: str | None = None
    style: str | None = None


def wanted_of(prompt: str) -> Wanted:
    """What a prompt asks for, in the words of the pocket world; other words ask for nothing.

    Of several backgrounds, styles or positions the one named first counts.
    """
    text = " ".join(prompt.lower().split())
    found = _SUBJECT.search(text)
    parts = found.groupdict() if found else {}
    number = {"a": 1, "an": 1, "one": 1, "two": 2, "three": 3}.get(parts.get("number") or "")
    shape = _SHAPE_OF.get(parts.get("shape") or "")
    if shape and number is None and parts["shape"] in SHAPES:
        number = 1
    return Wanted(
        shape=shape,
        colour=parts.get("colour"),
        number=None if parts.get("relation") else number,
        size=parts.get("size"),
        relation=parts.get("relation"),
        other_shape=_SHAPE_OF.get(parts.get("other_shape") or ""),
        other_colour=parts.get("other_colour"),
        position=_first(text, {name: (words,) for name, words in PLACES.items()}),
        background=_first(text, {name: (words,) for name, words in BACKGROUND_WORDS.items()}),
        style=_first(text, STYLE_WORDS),
    )


def _first(text: str, words: Mapping[str, tuple[str, ...]]) -> str | None:
    """The name whose words stand first in a text."""
    places = [
        (found.start(), name)
        for name, phrases in words.items()
        for phrase in phrases
        if (found := re.search(rf"\b{re.escape(phrase)}\b", text))
    ]
    return min(places)[1] if places else None
