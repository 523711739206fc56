"""Win rates of one system over another, with intervals."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from promptlift.judging.records import IMPROVED, ORIGINAL, PERSON, Vote
from promptlift.judging.statistics.selecting import TIE, counted, outcome
from promptlift.statistics import (
    DRAWS,
    Array,
    crossed_totals,
    percentiles,
    shares,
    sign_test,
    wilson,
)

TIES_LOSE, WITHOUT_TIES, TIES_HALF = "ties_lose", "without_ties", "ties_half"
RULES = {
    TIES_LOSE: "ties go to the original",
    WITHOUT_TIES: "ties are left out",
    TIES_HALF: "a tie is half a win",
}


@dataclass(frozen=True, kw_only=True)
class WinRate:
    """Share of votes won, by one rule for ties.

    With ties as halves, votes are no longer successes and failures; Wilson's formula is then given
    the halved count. A vote worth 0, 1/2 or 1 varies less than one worth 0 or 1 of the same mean,
    by a quarter of the share of ties: so the interval is somewhat too wide (by a factor of 1.2 at
    a third of ties), never too narrow, and keeps its width where all votes are ties.

    Attributes:
        rule: of `RULES`. "ties_lose" is the paper's: 79 of 100 pictures better than the original.
        rate: in [0, 1]; None without votes.
        n: votes that the rule counts.
        low, high: Wilson's 95% interval, as if votes were independent.
        crossed_low, crossed_high: 95% percentile interval of the bootstrap over raters and
            prompts (`crossed_totals`), over prompts alone for one rater; None without votes.
            Where all votes agree it has no width: use Wilson's there.
    """

    rule: str
    rate: float | None
    n: int
    low: float
    high: float
    crossed_low: float | None
    crossed_high: float | None


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Votes counted, of one rater or of all.

    Attributes:
        votes: answered, `wins + losses + ties`.
        wins: of the system.
        losses: to the baseline.
        ties: pictures equally good or equally bad.
        both_bad: those of the ties in which both were bad.
        raters, prompts: how many there are.
        sign_test: p of the exact two-sided sign test, ties left out.
        rates: by rule, the keys of `RULES`.
    """

    votes: int
    wins: int
    losses: int
    ties: int
    both_bad: int
    raters: int
    prompts: int
    sign_test: float
    rates: Mapping[str, WinRate]


@dataclass(frozen=True, kw_only=True)
class WinRates:
    """What raters say of a system against a baseline, in answer to one question.

    Attributes:
        system, baseline: names of the two.
        kind: whose votes: "person" or "simulated".
        together: all votes.
        by_rater: each rater's own, sorted by name.
    """

    system: str
    baseline: str
    kind: str
    together: Tally
    by_rater: Mapping[str, Tally]


def win_rates(
    votes: Iterable[Vote],
    *,
    question: str | None = None,
    kind: str = PERSON,
    system: str = IMPROVED,
    baseline: str = ORIGINAL,
    draws: int = DRAWS,
    seed: int = 0,
) -> WinRates:
    """Win rates of a system by all three rules for ties, together and of each rater.

    Repeated and attention pairs, skips and votes of another kind do not count.

    Raises:
        InputError: votes on several questions, none of which was named, or on other systems.
    """
    chosen = counted(votes, question=question, kind=kind)
    results = [outcome(vote, system=system, baseline=baseline) for vote in chosen]
    points = np.array(
        [[result == system, result == baseline, result == TIE] for result in results],
        dtype=np.float64,
    ).reshape(-1, 3)
    raters = np.array([vote.rater for vote in chosen], dtype=object)
    return WinRates(
        system=system,
        baseline=baseline,
        kind=kind,
        together=_tally(chosen, points, draws, seed),
        by_rater={
            rater: _tally(
                [vote for vote in chosen if vote.rater == rater],
                points[raters == rater],
                draws,
                seed,
            )
            for rater in sorted(set(raters))
        },
    )


def _tally(votes: Sequence[Vote], points: Array, draws: int, seed: int) -> Tally:
    """Points are [votes, 3]: win, loss, tie."""
    wins, losses, ties = (int(count) for count in points.sum(axis=0))
    raters, prompts = [vote.rater for vote in votes], [vote.prompt_index for vote in votes]
    drawn = crossed_totals(points, raters, prompts, draws=draws, seed=seed) if votes else None
    counts = {
        TIES_LOSE: (wins, wins + losses + ties),
        WITHOUT_TIES: (wins, wins + losses),
        TIES_HALF: (wins + ties / 2, wins + losses + ties),
    }
    return Tally(
        votes=len(votes),
        wins=wins,
        losses=losses,
        ties=ties,
        both_bad=sum(vote.answer == "both_bad" for vote in votes),
        raters=len(set(raters)),
        prompts=len(set(prompts)),
        sign_test=sign_test(wins, losses),
        rates={rule: _rate(rule, *counts[rule], drawn) for rule in RULES},
    )


def _rate(rule: str, won: float, n: int, drawn: Array | None) -> WinRate:
    low, high = wilson(won, n)
    crossed_low, crossed_high = (
        (None, None) if drawn is None else percentiles(_drawn_rates(rule, drawn))
    )
    return WinRate(
        rule=rule,
        rate=won / n if n else None,
        n=n,
        low=low,
        high=high,
        crossed_low=crossed_low,
        crossed_high=crossed_high,
    )


def _drawn_rates(rule: str, drawn: Array) -> Array:
    wins, losses, ties = drawn.T
    if rule == WITHOUT_TIES:
        return shares(wins, wins + losses)
    return shares(wins + ties / 2 if rule == TIES_HALF else wins, wins + losses + ties)
