"""The decoding loop: one for all engines, with a random stream for each row."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from promptlift.improving.config import DecodingConfig
from promptlift.improving.decoding.phrase_rule import PhraseRule
from promptlift.improving.decoding.rules import History, choose, enough_candidates, penalize_and_ban
from promptlift.improving.engines.engine import Engine, FloatArray, IntArray, StepLogits


class GivenUp(Exception):
    """Nobody waits for the results any more."""


@dataclass(frozen=True)
class Generated:
    """Tokens of one result, without start and end, and whether the model ended it itself."""

    tokens: list[int]
    ended: bool


def random_stream(seed: int, variant: int, source: str, attempt: int = 0) -> np.random.Generator:
    """The random numbers of one variant of one prompt, the same whatever else is improved."""
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
    forced: list[int] | None = None,
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
        forced: tokens that every result begins with.
        given_up: asked before each token whether to stop.

    Returns:
        A result a row. It does not depend on the other rows as far as the engine's logits do not.

    Raises:
        GivenUp: `given_up` said so.
    """
    state = engine.start(input_ids, attention_mask)
    if copies is not None:
        state.keep(copies)
    never = np.zeros(0, dtype=np.int64) if suppressed is None else suppressed
    history = History([[decoder_start]] * len(streams), engine.vocab_size)
    results: list[Generated | None] = [None] * len(streams)
    # Position in the engine's batch -> row. Rows that ended stay in it until enough have.
    rows = np.arange(len(streams))
    for step in range(config.max_new_tokens):
        if given_up is not None and given_up():
            raise GivenUp
        last = np.array([history.tokens[row][-1] for row in rows], dtype=np.int64)
        logits = state.step(last)
        running = [place for place, row in enumerate(rows) if results[row] is None]
        part = np.array(running, dtype=np.int64)
        uniforms = np.array([streams[rows[place]].random() for place in running])
        if forced and step < len(forced):
            tokens = np.full(len(running), forced[step], dtype=np.int64)
        else:
            tokens = _next_tokens(
                logits, part, history, rows[part], config, uniforms, eos, never, phrases
            )
        for place, token in zip(running, tokens.tolist(), strict=True):
            row = rows[place]
            history.append(row, token)
            if phrases is not None:
                phrases.advance(row, token)
            if token == eos:
                results[row] = Generated(history.tokens[row][1:-1], ended=True)
            elif step + 1 == config.max_new_tokens:
                results[row] = Generated(history.tokens[row][1:], ended=False)
        left = np.array(
            [place for place in running if results[rows[place]] is None], dtype=np.int64
        )
        if not len(left):
            break
        # Copying the cache costs about a step; worth it once a quarter of the batch is idle.
        if len(left) <= 0.75 * len(rows):
            state.keep(left)
            rows = rows[left]
    return [result for result in results if result is not None]


def _next_tokens(
    logits: StepLogits,
    part: IntArray,
    history: History,
    rows: IntArray,
    config: DecodingConfig,
    uniforms: npt.NDArray[np.float64],
    eos: int,
    suppressed: IntArray,
    phrases: PhraseRule | None,
) -> IntArray:
    """Choose from the largest logits where those decide, else from all."""

    def ruled(
        values: FloatArray, ids: IntArray, rows: IntArray
    ) -> tuple[FloatArray, npt.NDArray[np.bool_]]:
        scores, touched = penalize_and_ban(
            values, ids, history, rows, config, eos=eos, suppressed=suppressed
        )
        if phrases is not None:
            touched |= phrases.adjust(scores, ids, rows)
        return scores, touched

    vocabulary = history.seen.shape[1]
    if phrases is not None and phrases.boosts:  # what is no candidate may rise above those
        tokens, unsure = np.zeros(len(part), dtype=np.int64), np.arange(len(part))
    else:
        values, ids = logits.values[part], logits.ids[part]
        scores, touched = ruled(values, ids, rows)
        tokens = choose(scores, ids, config, uniforms)
        if ids.shape[1] == vocabulary:
            return tokens
        unsure = np.flatnonzero(~enough_candidates(touched, config))
    if len(unsure):
        all_ids = np.broadcast_to(np.arange(vocabulary), (len(unsure), vocabulary))
        scores, _ = ruled(logits.all()[part[unsure]], all_ids, rows[unsure])
        tokens[unsure] = choose(scores, all_ids, config, uniforms[unsure])
    return tokens
