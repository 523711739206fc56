"""Generation: what a model writes for prompts, in batches of one padded length."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from promptlift.errors import ConfigError
from promptlift.improving.codec import Codec, batches
from promptlift.improving.config import DecodingConfig
from promptlift.improving.constraints import Constraints
from promptlift.improving.decoding.drafts import LEAST_FIRST, LEAST_SCORE, best_of, streams_of
from promptlift.improving.decoding.loop import Generated, generate
from promptlift.improving.engines.engine import Engine
from promptlift.improving.manifest import ModelCard
from promptlift.improving.phrase_store import PhraseStore
from promptlift.improving.reranker import Reranker
from promptlift.improving.writing import Source, Written

# Batches of prompts that are sorted by length together: a larger window fills batches better.
WINDOW_BATCHES = 16
# Standard deviation of what chance adds to each score of a prompt's first variant, so that seeds
# differ, and of further ones, which should say something else.
CHANCE, FURTHER_CHANCE = 0.05, 0.3


class Generator:
    """A model on this machine with options that all its results share, as `Writer`.

    Args:
        engine, codec, card: the model's.
        constraints: what the options ask for and ban.
        decoding: how tokens are chosen.
        batch_size: texts that are decoded together, drafts counted one by one.
        reranker: chooses among the phrases of several drafts.
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
        reranker: Reranker | None = None,
        store: PhraseStore | None = None,
        given_up: Callable[[], bool] | None = None,
    ) -> None:
        self.engine, self.codec, self.card = engine, codec, card
        self.constraints, self.decoding, self.given_up = constraints, decoding, given_up
        self.batch_size, control = batch_size, constraints.control
        if decoding.best_of > 1 and reranker is None:
            raise ConfigError(
                f"best_of is {decoding.best_of}, and {card.name} has no reranker, so it cannot "
                "tell which draft is best. Leave best_of at 1."
            )
        self.form, special = control.form, codec.special
        # Greedy drafts would all be the same, and sentences hang together.
        several = decoding.do_sample and self.form == "tags"
        self._drafts = decoding.best_of if several else 1
        self._reranker = reranker
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
        return max(1, WINDOW_BATCHES * self.batch_size // self._drafts)

    @property
    def asked(self) -> frozenset[str]:
        """Painters, styles and mediums that the options ask for."""
        return self.constraints.asked

    def write(self, sources: Sequence[Source], mode: str) -> list[Written]:
        """A text for each source."""
        prefix = self.card.prefix(mode, self.form)
        texts = [prefix + source.words for source in sources]
        encoded = self.codec.encode(texts)
        # Phrases can be taken from one draft into another; what a rewriting says hangs together.
        drafts = self._drafts if mode == "extend" else 1
        opening = (self.constraints.forced if mode == "extend" else None) or []
        results: dict[int, Written] = {}
        for batch in batches(encoded, max(1, self.batch_size // drafts)):
            # Each prompt is encoded once, however many of its variants are in the batch.
            distinct = {texts[place]: encoded[place] for place in batch}
            order = list(distinct)
            streams = [streams_of(sources[place].stream, drafts + 1) for place in batch]
            drawn = self._generate(
                list(distinct.values()),
                [order.index(texts[place]) for place in batch for _ in range(drafts)],
                [sources[place] for place in batch for _ in range(drafts)],
                [stream for own in streams for stream in own[:drafts]],
                opening,
                self._drafting if drafts > 1 else self.decoding,
            )
            for row, place in enumerate(batch):
                own = drawn[row * drafts : (row + 1) * drafts]
                results[place] = self._best(sources[place], own, len(opening), streams[row][-1])
        return [results[place] for place in range(len(sources))]

    def _best(
        self, source: Source, drafts: Sequence[Generated], opening: int, stream: np.random.Generator
    ) -> Written:
        """The one draft, or the best phrases of several and of those that are looked up."""
        if self._reranker is None or len(drafts) == 1:
            return Written(self.codec.decode(drafts[0].tokens), drafts[0].ended)
        looked_up: dict[str, float] = {}
        if self._store is not None:
            looked_up = self._store.leads(source.words, source.used)
        deviation = FURTHER_CHANCE if source.variant else CHANCE
        control, reranker = self.constraints.control, self._reranker
        return best_of(
            drafts,
            self.codec,
            lambda phrases: reranker.scores(source.words, phrases),
            opening,
            control.include,
            looked_up,
            lambda: deviation * stream.standard_normal(),
            # Who asks for more gets phrases that belong less surely.
            LEAST_FIRST if control.length in ("medium", "long") else LEAST_SCORE,
        )

    def _generate(
        self,
        encoded: list[list[int]],
        copies: list[int],
        sources: list[Source],
        streams: list[np.random.Generator],
        opening: Sequence[int],
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
            forced=[opening] * len(streams),
            given_up=self.given_up,
        )
