"""From text to the tokens that a model reads, in padded batches, and back."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from promptlift.improving.engines.engine import IntArray

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MAX_SOURCE_TOKENS = 1024  # as in the paper; the model does not read what follows
# Sources are padded to a multiple of this. The padded length then depends on a source alone,
# never on its neighbours, which would change the last bits of its attention sums.
LENGTH_STEP = 8


@dataclass(frozen=True, kw_only=True)
class SpecialTokens:
    """Ids of the tokens that decoding treats on their own."""

    pad: int
    eos: int
    unk: int
    decoder_start: int


@dataclass(frozen=True)
class Codec:
    """A model's tokenizer and its special tokens."""

    tokenizer: "Tokenizer"
    special: SpecialTokens

    def encode(self, sources: Sequence[str]) -> list[list[int]]:
        """Tokens of each source, with what the tokenizer puts around a text: T5's has an end.

        Of a source that is too long the last token stays, and what is before it is cut.
        """
        rows = [item.ids for item in self.tokenizer.encode_batch(list(sources))]
        return [
            row if len(row) <= MAX_SOURCE_TOKENS else [*row[: MAX_SOURCE_TOKENS - 1], row[-1]]
            for row in rows
        ]

    def encode_targets(self, targets: Sequence[str]) -> list[list[int]]:
        """Tokens of each target and the end token, however many they are."""
        rows = self.tokenizer.encode_batch(list(targets), add_special_tokens=False)
        return [[*row.ids, self.special.eos] for row in rows]

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of a result's tokens."""
        return self.tokenizer.decode(list(tokens), skip_special_tokens=True)

    def pad(self, rows: Sequence[Sequence[int]]) -> tuple[IntArray, IntArray]:
        """Tokens and mask, int64 [rows, padded length]."""
        input_ids = np.full(
            (len(rows), max(map(padded_length, rows))), self.special.pad, dtype=np.int64
        )
        mask = np.zeros_like(input_ids)
        for place, row in enumerate(rows):
            input_ids[place, : len(row)] = row
            mask[place, : len(row)] = 1
        return input_ids, mask


def padded_length(tokens: Sequence[int]) -> int:
    """Length to which a source is padded."""
    return -(-len(tokens) // LENGTH_STEP) * LENGTH_STEP


def batches(
    sources: Sequence[Sequence[int]], size: int, *, targets: Sequence[Sequence[int]] = ()
) -> Iterator[list[int]]:
    """Indices of sources to decode together: those of one padded length, at most `size`.

    Where `targets` are given, sources whose targets have similar lengths share a batch.
    """

    def length(index: int) -> int:
        return padded_length(sources[index])

    order = sorted(
        range(len(sources)), key=lambda i: (length(i), len(targets[i]) if targets else 0)
    )
    for _, group in groupby(order, key=length):
        same = list(group)
        for start in range(0, len(same), size):
            yield same[start : start + size]
