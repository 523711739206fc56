"""A model in memory: what every way of loading one gives, and improving takes."""

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
        card: what it says of itself.
        model_id: `name@hash`, as records have it.
    """

    engine: Engine
    codec: Codec
    card: ModelCard
    model_id: str

    @cached_property
    def constraints(self) -> Callable[[ControlConfig], Constraints]:
        """Gives the constraints for some options; those of the last few options are kept."""
        make = partial(Constraints, self.codec.tokenizer, self.engine.vocab_size)
        return lru_cache(_MOST_CONSTRAINTS)(make)
