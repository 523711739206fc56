"""What is looked up for a prompt in a model's store, and judged by its reranker."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

import numpy as np

from promptlift.improving.constraints import Constraints
from promptlift.improving.decoding.drafts import LEAST_FIRST, LEAST_SCORE, belonging
from promptlift.improving.decoding.loop import GivenUp
from promptlift.improving.phrase_store import PhraseStore
from promptlift.improving.reranker import Reranker
from promptlift.improving.selection import select
from promptlift.improving.writing import Source
from promptlift.prompts.intent import STOP, Text
from promptlift.prompts.reading import read

# Standard deviation of the random number that is added to each score: of a prompt's first variant,
# so that seeds differ, and of further ones, which should say something else.
CHANCE, FURTHER_CHANCE = 0.05, 0.3
# Phrases in a paragraph or a rewriting, by the length that is asked for. One reader preferred six
# to four in 72% of 166 rows.
MOST_PHRASES = {None: 6, "short": 3, "medium": 6, "long": 8}
_MOST_SCORES = 64  # prompts whose phrases' scores are kept


class LookedUp:
    """The phrases that belong to prompts.

    Args:
        reranker: tells how well they belong.
        store: where they are looked up; without one there are none.
        constraints: what the options ask for and ban.
        sampled: whether chance has a say.
        given_up: called before each look-up; if it returns true, `GivenUp` is raised.
    """

    def __init__(
        self,
        reranker: Reranker,
        store: PhraseStore | None,
        constraints: Constraints,
        *,
        sampled: bool,
        given_up: Callable[[], bool] | None,
    ) -> None:
        self.store, self._constraints, self._sampled = store, constraints, sampled
        self._given_up, self.scores = given_up, reranker.scores
        # Variants of a prompt have much the same phrases.
        self._scores = lru_cache(_MOST_SCORES)(reranker.scores)
        # A longer text takes phrases that belong less surely.
        asks_for_more = constraints.control.length in ("medium", "long")
        self.least = LEAST_FIRST if asks_for_more else LEAST_SCORE

    def leads(self, source: Source) -> Mapping[str, float]:
        """Phrases that may belong, and what is added to their scores."""
        return self.store.leads(source.words, source.used) if self.store is not None else {}

    def score(self, source: Source) -> Callable[[Sequence[str]], Sequence[float]]:
        """How well phrases belong to a source."""
        return lambda phrases: self._scores(source.words, tuple(phrases))

    def chance(self, source: Source, stream: np.random.Generator) -> Callable[[], float]:
        """What chance adds to a score."""
        deviation = FURTHER_CHANCE if source.variant else CHANCE
        return lambda: deviation * stream.standard_normal() if self._sampled else 0.0

    def best(self, source: Source, stream: np.random.Generator) -> list[str]:
        """The phrases that belong, the best first.

        Raises:
            GivenUp: the caller no longer waits.
        """
        if self._given_up is not None and self._given_up():
            raise GivenUp
        leads = self.leads(source)
        return belonging(
            [*leads],
            score=self.score(source),
            leads=leads,
            chance=self.chance(source, stream),
            least=self.least,
        )

    def to_say(
        self, source: Source, stream: np.random.Generator, *, look_up: bool = True
    ) -> tuple[list[str], list[str]]:
        """What a paragraph or a rewriting is to say: what is asked for, and what is looked up.

        They are phrases, as tags are, and are checked as such. Those that share words with earlier
        variants come last; where nothing may be said again, only if there are no others.

        Raises:
            GivenUp: the caller no longer waits.
        """
        control, asked = self._constraints.control, self._constraints.asked
        wanted = [one for wish in control.include if (one := wish.strip(" .,;:!?"))]
        found = self.best(source, stream) if look_up else []
        reading = read(source.words, asked)
        used = Text(", ".join(source.used)).stem_set - reading.intent.text.stem_set - STOP
        fresh = [phrase for phrase in found if used.isdisjoint(Text(phrase).stem_set)]
        again = [phrase for phrase in found if phrase not in fresh]
        kept = select(
            [*wanted, *fresh, *([] if control.diversity >= 1 and fresh else again)],
            reading,
            replace(control, form="tags"),
            most=len(wanted) + MOST_PHRASES[control.length],
        ).kept
        return [one for one in kept if one in wanted], [one for one in kept if one not in wanted]
