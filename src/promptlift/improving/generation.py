"""Generation: what a model writes for prompts, in batches of one padded length."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from promptlift.improving.codec import batches
from promptlift.improving.config import ControlConfig, DecodingConfig
from promptlift.improving.decoding.loop import Generated, generate
from promptlift.improving.model import LoadedModel


@dataclass(frozen=True)
class Source:
    """What one result is generated from.

    Attributes:
        words: what the model reads, after the prefix of the mode.
        terms: painters and styles that the prompt names, which are never banned.
        used: phrases or words of earlier variants, which become less likely.
        stream: its random numbers.
    """

    words: str
    terms: frozenset[str]
    used: tuple[str, ...]
    stream: np.random.Generator


class Generator:
    """A model with options that all its results share; `Session` describes the parameters."""

    def __init__(
        self,
        model: LoadedModel,
        decoding: DecodingConfig,
        control: ControlConfig,
        *,
        batch_size: int,
        given_up: Callable[[], bool] | None = None,
    ) -> None:
        self.model, self.decoding, self.given_up = model, decoding, given_up
        self.form = control.form
        self.batch_size, self.constraints = batch_size, model.constraints(control)
        special = model.codec.special
        # A model without padding or unknown pieces has its end token in their place.
        never = {special.pad, special.unk, special.decoder_start} - {special.eos}
        self._suppressed = np.array(sorted(never) if control.guards else [], dtype=np.int64)

    def write(self, sources: Sequence[Source], mode: str) -> list[tuple[str, bool]]:
        """A text for each source, and whether the model ended it itself."""
        codec, prefix = self.model.codec, self.model.card.prefix(mode, self.form)
        texts = [prefix + source.words for source in sources]
        encoded = codec.encode(texts)
        results: dict[int, tuple[str, bool]] = {}
        for batch in batches(encoded, self.batch_size):
            # Each prompt is encoded once, however many of its variants are in the batch.
            distinct = {texts[place]: encoded[place] for place in batch}
            order = list(distinct)
            drawn = self._generate(
                list(distinct.values()),
                [order.index(texts[place]) for place in batch],
                [sources[place] for place in batch],
                self.constraints.forced if mode == "extend" else None,
            )
            for place, item in zip(batch, drawn, strict=True):
                results[place] = (codec.decode(item.tokens), item.ended)
        return [results[place] for place in range(len(sources))]

    def _generate(
        self,
        encoded: list[list[int]],
        copies: list[int],
        sources: list[Source],
        forced: list[int] | None,
    ) -> list[Generated]:
        special = self.model.codec.special
        input_ids, mask = self.model.codec.pad(encoded)
        return generate(
            self.model.engine,
            input_ids,
            mask,
            self.decoding,
            [source.stream for source in sources],
            copies=np.array(copies, dtype=np.int64) if len(encoded) < len(copies) else None,
            decoder_start=special.decoder_start,
            eos=special.eos,
            suppressed=self._suppressed,
            phrases=self.constraints.rule([(source.terms, source.used) for source in sources]),
            forced=forced,
            given_up=self.given_up,
        )
