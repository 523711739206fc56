"""Which phrases of what a model wrote are added to a prompt, and why the others are not."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from promptlift.improving.config import ControlConfig
from promptlift.prompts.clauses import plain_words
from promptlift.prompts.coherence import opposition, repetition
from promptlift.prompts.contradictions import contradiction
from promptlift.prompts.intent import Text
from promptlift.prompts.lexicon.offers import is_filler
from promptlift.prompts.lexicon.words import unsafe_words
from promptlift.prompts.reading import Reading
from promptlift.prompts.syntax import parse
from promptlift.records import Dropped

BROKEN = "\ufffd"  # what bytes that are no UTF-8 are decoded to
_SIGNS = frozenset("()[]{}<>|\\")


@dataclass
class Selection:
    """Phrases to add, and those that were dropped."""

    kept: list[str] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)


def select(
    phrases: Sequence[str],
    reading: Reading,
    control: ControlConfig,
    *,
    ended: bool = True,
    said: str | None = None,
    used: Iterable[str] = (),
) -> Selection:
    """The phrases that may be added to a prompt.

    Args:
        phrases: what the model wrote.
        reading: the prompt.
        control: constraints on additions.
        ended: whether the model ended the text itself; otherwise the last phrase is unfinished.
        said: text whose phrases are not repeated; the words of the prompt where None.
        used: phrases of earlier variants, which are not repeated.
    """
    result = Selection()
    before = plain_words(reading.words if said is None else said)
    given = plain_words(control.style or "")
    used = {plain_words(phrase) for phrase in used}
    included = {plain_words(phrase) for phrase in control.include}
    for place, phrase in enumerate(phrases):
        reason = None
        words = plain_words(phrase)
        if reading.frame and not _fits_quotes(phrase):
            reason = "syntax"
        elif control.guards:
            if not ended and place and place == len(phrases) - 1:
                reason = "unfinished"
            elif not phrase.isprintable() or BROKEN in phrase or not words.strip():
                reason = "broken"
            elif words in before:
                reason = "repeated"
            elif _has_syntax(phrase):
                reason = "syntax"
        if reason is None and words in used:
            reason = "in another variant"
        if reason is None and words != given:
            reason = _unwanted(phrase, words, reading, control)
            if reason is None and control.keep_intent:
                reason = contradiction(reading.intent.text, phrase, ", ".join(result.kept))
            if reason is None and control.coherent and words not in included:
                reason = _incoherent(phrase, result.kept, reading, said)
        if reason is None:
            before += words
            result.kept.append(phrase)
        else:
            result.dropped.append(Dropped(phrase, reason))
    return result


def fit(selection: Selection, reading: Reading, limit: int | None) -> Selection:
    """Drop whole phrases until the prompt is within `limit` CLIP tokens: fillers first.

    Of phrases of one kind the last goes first; the user's own words always stay.
    """
    kept, dropped = list(selection.kept), list(selection.dropped)
    while limit is not None and kept and reading.tokens_with(kept) > limit:
        fillers = [place for place, phrase in enumerate(kept) if is_filler(phrase)]
        dropped.append(Dropped(kept.pop(fillers[-1] if fillers else -1), "budget"))
    return Selection(kept, dropped)


def _unwanted(phrase: str, words: str, reading: Reading, control: ControlConfig) -> str | None:
    """Why a phrase is dropped: banned terms go, whether decoding could ban them or not."""
    for kinds, strength in (
        (("painter",), control.artist_strength),
        (("style", "medium"), control.style_strength),
    ):
        if strength >= 1 and reading.new_terms([phrase], kinds):
            return kinds[0]
    if any(plain_words(item) in words for item in control.avoid):
        return "to be avoided"
    unsafe = unsafe_words().intersection(words.split()) if control.safe else ()
    if unsafe and not set(plain_words(reading.prompt).split()).issuperset(unsafe):
        return "unsafe"
    return None


def _incoherent(phrase: str, kept: Sequence[str], reading: Reading, said: str | None) -> str | None:
    """Why a phrase does not go with those before it; what a rewriting says of the prompt does."""
    asked = reading.intent.text
    if said is not None and asked.stem_set & Text(phrase).stem_set:
        return None
    return repetition(phrase, kept, reading.words if said is None else said) or opposition(
        phrase, kept, asked
    )


def _fits_quotes(phrase: str) -> bool:
    """Whether a phrase can stand in quotation marks and leave them whole."""
    return phrase.isprintable() and '"' not in phrase and "\\" not in phrase


# Models say the same phrases over and over.
@lru_cache(20_000)
def _has_syntax(phrase: str) -> bool:
    return not _SIGNS.isdisjoint(phrase) or any(span.kind != "text" for span in parse(phrase))
