"""Choose the original unless the gain is clear: a verdict for each improved prompt."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from promptlift.statistics import t_quantile

Values = npt.NDArray[np.float64]
LEVEL = 0.05  # chance that a gain of nothing looks clear, over all metrics of a verdict together

RULE = (
    "improved if the gain over the original, mean over seeds, is clear in at least one metric and "
    "a loss is clear in none, and its pictures are near-blank no more often; else original. Clear: "
    "the one-sided t interval excludes ties, at 95% over all metrics and variants of a prompt "
    "together. Its noise is the spread between seeds of one prompt, pooled over prompts; with one "
    "seed each, the spread between prompts."
)


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What one metric says of an improved prompt.

    Attributes:
        gain: by how much its pictures are better, mean over seeds, in the metric's unit.
        low: the gain is at least this, with the confidence that a clear gain needs.
        high: the gain is at most this, with the confidence that a clear loss needs.
        seeds: number of pairs of pictures.
        noise: standard deviation of a single pair's gain by chance; None where it is unknown.
        noise_from: what the noise is the spread of: "seeds", "prompts" or "nothing".
        wins: pairs in which the improved picture is better by more than a tie.
        losses: in which it is worse.
    """

    gain: float
    low: float
    high: float
    seeds: int
    noise: float | None
    noise_from: str
    wins: int
    losses: int

    def to_dict(self) -> dict[str, Any]:
        """The evidence as plain JSON types; a bound is None where there is none."""
        unbounded = {"low": None, "high": None} if self.noise is None else {}
        return {**vars(self), **unbounded}


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Which of the two prompts to use, and why.

    Attributes:
        prompt_index: position of the prompt among those drawn.
        variant: which improvement of it.
        choice: "improved" or "original".
        reason: in a few words.
        evidence: by metric.
    """

    prompt_index: int
    variant: int
    choice: str
    reason: str
    evidence: Mapping[str, Evidence] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The verdict as plain JSON types."""
        evidence = {name: found.to_dict() for name, found in self.evidence.items()}
        return {**vars(self), "evidence": evidence}


def judge(
    gains: Mapping[str, Values],
    prompts: Sequence[int],
    variants: Sequence[int],
    *,
    blanks: Values | None = None,
    tie: float = 1e-4,
    best_of: int = 1,
) -> list[Verdict]:
    """A verdict for each prompt and variant, in their order. `RULE` says how.

    Args:
        gains: by metric, by how much the improved picture of each pair is better; NaN where it
            is unknown.
        prompts: prompt of each pair.
        variants: variant of each pair.
        blanks: for each pair 1 where only the improved picture is near-blank, -1 where only the
            original one is, else 0.
        tie: a gain must exceed this to be one.
        best_of: how many variants of a prompt compete, where only the best is taken. The best of
            several looks clear by chance more often than one: the level is divided among them.
    """
    places: dict[tuple[int, int], list[int]] = {}
    for place, key in enumerate(zip(prompts, variants, strict=True)):
        places.setdefault(key, []).append(place)
    members = np.empty(len(prompts), dtype=np.int64)
    for number, same in enumerate(places.values()):
        members[same] = number
    noises = {name: _noise(values, members) for name, values in gains.items()}
    found = []
    for prompt, variant in sorted(places):
        mine = places[prompt, variant]
        evidence = {
            name: _evidence(known, *noises[name], level=LEVEL / len(gains) / best_of, tie=tie)
            for name, values in gains.items()
            if len(known := values[mine][~np.isnan(values[mine])])
        }
        more_blank = 0.0 if blanks is None else float(blanks[mine].sum())
        choice, reason = _choose(evidence, more_blank, tie)
        found.append(
            Verdict(
                prompt_index=int(prompt),
                variant=int(variant),
                choice=choice,
                reason=reason,
                evidence=evidence,
            )
        )
    return found


def left_alone(verdicts: Sequence[Verdict]) -> dict[int, bool]:
    """For each prompt whether it was better left alone: no variant of it was chosen."""
    found: dict[int, bool] = {}
    for verdict in verdicts:
        kept = verdict.choice == "original"
        found[verdict.prompt_index] = found.get(verdict.prompt_index, True) and kept
    return found


def _choose(evidence: Mapping[str, Evidence], more_blank: float, tie: float) -> tuple[str, str]:
    if not evidence:
        return "original", "nothing to judge by"
    if worse := [name for name, found in evidence.items() if found.high < -tie]:
        return "original", f"clear loss in {', '.join(worse)}"
    if more_blank > 0:
        return "original", "more near-blank pictures"
    if better := [name for name, found in evidence.items() if found.low > tie]:
        return "improved", f"clear gain in {', '.join(better)}"
    if all(found.noise is None for found in evidence.values()):
        return "original", "one pair alone says nothing of chance: draw more seeds"
    return "original", "no clear gain"


def _noise(gains: Values, groups: npt.NDArray[np.int64]) -> tuple[float | None, int, str]:
    """Standard deviation of one pair's gain by chance, its degrees of freedom, and their source.

    The spread between prompts holds what truly differs between them beside chance, so with one
    seed each the noise is overstated: the rule then errs towards the original.
    """
    known = ~np.isnan(gains)
    values, members = gains[known], groups[known]
    if not len(values):
        return None, 0, "nothing"
    _, members, counts = np.unique(members, return_inverse=True, return_counts=True)
    means = np.bincount(members, weights=values) / counts
    freedom = len(values) - len(counts)
    if freedom > 0:
        squares = float(((values - means[members]) ** 2).sum())
        return math.sqrt(squares / freedom), freedom, "seeds"
    if len(values) > 1:
        return float(values.std(ddof=1)), len(values) - 1, "prompts"
    return None, 0, "nothing"


def _evidence(
    gains: Values, noise: float | None, freedom: int, source: str, *, level: float, tie: float
) -> Evidence:
    gain = float(gains.mean())
    if noise is None:
        low, high = -math.inf, math.inf
    else:
        error = noise / math.sqrt(len(gains))
        low = gain - t_quantile(1.0 - level, freedom) * error
        high = gain + t_quantile(1.0 - LEVEL, freedom) * error
    return Evidence(
        gain=gain,
        low=low,
        high=high,
        seeds=len(gains),
        noise=noise,
        noise_from=source,
        wins=int((gains > tie).sum()),
        losses=int((gains < -tie).sum()),
    )
