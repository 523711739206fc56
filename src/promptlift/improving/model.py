"""A model that was loaded into this process: its engine, its tokenizer, its metadata."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial
from typing import Any

from promptlift.improving.codec import Codec
from promptlift.improving.config import ControlConfig, DecodingConfig
from promptlift.improving.constraints import Constraints
from promptlift.improving.engines.engine import Engine
from promptlift.improving.generation import Generator
from promptlift.improving.manifest import ModelCard
from promptlift.improving.phrase_store import PhraseStore
from promptlift.improving.reranker import Reranker

_MOST_CONSTRAINTS = 8


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A model that is ready to improve prompts.

    Attributes:
        engine: supplies its logits.
        codec: its tokenizer.
        card: its metadata.
        model_id: `name@hash`, as records have it.
        reranker: chooses among the phrases of several drafts, where the model has one.
        store: phrases that drafts compete with, where the model has some.
    """

    engine: Engine
    codec: Codec
    card: ModelCard
    model_id: str
    reranker: Reranker | None = None
    store: PhraseStore | None = None

    @cached_property
    def constraints(self) -> Callable[[ControlConfig], Constraints]:
        """Makes the constraints for a config, and keeps those of the last few configs."""
        make = partial(Constraints, self.codec.tokenizer, self.engine.vocab_size)
        return lru_cache(_MOST_CONSTRAINTS)(make)

    @property
    def libraries(self) -> tuple[str, ...]:
        """Packages whose versions may change its results."""
        return (*self.engine.libraries, "tokenizers")

    @property
    def about(self) -> Mapping[str, Any]:
        """Nothing: the id says all."""
        return {}

    @property
    def ignores(self) -> frozenset[str]:
        """None: all of them hold."""
        return frozenset()

    @property
    def requests(self) -> None:
        """It is no server's."""

    def close(self) -> None:
        """It stays in memory for as long as the process has it."""

    def writer(
        self,
        decoding: DecodingConfig,
        control: ControlConfig,
        *,
        batch_size: int,
        given_up: Callable[[], bool] | None = None,
    ) -> Generator:
        """The model with options; `Generator` describes the parameters."""
        return Generator(
            self.engine,
            self.codec,
            self.card,
            self.constraints(control),
            decoding,
            batch_size=batch_size,
            reranker=self.reranker,
            store=self.store,
            given_up=given_up,
        )
