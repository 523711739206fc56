"""Generation: what a model writes for prompts, in batches of one padded length."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from promptlift.errors import ConfigError
from promptlift.improving.codec import Codec, batches
from promptlift.improving.config import DecodingConfig
from promptlift.improving.constraints import Constraints
from promptlift.improving.decoding.drafts import (
    MOST_TAGS,
    NOTHING,
    best_of,
    streams_of,
)
from promptlift.improving.decoding.loop import Generated, generate
from promptlift.improving.engines.engine import Engine
from promptlift.improving.looked_up import LookedUp
from promptlift.improving.manifest import ModelCard
from promptlift.improving.phrase_store import PhraseStore
from promptlift.improving.prose import sentence_after, weave
from promptlift.improving.reranker import Reranker
from promptlift.improving.writing import Source, Written

# Batches of prompts that are sorted by length together: a larger window fills batches better.
WINDOW_BATCHES = 16
# A prompt of so many words is a paragraph already: additions got 40% of the readers' votes on 43
# such prompts.
LONG_WORDS = 50


class Generator:
    """A model on this machine with options that all its results share, as `Writer`.

    Args:
        engine, codec, card: the model's.
        constraints: what the options ask for and ban.
        decoding: how tokens are chosen.
        batch_size: texts that are decoded together, drafts counted one by one.
        reranker: chooses among the phrases of several drafts, and those that are looked up.
        store: where phrases are looked up, for tags, paragraphs and rewritings.
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
        # With a reference nothing is looked up: what was written without it would not match its
        # manner. With one draft the text is the model's own.
        self.looked_up: LookedUp | None = None
        if reranker is not None and decoding.best_of > 1:
            self.looked_up = LookedUp(
                reranker,
                store if control.reference is None else None,
                constraints,
                sampled=decoding.do_sample,
                given_up=given_up,
            )
        self._most = None if control.length else MOST_TAGS
        # Greedy drafts would all be the same, and only tags are drafted several times.
        several = decoding.do_sample and self.form == "tags"
        self._drafts = decoding.best_of if several else 1
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
        """A text for each source.

        Raises:
            GivenUp: the caller no longer waits.
        """
        extends, found = mode == "extend", self.looked_up
        adds_tags = extends and self.form == "tags"
        if found is not None and found.store is not None and not adds_tags:
            return [self._said(source, found, extends=extends) for source in sources]
        # A single greedy draft leaves nothing to choose.
        if found is not None and adds_tags and (self.decoding.do_sample or found.store is not None):
            return self._tags(sources, found)
        prefix = self.card.prefix(mode, self.form)
        opening = (self.constraints.forced if extends else None) or []
        drafts = self._draw(prefix, sources, 1, opening, self.decoding)
        return [Written(self.codec.decode(one.tokens), one.ended) for [one] in drafts]

    def _tags(self, sources: Sequence[Source], found: LookedUp) -> list[Written]:
        """The looked-up phrases or, where there are too few, the best of these and of drafts."""
        chances = [self._chance(source) for source in sources]  # before drafts draw numbers
        control, opening = self.constraints.control, self.constraints.forced or []
        results: dict[int, Written] = {}
        if self._most is not None and not (opening or control.include):
            for place, source in enumerate(sources):
                best = found.best(source, chances[place])
                if len(best) >= self._most:
                    results[place] = Written(", ".join(best), most=self._most)
        left = [place for place in range(len(sources)) if place not in results]
        own = [sources[place] for place in left]
        hot = self.decoding.draft_temperature or self.decoding.temperature
        drawn = self._draw(
            self.card.prefix("extend", self.form),
            own,
            self._drafts,
            opening,
            replace(self.decoding, temperature=hot),
        )
        for place, source, drafts in zip(left, own, drawn, strict=True):
            results[place] = best_of(
                drafts,
                self.codec,
                found.score(source),
                forced=len(opening),
                included=control.include,
                looked_up=found.leads(source),
                chance=found.chance(source, chances[place]),
                least=found.least,
                most=self._most,
            )
        return [results[place] for place in range(len(sources))]

    def _said(self, source: Source, found: LookedUp, *, extends: bool) -> Written:
        """What is asked for and what is looked up, after the prompt or woven into it."""
        control, length = self.constraints.control, len(source.words.split())
        is_long = length >= LONG_WORDS and not control.force
        asked, phrases = found.to_say(source, self._chance(source), look_up=not is_long)
        if not (asked or phrases or control.style):
            note = f"it has {length} words already" if is_long else NOTHING
            return Written(None, notes=(note,), again=False)
        if not extends:
            prose = self.form == "paragraph"
            return Written(weave(source.words, phrases, found.scores, asked, prose=prose))
        manner = f", {control.style}." if control.style else ""
        return Written(manner + sentence_after(source.words + manner, phrases, asked))

    def _chance(self, source: Source) -> np.random.Generator:
        """Random numbers that no draft of a source has."""
        return streams_of(source.stream, self.decoding.best_of + 1)[-1]

    def _draw(
        self,
        prefix: str,
        sources: Sequence[Source],
        count: int,
        opening: Sequence[int],
        decoding: DecodingConfig,
    ) -> list[list[Generated]]:
        """So many drafts for each source."""
        texts = [prefix + source.words for source in sources]
        encoded = self.codec.encode(texts)
        drafts: dict[int, list[Generated]] = {}
        for places in batches(encoded, max(1, self.batch_size // count)):
            # Each prompt is encoded once, however many of its variants are in the batch.
            distinct = {texts[place]: encoded[place] for place in places}
            order = list(distinct)
            copies = [order.index(texts[place]) for place in places for _ in range(count)]
            own = [sources[place] for place in places for _ in range(count)]
            streams = [s for place in places for s in streams_of(sources[place].stream, count)]
            drawn = self._generate(list(distinct.values()), copies, own, streams, opening, decoding)
            for row, place in enumerate(places):
                drafts[place] = drawn[row * count : (row + 1) * count]
        return [drafts[place] for place in range(len(texts))]

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
