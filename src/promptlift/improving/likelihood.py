"""How likely a model finds a text, before temperature and other rules of decoding."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from promptlift.errors import InputError
from promptlift.improving.codec import batches
from promptlift.improving.decoding import loop
from promptlift.improving.engines.engine import Engine, IntArray
from promptlift.improving.model import LoadedModel

FloatArray = npt.NDArray[np.float64]
_BATCH_SIZE = 32


def log_probabilities(
    model: LoadedModel,
    sources: Sequence[str],
    targets: Sequence[str],
    *,
    mode: str,
    form: str | None = None,
) -> list[FloatArray]:
    """Natural-log probability of each target's tokens given its source, the end token's last.

    Raises:
        InputError: there are not as many sources as targets.
        ConfigError: the model has not learned the mode or the form.
    """
    if len(sources) != len(targets):
        raise InputError(f"{len(sources)} sources and {len(targets)} targets: give as many.")
    prefix = model.card.prefix(mode, form)
    encoded = model.codec.encode([prefix + source for source in sources])
    ids = model.codec.encode_targets(targets)
    result: list[FloatArray] = [np.zeros(0)] * len(sources)
    for batch in batches(encoded, _BATCH_SIZE, targets=ids):
        input_ids, mask = model.codec.pad([encoded[index] for index in batch])
        start = model.codec.special.decoder_start
        own = [ids[index] for index in batch]
        found = token_log_probabilities(model.engine, input_ids, mask, own, decoder_start=start)
        for index, row in zip(batch, found, strict=True):
            result[index] = row[: len(ids[index])]
    return result


def token_log_probabilities(
    engine: Engine,
    input_ids: IntArray,
    attention_mask: IntArray,
    targets: list[list[int]],
    *,
    decoder_start: int = 0,
) -> FloatArray:
    """Natural-log probability of each target's tokens, float64 [batch, longest target].

    Targets include the end; after the end of a shorter one are zeros.
    """
    state = engine.start(input_ids, attention_mask)
    lengths = np.array([len(target) for target in targets])
    padded = np.zeros((len(targets), int(lengths.max())), dtype=np.int64)
    for row, target in enumerate(targets):
        padded[row, : len(target)] = target
    result = np.zeros(padded.shape)
    tokens = np.full(len(targets), decoder_start, dtype=np.int64)
    for step in range(padded.shape[1]):
        logits = state.step(tokens).all().astype(np.float64)
        tokens = padded[:, step]
        chosen = loop.token_log_probabilities(logits, tokens)
        result[:, step] = np.where(step < lengths, chosen, 0.0)
    return result
