"""Generation: what a model writes for prompts, in batches of one padded length."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from promptlift.errors import ConfigError
from promptlift.improving.codec import Codec, batches
from promptlift.improving.config import DecodingConfig
from promptlift.improving.constraints import Constraints
from promptlift.improving.decoding.drafts import best_of, streams_of
from promptlift.improving.decoding.loop import Generated, generate
from promptlift.improving.engines.engine import Engine
from promptlift.improving.manifest import ModelCard
from promptlift.improving.writing import Source, Written

# Batches of prompts that are sorted by length together: a larger window fills batches better.
WINDOW_BATCHES = 16


class Generator:
    """A model on this machine with options that all its results share, as `Writer`.

    Args:
        engine, codec, card: the model's.
        constraints: what the options ask for and ban.
        decoding: how tokens are chosen.
        batch_size: texts that are decoded together, each draft one.
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
        codec, prefix = self.codec, self.card.prefix(mode, self.form)
        fluency = self.engine.fluency
        texts = [prefix + source.words for source in sources]
        encoded = codec.encode(texts)
        forced = (self.constraints.forced if mode == "extend" else None) or []
        # Phrases can be taken from one draft into another; what a rewriting says hangs together.
        drafts = self._drafts if mode == "extend" else 1
        results: dict[int, Written] = {}
        for batch in batches(encoded, max(1, self.batch_size // drafts)):
            # Each prompt is encoded once, however many of its variants are in the batch.
            distinct = {texts[place]: encoded[place] for place in batch}
            order = list(distinct)
            drawn = self._generate(
                list(distinct.values()),
                [order.index(texts[place]) for place in batch for _ in range(drafts)],
                [sources[place] for place in batch for _ in range(drafts)],
                [stream for place in batch for stream in streams_of(sources[place].stream, drafts)],
                forced,
                self._drafting if drafts > 1 else self.decoding,
            )
            for place, first in zip(batch, range(0, len(drawn), drafts), strict=True):
                own = drawn[first : first + drafts]
                results[place] = (
                    best_of(own, codec, fluency, len(forced), self.constraints.control.include)
                    if fluency is not None and drafts > 1
                    else Written(codec.decode(own[0].tokens), own[0].ended)
                )
        return [results[place] for place in range(len(sources))]

    def _generate(
        self,
        encoded: list[list[int]],
        copies: list[int],
        sources: list[Source],
        streams: list[np.random.Generator],
        forced: list[int],
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
