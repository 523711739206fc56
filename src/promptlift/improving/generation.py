"""Generation: what a model writes for prompts, in batches of one padded length."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from promptlift.errors import ConfigError
from promptlift.improving.codec import Codec, batches
from promptlift.improving.config import DecodingConfig
from promptlift.improving.constraints import Constraints
from promptlift.improving.decoding.drafts import best_of, streams_of
from promptlift.improving.decoding.loop import Generated, generate
from promptlift.improving.engines.engine import Engine
from promptlift.improving.manifest import ModelCard
from promptlift.improving.phrase_store import PhraseStore
from promptlift.improving.writing import Source, Written
from promptlift.prompts.clauses import plain_words

# Batches of prompts that are sorted by length together: a larger window fills batches better.
WINDOW_BATCHES = 16
# Phrases of like prompts that compete with those of the drafts: so many of the nearest, drawn at
# random, so that variants differ; and how many of them the model reads one after another.
CONSIDERED, LOOKED_UP, TOGETHER = 24, 12, 3


class Generator:
    """A model on this machine with options that all its results share, as `Writer`.

    Args:
        engine, codec, card: the model's.
        constraints: what the options ask for and ban.
        decoding: how tokens are chosen.
        batch_size: texts that are decoded together: each draft, and each row of phrases that
            were looked up.
        store: phrases that compete with those of several drafts.
        given_up: called before each token; if it returns true, `GivenUp` is raised.
    """

    def __init__(
        self,
        engine: Engine,
        codec: Codec,
        card: ModelCard,
        constraints: Constraints,
        decoding: DecodingConfig,
        *,
        batch_size: int,
        store: PhraseStore | None = None,
        given_up: Callable[[], bool] | None = None,
    ) -> None:
        self.engine, self.codec, self.card = engine, codec, card
        self.constraints, self.decoding, self.given_up = constraints, decoding, given_up
        self.batch_size, control = batch_size, constraints.control
        if decoding.best_of > 1 and engine.fluency is None:
            raise ConfigError(
                f"best_of is {decoding.best_of}, and {card.name} has no reward head, so it cannot "
                "tell which draft is best. Leave best_of at 1."
            )
        self.form, special = control.form, codec.special
        # Greedy drafts would all be the same, and sentences hang together.
        several = decoding.do_sample and self.form == "tags"
        self._drafts = decoding.best_of if several else 1
        # What has a manner of its own is not mixed with what was written without it.
        self._store = store if self._drafts > 1 and control.reference is None else None
        hot = decoding.draft_temperature or decoding.temperature
        self._drafting = replace(decoding, temperature=hot)
        # A model without padding or unknown pieces has its end token in their place.
        never = {special.pad, special.unk, special.decoder_start} - {special.eos}
        self._suppressed = np.array(sorted(never) if control.guards else [], dtype=np.int64)

    @property
    def attempts(self) -> int:
        """One: what it writes can be added, or the prompt has no room."""
        return 1

    @property
    def window(self) -> int:
        """Results that are sorted by length together."""
        return max(1, WINDOW_BATCHES * self.batch_size // self._rows("extend"))

    @property
    def asked(self) -> frozenset[str]:
        """Painters, styles and mediums that the options ask for."""
        return self.constraints.asked

    def write(self, sources: Sequence[Source], mode: str) -> list[Written]:
        """A text for each source."""
        prefix = self.card.prefix(mode, self.form)
        texts = [prefix + source.words for source in sources]
        encoded = self.codec.encode(texts)
        rows = self._rows(mode)
        results: dict[int, Written] = {}
        for batch in batches(encoded, max(1, self.batch_size // rows)):
            # Each prompt is encoded once, however many of its variants are in the batch.
            distinct = {texts[place]: encoded[place] for place in batch}
            order = list(distinct)
            plans = [self._plan(sources[place], mode) for place in batch]
            drawn = self._generate(
                list(distinct.values()),
                [order.index(texts[place]) for place in batch for _ in range(rows)],
                [sources[place] for place in batch for _ in range(rows)],
                [stream for plan in plans for stream in plan.streams],
                [tokens for plan in plans for tokens in plan.forced],
                self._drafting if plans[0].drafts > 1 else self.decoding,
            )
            for place, plan, first in zip(batch, plans, range(0, len(drawn), rows), strict=True):
                results[place] = self._written(drawn[first : first + rows], plan)
        return [results[place] for place in range(len(sources))]

    def _rows(self, mode: str) -> int:
        """Texts that are decoded for a result: its drafts, and phrases that were looked up."""
        if mode != "extend":
            return 1
        return self._drafts + (LOOKED_UP // TOGETHER if self._store else 0)

    def _plan(self, source: Source, mode: str) -> "_Plan":
        rows = self._rows(mode)
        # Phrases can be taken from one draft into another; what a rewriting says hangs together.
        drafts = self._drafts if mode == "extend" else 1
        streams = streams_of(source.stream, rows)
        opening = (self.constraints.forced if mode == "extend" else None) or []
        rewards: dict[str, float] = {}
        if self._store and rows > drafts:
            used = {plain_words(phrase) for phrase in source.used}
            found_near = self._store.near(source.words).items()
            near = [one for one in found_near if plain_words(one[0]) not in used][:CONSIDERED]
            chosen = streams[drafts].permutation(len(near))[:LOOKED_UP]
            rewards = {near[at][0]: self._store.reward(near[at][1]) for at in chosen}
        found = list(rewards)
        told = [", ".join(found[at :: rows - drafts]) for at in range(rows - drafts)]
        forced = [*[opening] * drafts, *self.codec.encode_targets(told)]
        return _Plan(streams, forced, drafts, len(opening), rewards)

    def _written(self, drawn: Sequence[Generated], plan: "_Plan") -> Written:
        fluency, drafts = self.engine.fluency, drawn[: plan.drafts]
        if fluency is None or plan.drafts == 1:
            return Written(self.codec.decode(drawn[0].tokens), drawn[0].ended)
        included = self.constraints.control.include
        return best_of(
            drafts, self.codec, fluency, plan.opening, included,
            looked_up=drawn[plan.drafts :], rewards=plan.rewards,
        )  # fmt: skip

    def _generate(
        self,
        encoded: list[list[int]],
        copies: list[int],
        sources: list[Source],
        streams: list[np.random.Generator],
        forced: Sequence[Sequence[int]],
        decoding: DecodingConfig,
    ) -> list[Generated]:
        special = self.codec.special
        input_ids, mask = self.codec.pad(encoded)
        return generate(
            self.engine,
            input_ids,
            mask,
            decoding,
            streams,
            copies=np.array(copies, dtype=np.int64) if len(encoded) < len(copies) else None,
            decoder_start=special.decoder_start,
            eos=special.eos,
            suppressed=self._suppressed,
            phrases=self.constraints.rule([(source.terms, source.used) for source in sources]),
            forced=forced,
            given_up=self.given_up,
        )


@dataclass(frozen=True)
class _Plan:
    """What is decoded for one result.

    Attributes:
        streams: random numbers of each row: drafts, then rows of phrases that were looked up.
        forced: tokens that each row begins with; those of the last rows are all that they have.
        drafts: how many rows are drafts.
        opening: tokens that every draft begins with.
        rewards: the phrases that were looked up, and what each gets beside the reward head.
    """

    streams: Sequence[np.random.Generator]
    forced: Sequence[Sequence[int]]
    drafts: int
    opening: int
    rewards: Mapping[str, float]
