"""Several drafts of one result, and the phrases of them that belong best to the prompt."""

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
NOTHING = "nothing that was written or looked up surely belongs"


def streams_of(stream: np.random.Generator, count: int) -> list[np.random.Generator]:
    """Random numbers of each draft; the first has those of the result itself."""
    start = stream.bit_generator
    assert isinstance(start, np.random.Philox)
    return [stream, *(np.random.Generator(start.jumped(place)) for place in range(1, count))]


def best_of(
    drafts: Sequence[Generated],
    codec: Codec,
    score: Callable[[Sequence[str]], Sequence[float]],
    forced: int = 0,
    included: Sequence[str] = (),
    looked_up: Mapping[str, float] = MappingProxyType({}),
    chance: Callable[[], float] = float,
    least: float = LEAST_SCORE,
) -> Written:
    """The phrases of all drafts and those that were looked up, the highest score first.

    `most` of the result is the number of phrases in the first draft. There is no text if no phrase
    is good enough.

    Args:
        drafts: of one source.
        codec: the model's.
        score: tells how well each of several phrases belongs to the prompt.
        forced: tokens that every draft begins with; what they say comes first.
        included: words that were asked for; phrases with them are the best.
        looked_up: phrases out of a store, and what is added to their scores.
        chance: what is added to a score for the order, not for whether the phrase is good enough.
        least: score of the phrases after the first.
    """
    found = [list(_phrases(draft, codec)) for draft in drafts]
    asked = [phrase for phrase, end in found[0] if end <= forced]
    own = [phrase for phrase, end in chain(*found) if end > forced]
    drawn = set(map(plain_words, own))
    distinct = {plain_words(phrase): phrase for phrase in reversed([*own, *looked_up])}
    leads = {plain_words(phrase): lead for phrase, lead in looked_up.items()}
    ranks: dict[str, tuple[bool, float, float]] = {}
    for words, one in zip(distinct, score(list(distinct.values())), strict=True):
        # What the model wrote too is no worse for being written for another prompt.
        lead = leads.get(words, 0.0)
        wished = any(f" {plain_words(wish)}" in f" {words}" for wish in included)
        one += max(lead, 0.0) if words in drawn else lead
        ranks[words] = (wished, one + chance(), one)
    kept: list[str] = []
    said: set[str] = set()
    for words, (wished, _, one) in sorted(ranks.items(), key=lambda item: item[1], reverse=True):
        about = _about(distinct[words])
        good = one >= (least if kept else LEAST_FIRST)
        if (wished or good) and said.isdisjoint(about):
            kept.append(distinct[words])
            said |= about
    if not asked and not kept:
        return Written(None, notes=(NOTHING,))
    return Written(", ".join([*asked, *kept]), most=max(len(found[0]), len(asked) + 1))


def _about(phrase: str) -> Set[str]:
    """What two phrases of a result do not both speak of: the same things, or light.

    Of light there is something good to say of any picture: one phrase of it is enough.
    """
    stems = Text(phrase).stem_set - STOP
    return stems if LIGHT.isdisjoint(plain_words(phrase).split()) else {*stems, "light"}


def _phrases(draft: Generated, codec: Codec) -> Iterator[tuple[str, int]]:
    """The finished phrases of a draft, and the place behind their last token."""
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
