"""The decoding loop: one for all engines, with a random stream for each row."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from promptlift.improving.config import DecodingConfig
from promptlift.improving.decoding.phrase_rule import PhraseRule
from promptlift.improving.decoding.rules import History, choose, enough_candidates, penalize_and_ban
from promptlift.improving.engines.engine import Engine, FloatArray, IntArray, StepLogits


class GivenUp(Exception):
    """The caller no longer waits for the results."""


@dataclass(frozen=True)
class Generated:
    """Tokens of one result, without start and end, and whether the model ended it itself."""

    tokens: list[int]
    ended: bool


def random_stream(seed: int, variant: int, source: str, attempt: int = 0) -> np.random.Generator:
    """The random numbers of one variant of one prompt; they depend on nothing else."""
    text = f"{seed}\0{variant}\0{source}" + (f"\0{attempt}" if attempt else "")
    key = np.frombuffer(
        hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:16], dtype="<u8"
    )
    return np.random.Generator(np.random.Philox(key=key))


def generate(
    engine: Engine,
    input_ids: IntArray,
    attention_mask: IntArray,
    config: DecodingConfig,
    streams: list[np.random.Generator],
    *,
    copies: IntArray | None = None,
    decoder_start: int = 0,
    eos: int = 1,
    suppressed: IntArray | None = None,
    phrases: PhraseRule | None = None,
    forced: Sequence[Sequence[int]] | None = None,
    given_up: Callable[[], bool] | None = None,
) -> list[Generated]:
    """Decode a batch of sources.

    Args:
        engine: supplies logits.
        input_ids: int64 [sources, source_tokens], padded at the right.
        attention_mask: 1 for tokens, 0 for padding.
        config: the rules.
        streams: the random numbers of each row.
        copies: index of the source of each row; each source once where it is None.
        decoder_start: the token that the decoder begins with.
        eos: the token that ends a result.
        suppressed: tokens that are never chosen.
        phrases: makes phrases less or more likely; its rows are those of `streams`.
        forced: tokens that each row begins with.
        given_up: called before each token; if it returns true, decoding stops.

    Returns:
        One result for each row. It depends on other rows only if the engine's logits do.

    Raises:
        GivenUp: `given_up` returned true.
    """
    state = engine.start(input_ids, attention_mask)
    if copies is not None:
        state.keep(copies)
    history = History([[decoder_start]] * len(streams), engine.vocab_size)
    never = np.zeros(0, dtype=np.int64) if suppressed is None else suppressed
    rules = _Rules(config, history, eos, never, phrases)
    ended: set[int] = set()
    # Position in the engine's batch -> row. Rows that ended stay in it until enough have.
    rows = np.arange(len(streams))
    for step in range(config.max_new_tokens):
        running = np.array([at for at, row in enumerate(rows) if row not in ended], dtype=np.int64)
        if not len(running):
            break
        if given_up is not None and given_up():
            raise GivenUp
        # Copying the cache costs about a step, which pays once a quarter of the batch is idle.
        if len(running) <= 0.75 * len(rows):
            state.keep(running)
            rows, running = rows[running], np.arange(len(running))
        logits = state.step(np.array([history.tokens[row][-1] for row in rows], dtype=np.int64))
        own = rows[running]
        uniforms = np.array([streams[row].random() for row in own])
        tokens = _given(forced, own, step)
        free = tokens < 0
        if free.any():
            tokens[free] = rules.next_tokens(logits, running[free], own[free], uniforms[free])
        for row, token in zip(own.tolist(), tokens.tolist(), strict=True):
            history.append(row, token)
            if phrases is not None:
                phrases.advance(row, token)
            if token == eos:
                ended.add(row)
    return [
        Generated(tokens[1:-1] if row in ended else tokens[1:], row in ended)
        for row, tokens in enumerate(history.tokens)
    ]


def _given(forced: Sequence[Sequence[int]] | None, rows: IntArray, step: int) -> IntArray:
    """The token that each row is to have in this step; -1 where it may choose."""
    if forced is None:
        return np.full(len(rows), -1, dtype=np.int64)
    own = [forced[row] for row in rows]
    return np.array([row[step] if step < len(row) else -1 for row in own], dtype=np.int64)


def token_log_probabilities(logits: npt.NDArray[Any], tokens: IntArray) -> npt.NDArray[Any]:
    """Natural-log probability of a token of each row; no row depends on another."""
    above = logits - logits.max(axis=1, keepdims=True)
    total = np.log(np.exp(above).sum(axis=1))
    return np.asarray(above[np.arange(len(tokens)), tokens] - total)


@dataclass(frozen=True)
class _Rules:
    """How the next token of each row is chosen."""

    config: DecodingConfig
    history: History
    eos: int
    suppressed: IntArray
    phrases: PhraseRule | None

    def next_tokens(
        self,
        logits: StepLogits,
        places: IntArray,
        rows: IntArray,
        uniforms: npt.NDArray[np.float64],
    ) -> IntArray:
        """Choose from the largest logits where those decide, else from all.

        Args:
            logits: of the engine's batch.
            places: positions in the engine's batch to choose for.
            rows: the row at each of them.
            uniforms: a random number in [0, 1) for each.
        """
        vocabulary = self.history.seen.shape[1]
        if self.phrases is not None and self.phrases.boosts:
            # A token that is no candidate may rise above those that are.
            tokens, unsure = np.zeros(len(rows), dtype=np.int64), np.arange(len(rows))
        else:
            ids = logits.ids[places]
            scores, touched = self._apply(logits.values[places], ids, rows)
            tokens = choose(scores, ids, self.config, uniforms)
            if ids.shape[1] == vocabulary:
                return tokens
            unsure = np.flatnonzero(~enough_candidates(touched, self.config))
        if len(unsure):
            all_ids = np.broadcast_to(np.arange(vocabulary), (len(unsure), vocabulary))
            scores, _ = self._apply(logits.all()[places[unsure]], all_ids, rows[unsure])
            tokens[unsure] = choose(scores, all_ids, self.config, uniforms[unsure])
        return tokens

    def _apply(
        self, values: FloatArray, ids: IntArray, rows: IntArray
    ) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
        """Logits after all rules, and which of them a rule touched."""
        scores, touched = penalize_and_ban(
            values, ids, self.history, rows, self.config, eos=self.eos, suppressed=self.suppressed
        )
        if self.phrases is not None:
            touched |= self.phrases.adjust(scores, ids, rows)
        return scores, touched
