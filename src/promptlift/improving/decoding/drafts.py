"""The phrases that belong best to a prompt, of several drafts and of those looked up."""

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from itertools import chain
from types import MappingProxyType

import numpy as np

from promptlift.improving.codec import Codec
from promptlift.improving.decoding.loop import Generated
from promptlift.improving.writing import Written
from promptlift.prompts.clauses import plain_words, split_clauses
from promptlift.prompts.intent import STOP, Text
from promptlift.prompts.lexicon.terms import LIGHT

# Phrases of a lower score are left out: the best one below the first number, others below the
# second. Of best ones of 0.3 to 0.5 readers found 30% good and 13% bad, of 0.5 to 0.6 62% and 10%;
# of others of 0.6 to 0.7 57% and 13%, of 0.8 to 0.9 68% and 8%.
LEAST_FIRST, LEAST_SCORE = 0.5, 0.7
# Deducted from the score of a phrase that only the model wrote, where others were looked up: four
# of the 15 such phrases among 446 additions were not English ("glossy glossy surfaces").
ALONE = 0.4
# Phrases that are added. With a median of four, readers found a clear contradiction in 11 and 13 of
# 260 results; with two, in 5 and 4.
MOST_TAGS = 2
NOTHING = "nothing that was looked up or written surely belongs"


def streams_of(stream: np.random.Generator, count: int) -> list[np.random.Generator]:
    """Random numbers of each draft; the first has those of the result itself."""
    start = stream.bit_generator
    assert isinstance(start, np.random.Philox)
    return [stream, *(np.random.Generator(start.jumped(place)) for place in range(1, count))]


def best_of(
    drafts: Sequence[Generated],
    codec: Codec,
    score: Callable[[Sequence[str]], Sequence[float]],
    *,
    forced: int = 0,
    included: Sequence[str] = (),
    looked_up: Mapping[str, float] = MappingProxyType({}),
    chance: Callable[[], float] = float,
    least: float = LEAST_SCORE,
    most: int | None = MOST_TAGS,
) -> Written:
    """The phrases of all drafts and those that were looked up, the highest score first.

    `most` of the result is the number of phrases in the first draft, but not above that given here.
    There is no text if no phrase is good enough.

    Args:
        drafts: of one source.
        codec: the model's.
        score: tells how well each of several phrases belongs to the prompt.
        forced: tokens that every draft begins with; what they say comes first.
        included: words that were asked for; phrases with them are the best.
        looked_up: phrases out of a store, and what is added to their scores.
        chance: what is added to a score for the order, not for whether the phrase is good enough.
        least: score of the phrases after the first.
        most: phrases that are added in addition to what was asked for; None for as many as the
            first draft has.
    """
    found = [list(_phrases(draft, codec)) for draft in drafts]
    asked = [phrase for phrase, end in found[0] if end <= forced]
    own = [phrase for phrase, end in chain(*found) if end > forced]
    kept = belonging(
        [*own, *looked_up],
        score,
        written=own,
        included=included,
        leads=looked_up,
        chance=chance,
        least=least,
    )
    if not asked and not kept:
        return Written(None, notes=(NOTHING,))
    wished = len(asked) + len(included)
    count = len(found[0]) if most is None else min(len(found[0]), wished + most)
    return Written(", ".join([*asked, *kept]), most=max(count, len(asked) + 1))


def belonging(
    phrases: Sequence[str],
    score: Callable[[Sequence[str]], Sequence[float]],
    *,
    written: Sequence[str] = (),
    included: Sequence[str] = (),
    leads: Mapping[str, float] = MappingProxyType({}),
    chance: Callable[[], float] = float,
    least: float = LEAST_SCORE,
) -> list[str]:
    """The phrases that belong to the prompt, the highest score first, each about something else.

    Args:
        phrases: all of them; of those with the same words the first one counts.
        written: those of them that the model wrote.
        leads: what is added to the scores of phrases that were looked up.
        score, included, chance, least: as `best_of` has them.
    """
    drawn = set(map(plain_words, written))
    distinct = {plain_words(phrase): phrase for phrase in reversed(phrases)}
    led = {plain_words(phrase): lead for phrase, lead in leads.items()}
    ranks: dict[str, tuple[bool, float, float]] = {}
    for words, one in zip(distinct, score(list(distinct.values())), strict=True):
        # What the model wrote too is no worse for being written for another prompt.
        lead = led.get(words, -ALONE if led else 0.0)
        wished = any(f" {plain_words(wish)}" in f" {words}" for wish in included)
        one += max(lead, 0.0) if words in drawn and words in led else lead
        ranks[words] = (wished, one + chance(), one)
    kept: list[str] = []
    said: set[str] = set()
    for words, (wished, _, one) in sorted(ranks.items(), key=lambda item: item[1], reverse=True):
        about = _about(distinct[words])
        good = one >= (least if kept else LEAST_FIRST)
        if (wished or good) and said.isdisjoint(about):
            kept.append(distinct[words])
            said |= about
    return kept


def _about(phrase: str) -> Set[str]:
    """What two phrases of a result do not both speak of: the same things, or light.

    Of light there is something good to say of any picture: one phrase of it is enough.
    """
    stems = Text(phrase).stem_set - STOP
    return stems if LIGHT.isdisjoint(plain_words(phrase).split()) else {*stems, "light"}


def _phrases(draft: Generated, codec: Codec) -> Iterator[tuple[str, int]]:
    """The finished phrases of a draft, each with the place after its last token."""
    known = set(split_clauses(codec.decode(draft.tokens)))
    start = 0
    ends = [place for place, token in enumerate(draft.tokens) if "," in codec.decode([token])]
    for end in [*ends, *([len(draft.tokens)] if draft.ended else [])]:
        # A token may hold a quotation mark before its comma.
        text = codec.decode(draft.tokens[start : end + 1])
        phrase = (text.rpartition(",")[0] if end in ends else text).strip()
        if phrase in known and end > start:
            yield phrase, end
        start = end + 1
