"""Which phrases or sentences that a model wrote are added to a prompt, and why others are not."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from promptlift.improving.config import ControlConfig
from promptlift.prompts.clauses import plain_words
from promptlift.prompts.coherence import opposition, repetition
from promptlift.prompts.contradictions import contradiction
from promptlift.prompts.intent import Intent, Text
from promptlift.prompts.lexicon.offers import is_filler
from promptlift.prompts.lexicon.words import unsafe_words
from promptlift.prompts.reading import Reading
from promptlift.prompts.syntax import parse
from promptlift.prompts.units import SENTENCE, is_finished
from promptlift.records import Dropped

BROKEN = "\ufffd"  # what bytes that are no UTF-8 are decoded to
_SIGNS = frozenset("()[]{}<>|\\")


@dataclass
class Selection:
    """Phrases, or sentences, to add, and those that were dropped."""

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
    most: int | None = None,
) -> Selection:
    """The phrases, or sentences, that may be added to a prompt.

    Args:
        phrases: what the model wrote, in units of the form.
        reading: the prompt.
        control: constraints on additions.
        ended: whether the model ended the text itself; otherwise the last phrase is unfinished.
        said: text whose phrases are not repeated; the words of the prompt where None.
        used: phrases of earlier variants, which are not repeated.
        most: how many are kept; what follows these is not looked at.
    """
    result = Selection()
    prose = control.unit is SENTENCE
    known = reading.words if said is None else said
    before = plain_words(known)
    given = plain_words(control.style or "")
    used = {plain_words(phrase) for phrase in used}
    included = {plain_words(phrase) for phrase in control.include}
    for place, phrase in enumerate(phrases):
        if len(result.kept) == most:
            break
        reason = None
        words = plain_words(phrase)
        if reading.frame and not _fits_quotes(phrase, reading):
            reason = "syntax"
        elif control.guards:
            if not ended and place == len(phrases) - 1 and _is_cut_off(phrase, place, prose):
                reason = "unfinished"
            elif not phrase.isprintable() or BROKEN in phrase or not words.strip():
                reason = "broken"
            elif words in before:
                reason = "repeated"
            elif words != given and _has_syntax(phrase):
                reason = "syntax"
            elif prose and _says_nothing_new(phrase, " ".join((known, *result.kept))):
                reason = "nothing new"
        if reason is None and words in used:
            reason = "in another variant"
        if reason is None and words != given:
            reason = _unwanted(phrase, words, reading, control)
            if reason is None and control.keep_intent:
                reason = contradiction(
                    reading.intent.text, phrase, ", ".join(result.kept), prose=prose
                )
            # Sentences may speak of a thing again.
            wished = any(wish in words for wish in included)
            if reason is None and control.coherent and not (prose or wished):
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


def _is_cut_off(phrase: str, place: int, prose: bool) -> bool:
    """Whether the last phrase of a text that the model did not end is unfinished."""
    return not is_finished(phrase) if prose else place > 0


def _says_nothing_new(sentence: str, said: str) -> bool:
    return not Intent(sentence).lost(said, prose=True)


def _fits_quotes(phrase: str, reading: Reading) -> bool:
    """Whether a phrase can stand in the quotation marks of a prompt and leave them whole."""
    single = reading.part is not None and reading.prompt[reading.part.end :][:1] == "'"
    return phrase.isprintable() and {'"', "\\", "'" if single else '"'}.isdisjoint(phrase)


# Models say the same phrases over and over.
@lru_cache(20_000)
def _has_syntax(phrase: str) -> bool:
    return not _SIGNS.isdisjoint(phrase) or any(span.kind != "text" for span in parse(phrase))
