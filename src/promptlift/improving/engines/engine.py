"""The interface of engines, which supply logits; decoding rules live elsewhere."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

CANDIDATES = 128  # largest logits that an engine returns of each row


@dataclass(frozen=True)
class StepLogits:
    """Logits of the next token, for each row of a batch.

    Attributes:
        values: float32 [batch, candidates], the largest logits, in descending order.
        ids: int64 [batch, candidates], their token ids.
        all: gives every logit by token id, float32 [batch, vocabulary]; a copy, made when
            called, since most steps do without. Call it before the next step.
    """

    values: FloatArray
    ids: IntArray
    all: Callable[[], FloatArray]


class DecoderState(Protocol):
    """A batch of sources that were read, and the decoder's cache for them."""

    def step(self, tokens: IntArray) -> StepLogits:
        """Feed the next token of each row, int64 [batch], and return what follows it."""
        ...

    def keep(self, rows: IntArray) -> None:
        """Keep only these rows of the batch, int64 [kept], in this order.

        An index may be repeated: the row is then duplicated with its cache.
        """
        ...


class Engine(Protocol):
    """Supplies logits of a T5 or a Llama for given source tokens."""

    libraries: tuple[str, ...]
    """Packages whose version may change the last bits of logits."""

    @property
    def vocab_size(self) -> int:
        """Number of logits, which may exceed the tokenizer's vocabulary."""
        ...

    def start(self, input_ids: IntArray, attention_mask: IntArray) -> DecoderState:
        """Encode sources, int64 [batch, source_tokens]; the mask is 1 for tokens, 0 for padding."""
        ...
