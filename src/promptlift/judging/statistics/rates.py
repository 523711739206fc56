"""Win rates of a system over the original, with intervals."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from promptlift.judging.records import PERSON, Vote
from promptlift.judging.statistics.selecting import TIE, outcomes
from promptlift.pictures import IMPROVED, ORIGINAL
from promptlift.statistics import (
    DRAWS,
    Array,
    Estimate,
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
        n: votes that the rule counts.
        wilson: the rate in [0, 1] with Wilson's interval, as if votes were independent.
        crossed: the same rate with the percentile interval of the bootstrap over raters and
            prompts (`crossed_totals`), over prompts alone for one rater. Where all votes agree it
            has no width: use Wilson's there.
    """

    n: int
    wilson: Estimate
    crossed: Estimate


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Votes counted, of one rater or of all.

    Attributes:
        votes: answered, `wins + losses + ties`.
        wins: of the system.
        losses: to the original.
        ties: pictures equally good or equally bad.
        both_bad: those of the ties in which both were bad.
        raters, prompts: how many there are.
        sign_test: p of the exact two-sided sign test, ties left out.
        rates: by rule, the keys of `RULES`. "ties_lose" is the paper's: 79 of 100 pictures better
            than the original.
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
    """What raters say of a system against the original, in answer to one question.

    Attributes:
        together: all votes.
        by_rater: each rater's own, sorted by name.
    """

    together: Tally
    by_rater: Mapping[str, Tally]


def win_rates(
    votes: Iterable[Vote],
    *,
    question: str | None = None,
    kind: str = PERSON,
    system: str = IMPROVED,
    draws: int = DRAWS,
    seed: int = 0,
) -> WinRates:
    """Win rates of a system by all three rules for ties, together and of each rater.

    Repeated and attention pairs, skips and votes of another kind do not count.

    Raises:
        InputError: votes on several questions, none of which was named, or on other systems.
    """
    found = outcomes(votes, question=question, kind=kind, system=system)
    of_rater: dict[str, list[tuple[Vote, str]]] = {}
    for vote, winner in found:
        of_rater.setdefault(vote.rater, []).append((vote, winner))
    return WinRates(
        together=_tally(found, system, draws, seed),
        by_rater={
            rater: _tally(of_rater[rater], system, draws, seed) for rater in sorted(of_rater)
        },
    )


def _tally(found: Sequence[tuple[Vote, str]], system: str, draws: int, seed: int) -> Tally:
    votes = [vote for vote, _ in found]
    raters, prompts = [vote.rater for vote in votes], [vote.prompt_index for vote in votes]
    points = np.array(
        [[winner == name for name in (system, ORIGINAL, TIE)] for _, winner in found],
        dtype=np.float64,
    ).reshape(-1, 3)
    drawn = crossed_totals(points, raters, prompts, draws=draws, seed=seed)
    wins, losses, ties = (int(count) for count in points.sum(axis=0))
    return Tally(
        votes=len(votes),
        wins=wins,
        losses=losses,
        ties=ties,
        both_bad=sum(vote.answer == "both_bad" for vote in votes),
        raters=len(set(raters)),
        prompts=len(set(prompts)),
        sign_test=sign_test(wins, losses),
        rates={rule: _rate(rule, points.sum(axis=0), drawn) for rule in RULES},
    )


def _rate(rule: str, points: Array, drawn: Array) -> WinRate:
    """A rate of [wins, losses, ties], and of [draws, 3] of them."""
    won, n = map(float, _won_of(rule, points))
    rate = won / n if n else None
    crossed = percentiles(shares(*_won_of(rule, drawn.T)))
    return WinRate(
        n=int(n), wilson=Estimate(rate, *wilson(won, int(n))), crossed=Estimate(rate, *crossed)
    )


def _won_of(rule: str, points: Array) -> tuple[Array, Array]:
    """What the rule counts as won, and of how many, from wins, losses and ties."""
    wins, losses, ties = points
    if rule == WITHOUT_TIES:
        return wins, wins + losses
    return wins + ties / 2 if rule == TIES_HALF else wins, wins + losses + ties
