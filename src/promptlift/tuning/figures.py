"""What a round brought, on prompts that nothing was learned from, and which round to keep."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import numpy.typing as npt

from promptlift.improving.improver import Improver
from promptlift.picking.picks import IMPROVEMENTS, entries_of, read_picks
from promptlift.prompts.clauses import plain_words
from promptlift.records import Improvement, Pair
from promptlift.scoring.text.bits import characters_of, target_bits
from promptlift.scoring.text.diversity import added_words, distinct
from promptlift.statistics import mean_interval

Values = npt.NDArray[np.float64]
_COMMONEST = 10  # phrases, as the bundled models' figures have it
_WORDS = 12  # gained and lost ones that are noted
_INTENT_LOST = 0.02  # share of prompts that a kept round may lose beyond what the base loses


@dataclass(frozen=True)
class Measured:
    """A round on the held-out prompts.

    Attributes:
        gains: of the reward, improved less original, mean over seeds, by prompt's index.
        rewards: of the improved pictures, likewise.
        results: the improved prompts.
    """

    gains: Mapping[int, float]
    rewards: Mapping[int, float]
    results: Sequence[Improvement]


def read_measured(folder: Path) -> Measured:
    """What a picking run of one variant a prompt measured; a prompt left as it is gains 0."""
    gains, rewards, results = {}, {}, []
    for entry, row in zip(entries_of(folder / IMPROVEMENTS), read_picks(folder), strict=True):
        [variant] = entry.variants
        results.append(variant)
        if row["scores"] is None:
            gains[entry.index] = 0.0
            continue
        original = fmean(row["scores"]["original"])
        rewards[entry.index] = fmean(row["scores"][str(variant.variant)])
        gains[entry.index] = rewards[entry.index] - original
    return Measured(gains, rewards, results)


def figures_of(found: Measured, base: Measured) -> dict[str, Any]:
    """The figures of a round as plain JSON types; docs/tuning.md explains each."""
    gains = np.array([*found.gains.values()])
    more = np.array([found.gains[at] - base.gains[at] for at in found.gains])
    results = found.results
    dropped = Counter(item.reason for one in results for item in one.dropped)
    phrases = Counter(phrase for one in results for phrase in {*map(plain_words, one.additions)})
    common = {phrase for phrase, _ in phrases.most_common(_COMMONEST)}
    hits = [any(plain_words(phrase) in common for phrase in one.additions) for one in results]
    words = [added_words(one.source, one.prompt) for one in results]
    return {
        "prompts": len(gains),
        "gain": [*mean_interval(gains)],
        "more_than_base": [*mean_interval(more)],
        "intent_kept": fmean(not one.checks.get("lost") for one in results),
        "uninvited": fmean(
            bool(one.checks.get("styles") or one.checks.get("painters")) for one in results
        ),
        "dropped": {reason: count / len(results) for reason, count in dropped.most_common()},
        "unchanged": fmean(one.prompt == one.source for one in results),
        "distinct_2": distinct(words, 2),
        "ten_commonest": fmean(hits),
        "added_phrases": fmean(len(one.additions) for one in results),
        "clip_tokens": fmean(one.clip_tokens for one in results),
        **_words_of(results, base.results),
    }


def language_of(model: str, old: Sequence[Pair], base: Sequence[Pair]) -> dict[str, Any]:
    """How likely a model still finds what was written before.

    Args:
        model: of the round.
        old: pairs that people or another model wrote, none of them learned.
        base: what the model before the first round wrote for the held-out prompts.

    Returns:
        Bits per character of both, `old_bits` (None without old pairs) and `base_bits`: what the
        latter grows by from round 0 is the divergence of the model from its base.
    """
    improver = Improver.load(model)
    return {
        name: _bits(improver, pairs) for name, pairs in (("old_bits", old), ("base_bits", base))
    }


def kept_round(rows: Sequence[Mapping[str, Any]], gains: Sequence[Values]) -> int:
    """The round to keep, chosen by the reward on held-out prompts.

    Of the rounds that keep the intent as the base does, the first whose gain is within a standard
    error of the highest: a reward that is pushed further says less and less of the picture (Gao et
    al., "Scaling Laws for Reward Model Overoptimization", ICML 2023).

    Args:
        rows: figures of rounds, from the base on.
        gains: of each round, [prompts], the same prompts in the same order.
    """
    least = rows[0]["intent_kept"] - _INTENT_LOST
    fit = [at for at, row in enumerate(rows) if row["intent_kept"] >= least]
    best = max(fit, key=lambda at: (float(gains[at].mean()), -at))
    for at in fit:
        behind = gains[best] - gains[at]
        error = float(behind.std(ddof=1)) / len(behind) ** 0.5
        if float(behind.mean()) <= error:
            return at
    return best


def _bits(improver: Improver, pairs: Sequence[Pair]) -> float | None:
    if not pairs:
        return None
    bits = target_bits(improver, pairs)
    characters = characters_of([pair.target for pair in pairs])
    known = ~np.isnan(bits)
    return float(bits[known].sum() / characters[known].sum()) if known.any() else None


def _words_of(results: Sequence[Improvement], base: Sequence[Improvement]) -> dict[str, Any]:
    """Words whose share of prompts grew and fell most since the base, with both shares."""

    def shares(of: Sequence[Improvement]) -> dict[str, float]:
        counts = Counter(word for one in of for word in {*added_words(one.source, one.prompt)})
        return {word: count / len(of) for word, count in counts.items()}

    now, before = shares(results), shares(base)
    change = {word: now.get(word, 0.0) - before.get(word, 0.0) for word in {*now, *before}}
    order = sorted(change, key=lambda word: (-abs(change[word]), word))

    def listed(sign: int) -> list[list[Any]]:
        chosen = [word for word in order if sign * change[word] > 0][:_WORDS]
        return [[word, before.get(word, 0.0), now.get(word, 0.0)] for word in chosen]

    return {"gained": listed(1), "lost": listed(-1)}
