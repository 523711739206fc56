"""Several drafts of one result, and the phrases of them that belong best to the prompt."""

import math
from collections.abc import Iterator, Mapping, Sequence, Set
from itertools import chain
from types import MappingProxyType

import numpy as np

from promptlift.improving.codec import Codec
from promptlift.improving.decoding.loop import Generated
from promptlift.improving.reward_head import Fluency
from promptlift.improving.writing import Written
from promptlift.prompts.clauses import plain_words, split_clauses
from promptlift.prompts.intent import STOP, Text
from promptlift.prompts.lexicon.terms import LIGHT

# Phrases of a reward below this are left out, all but the best: a result whose least phrase was
# below it lost to the prompt alone more often than it won.
LEAST_REWARD = 0.35


def streams_of(stream: np.random.Generator, count: int) -> list[np.random.Generator]:
    """Random numbers of each draft; the first has those of the result itself."""
    start = stream.bit_generator
    assert isinstance(start, np.random.Philox)
    return [stream, *(np.random.Generator(start.jumped(place)) for place in range(1, count))]


def best_of(
    drafts: Sequence[Generated],
    codec: Codec,
    fluency: Fluency,
    forced: int = 0,
    included: Sequence[str] = (),
    looked_up: Sequence[Generated] = (),
    rewards: Mapping[str, float] = MappingProxyType({}),
) -> Written:
    """The phrases of all drafts, the highest reward first.

    `most` of the result is the number of phrases in the first draft.

    Args:
        drafts: of one source, with rewards.
        codec: the model's.
        fluency: the model's.
        forced: tokens that every draft begins with; what they say comes first.
        included: words that were asked for; phrases with them are the best.
        looked_up: what the model says of phrases that were looked up, as drafts of them.
        rewards: what each of these gets beside that.
    """
    found = [list(_phrases(draft, codec, fluency)) for draft in drafts]
    asked = [phrase for phrase, end, _ in found[0] if end <= forced]
    wishes = [plain_words(wish) for wish in included]
    drawn = [(phrase, reward) for phrase, end, reward in chain(*found) if end > forced]
    for draft in looked_up:
        for phrase, _, reward in _phrases(draft, codec, fluency):
            drawn.append((phrase, reward + rewards.get(phrase, 0.0)))
    best: dict[str, tuple[float, str]] = {}
    for phrase, reward in drawn:
        words = plain_words(phrase)
        reward = math.inf if any(wish in words for wish in wishes) else reward
        best[words] = max(best.get(words, (reward, phrase)), (reward, phrase))
    kept: list[str] = []
    said: set[str] = set()
    for reward, phrase in sorted(best.values(), key=lambda item: -item[0]):
        about = _about(phrase)
        if not kept or (reward >= LEAST_REWARD and said.isdisjoint(about)):
            kept.append(phrase)
            said |= about
    return Written(", ".join([*asked, *kept]), most=max(len(found[0]), len(asked) + 1))


def _about(phrase: str) -> Set[str]:
    """What two phrases of a result do not both speak of: the same things, or light.

    Of light there is something good to say of any picture: one phrase of it is enough.
    """
    stems = Text(phrase).stem_set - STOP
    return stems if LIGHT.isdisjoint(plain_words(phrase).split()) else {*stems, "light"}


def _phrases(draft: Generated, codec: Codec, fluency: Fluency) -> Iterator[tuple[str, int, float]]:
    """The finished phrases of a draft, the place behind their last token, and their rewards."""
    known = set(split_clauses(codec.decode(draft.tokens)))
    start = 0
    ends = [place for place, token in enumerate(draft.tokens) if "," in codec.decode([token])]
    for end in [*ends, *([len(draft.tokens)] if draft.ended else [])]:
        # A token may hold a quotation mark before its comma.
        text = codec.decode(draft.tokens[start : end + 1])
        phrase = (text.rpartition(",")[0] if end in ends else text).strip()
        if phrase in known and end > start:
            reward = draft.rewards[end - 1] + fluency.of(draft.log_probabilities[start:end])
            yield phrase, end, reward
        start = end + 1
