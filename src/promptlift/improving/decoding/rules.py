"""The field's decoding rules, over candidate logits. Order and meaning are those of transformers.

Candidates are the largest logits of each row (`values`, `ids` [rows, candidates]) or all of them.
"""

import numpy as np
import numpy.typing as npt

from promptlift.improving.config import DecodingConfig
from promptlift.improving.engines.engine import FloatArray, IntArray

BoolArray = npt.NDArray[np.bool_]


class History:
    """The tokens of each row so far, the decoder's start token first.

    Attributes:
        tokens: a list a row.
        seen: bool [rows, vocabulary], which tokens a row holds.
    """

    def __init__(self, tokens: list[list[int]], vocab_size: int) -> None:
        self.tokens = [list(row) for row in tokens]
        self.seen = np.zeros((len(tokens), vocab_size), dtype=bool)
        for row, found in enumerate(tokens):
            self.seen[row, found] = True

    def append(self, row: int, token: int) -> None:
        self.tokens[row].append(token)
        self.seen[row, token] = True


def penalize_and_ban(
    values: FloatArray,
    ids: IntArray,
    history: History,
    rows: IntArray,
    config: DecodingConfig,
    *,
    eos: int,
    suppressed: IntArray,
) -> tuple[FloatArray, BoolArray]:
    """Logits after repetition penalty, n-gram, length and suppression rules.

    Args:
        values: logits of the candidates.
        ids: their token ids.
        history: tokens of all rows.
        rows: which row of the history each row of the candidates belongs to.
        config: the rules.
        eos: token that must not come before `min_new_tokens`.
        suppressed: tokens that never come.

    Returns:
        The logits, -inf where a token is banned, and which candidates a rule touched.
    """
    scores = values.copy()
    touched = np.zeros(ids.shape, dtype=bool)
    if config.repetition_penalty != 1.0:
        seen = history.seen[rows[:, None], ids]
        penalty = np.float32(config.repetition_penalty)
        # Keskar et al., 2019, with negative logits multiplied, so that both shrink.
        lowered = np.where(scores < 0, scores * penalty, scores / penalty)
        scores = np.where(seen, lowered, scores)
        touched |= seen
    banned = np.zeros(ids.shape, dtype=bool)
    for token in suppressed.tolist():
        banned |= ids == token
    for place, row in enumerate(rows.tolist()):
        tokens = history.tokens[row]
        if len(tokens) - 1 < config.min_new_tokens:
            banned[place] |= ids[place] == eos
        if ends := _ends_of_seen_ngrams(tokens, config.no_repeat_ngram_size):
            banned[place] |= np.isin(ids[place], ends)
    scores[banned] = -np.inf
    return scores, touched | banned


def enough_candidates(touched: BoolArray, config: DecodingConfig) -> BoolArray:
    """For each row, whether its largest logits decide as all logits would.

    Rules only lower logits. So the k best after the rules are among the candidates as long
    as k candidates are untouched: all other tokens lie below those.
    """
    needed = 1 if not config.do_sample else config.top_k
    if needed == 0:
        return np.zeros(len(touched), dtype=bool)
    enough: BoolArray = (~touched).sum(axis=1) >= needed
    return enough


def choose(
    scores: FloatArray, ids: IntArray, config: DecodingConfig, uniforms: npt.NDArray[np.float64]
) -> IntArray:
    """The next token of each row, int64 [rows].

    Args:
        scores: logits after the rules, [rows, candidates].
        ids: their token ids.
        config: temperature, top-k, top-p (Holtzman et al., 2020) or greedy.
        uniforms: a random number in [0, 1) for each row; greedy decoding ignores it.
    """
    if not config.do_sample:
        best = scores.max(axis=1, keepdims=True)
        lowest: IntArray = np.where(scores == best, ids, np.iinfo(np.int64).max).min(axis=1)
        return lowest
    # By descending logit, equal ones by id: the order must not depend on where logits came from.
    order = np.lexsort((ids, -scores), axis=1)
    if config.top_k:
        order = order[:, : config.top_k]
    kept = np.take_along_axis(scores, order, axis=1).astype(np.float64) / config.temperature
    weights = np.exp(kept - kept[:, :1])
    cumulative = np.cumsum(weights, axis=1)
    if config.top_p < 1.0:
        before = cumulative - weights
        weights = np.where(before < config.top_p * cumulative[:, -1:], weights, 0.0)
        cumulative = np.cumsum(weights, axis=1)
    drawn = (cumulative <= uniforms[:, None] * cumulative[:, -1:]).sum(axis=1, keepdims=True)
    place = np.minimum(drawn, (weights > 0).sum(axis=1, keepdims=True) - 1)
    token: IntArray = np.take_along_axis(np.take_along_axis(ids, order, 1), place, 1)[:, 0]
    return token


def _ends_of_seen_ngrams(tokens: list[int], size: int) -> list[int]:
    """Tokens that would complete an n-gram which occurred before (Paulus et al., 2017)."""
    if size == 0 or len(tokens) < size:
        return []
    last = tokens[len(tokens) - size + 1 :]
    return [
        tokens[start + size - 1]
        for start in range(len(tokens) - size + 1)
        if tokens[start : start + size - 1] == last
    ]
