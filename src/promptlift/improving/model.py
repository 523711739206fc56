"""A loaded model: every loader returns one, and everything that improves takes one."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial

from promptlift.improving.codec import Codec
from promptlift.improving.config import ControlConfig
from promptlift.improving.constraints import Constraints
from promptlift.improving.engines.engine import Engine
from promptlift.improving.manifest import ModelCard

_MOST_CONSTRAINTS = 8


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A model that is ready to improve prompts.

    Attributes:
        engine: supplies its logits.
        codec: its tokenizer.
        card: its metadata.
        model_id: `name@hash`, as records have it.
    """

    engine: Engine
    codec: Codec
    card: ModelCard
    model_id: str

    @cached_property
    def constraints(self) -> Callable[[ControlConfig], Constraints]:
        """Makes the constraints for a config, and keeps those of the last few configs."""
        make = partial(Constraints, self.codec.tokenizer, self.engine.vocab_size)
        return lru_cache(_MOST_CONSTRAINTS)(make)
