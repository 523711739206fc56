"""A reranker: how well phrases belong to a prompt, by an encoder that reads prompt and phrases."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from promptlift.errors import ModelError
from promptlift.improving.tokenizer_file import read_tokenizer

if TYPE_CHECKING:
    from tokenizers import Tokenizer

RERANKER_FILES = RERANKER_GRAPH, RERANKER_TOKENIZER = "reranker.onnx", "reranker_tokenizer.json"
MAX_PROMPT_TOKENS, MAX_PHRASE_TOKENS = 64, 16
AT_ONCE = 32  # phrases that one pass reads: attention takes the square of its tokens
MASKED = -1e9


@dataclass(frozen=True, eq=False)
class Reranker:
    """A cross-encoder that reads a prompt once and many phrases behind it.

    A phrase sees the prompt and itself; the prompt sees itself alone. So each phrase has the score
    that it would have as the only one, but for the last bits of sums.

    Attributes:
        session: of ONNX Runtime.
        tokenizer: the encoder's; it puts tokens of start and end around a text.
    """

    session: Any
    tokenizer: "Tokenizer"

    @classmethod
    def read(cls, folder: Path, *, threads: int | None = None) -> "Reranker":
        """That of an exported folder.

        Raises:
            ModelError: ONNX Runtime or tokenizers cannot read its files.
        """
        from promptlift.improving.engines.onnx_session import load_graph

        tokenizer = read_tokenizer(folder / RERANKER_TOKENIZER)
        tokenizer.no_padding()
        tokenizer.no_truncation()
        session = load_graph(folder / RERANKER_GRAPH, threads)
        if {item.name for item in session.get_inputs()} != set(
            Packed.of(tokenizer, "", [""]).inputs()
        ):
            raise ModelError(f"{folder / RERANKER_GRAPH} is no reranker. Export the model again.")
        return cls(session, tokenizer)

    def scores(self, prompt: str, phrases: Sequence[str]) -> list[float]:
        """From -1, surely bad, to 1, surely good: the probability of good less that of bad."""
        found: list[float] = []
        for start in range(0, len(phrases), AT_ONCE):
            packed = Packed.of(self.tokenizer, prompt, phrases[start : start + AT_ONCE])
            [scores] = self.session.run(["scores"], packed.inputs())
            found += scores.tolist()
        return found


@dataclass(frozen=True)
class Packed:
    """A prompt and phrases as one sequence of tokens: the prompt, then each phrase and its end.

    Attributes:
        tokens: ids of all tokens.
        places: position of each: each phrase begins where the prompt ends.
        owners: which phrase each token belongs to, -1 for the prompt's.
    """

    tokens: npt.NDArray[np.int64]
    places: npt.NDArray[np.int64]
    owners: npt.NDArray[np.int64]

    @classmethod
    def of(cls, tokenizer: "Tokenizer", prompt: str, phrases: Sequence[str]) -> "Packed":
        """With the first tokens alone of what is too long."""
        first, *own = tokenizer.encode_batch([prompt, *phrases])
        end = first.ids[-1]
        rows = [[*first.ids[: MAX_PROMPT_TOKENS - 1], end] if len(first.ids) > MAX_PROMPT_TOKENS
                else first.ids]  # fmt: skip
        rows += [[*item.ids[1:-1][:MAX_PHRASE_TOKENS], end] for item in own]
        starts = [0, *[len(rows[0])] * len(own)]
        lengths = [len(row) for row in rows]
        return cls(
            np.array([token for row in rows for token in row], dtype=np.int64),
            np.concatenate([np.arange(n) + s for s, n in zip(starts, lengths, strict=True)]).astype(
                np.int64
            ),
            np.repeat(np.arange(len(rows), dtype=np.int64) - 1, lengths),
        )

    def sees(self) -> npt.NDArray[np.bool_]:
        """Which tokens each token attends to, [tokens, tokens]."""
        own = self.owners[:, None] == self.owners[None, :]
        return np.asarray(own | (self.owners == -1)[None, :])

    def inputs(self) -> dict[str, npt.NDArray[Any]]:
        """What the graph takes, see `benchmarks.writer.reranker`."""
        of_phrase = self.owners[None, :] == np.arange(self.owners.max() + 1)[:, None]
        return {
            "tokens": self.tokens[None],
            "places": self.places[None],
            "kinds": (self.owners[None] >= 0).astype(np.int64),
            "bias": np.where(self.sees(), 0, MASKED).astype(np.float32)[None, None],
            "means": (of_phrase / of_phrase.sum(axis=1, keepdims=True)).astype(np.float32),
        }
