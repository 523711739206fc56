"""The protocol of models that write improvements, in this process or on a server."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from promptlift.improving.config import ControlConfig, DecodingConfig
from promptlift.improving.manifest import ModelCard


@dataclass(frozen=True)
class Source:
    """What one result is written from.

    Attributes:
        words: what the model reads.
        terms: painters and styles that the prompt names, which are never banned.
        used: phrases or words of earlier variants, which become less likely.
        stream: its random numbers.
        variant: its number among the variants of its prompt, from 0.
    """

    words: str
    terms: frozenset[str]
    used: tuple[str, ...]
    stream: np.random.Generator
    variant: int = 0


@dataclass(frozen=True)
class Written:
    """What a model wrote for a source.

    Attributes:
        text: None where it wrote nothing that can be used.
        ended: whether it ended the text itself.
        notes: what was done to the text, or why there is none.
        record: what a receipt holds of it.
        again: whether another try may give a text, where there is none.
        most: how many of its phrases are to be added, the first that can be; None for all.
    """

    text: str | None
    ended: bool = True
    notes: tuple[str, ...] = ()
    record: Mapping[str, Any] = field(default_factory=dict)
    again: bool = True
    most: int | None = None


class Writer(Protocol):
    """A model with options that all its results share."""

    @property
    def window(self) -> int:
        """How many sources it is best given at once."""

    @property
    def attempts(self) -> int:
        """Texts that are drawn for an extension until something of one can be added."""

    @property
    def asked(self) -> frozenset[str]:
        """Painters, styles and mediums that the options ask for, in lower case."""

    def write(self, sources: Sequence[Source], mode: str) -> list[Written]:
        """A text for each source.

        Raises:
            GivenUp: the caller no longer waits.
        """


class Model(Protocol):
    """What is ready to improve prompts."""

    @property
    def card(self) -> ModelCard:
        """Its metadata."""

    @property
    def model_id(self) -> str:
        """`name@hash`, as records have it."""

    @property
    def libraries(self) -> tuple[str, ...]:
        """Packages whose versions may change its results."""

    @property
    def about(self) -> Mapping[str, Any]:
        """What the settings of a receipt hold of it, beside its id."""

    @property
    def ignores(self) -> frozenset[str]:
        """Fields of `DecodingConfig` that mean nothing to it."""

    @property
    def requests(self) -> int | None:
        """How many it has sent to a server; None where it is no server's."""

    def close(self) -> None:
        """The work is done: free what is held for it. Another call of `writer` may follow."""

    def writer(
        self,
        decoding: DecodingConfig,
        control: ControlConfig,
        *,
        batch_size: int,
        given_up: Callable[[], bool] | None = None,
    ) -> Writer:
        """It, ready to write with these options; `Session` describes the parameters."""
