"""When to stop voting: evidence that may be looked at after every vote.

An ordinary test has 5% false alarms if it is made once, at a number of votes fixed beforehand. If
you look after every vote and stop at the first p below 0.05, you get far more. The test and the
interval of this module stay valid however often you look and whenever you stop.

Think of a bet against the claim that wins and losses are equally likely. Start with a capital of 1
and stake part of it on each vote. If the claim is true the odds are fair, and the chance that the
capital ever reaches 20 is at most 1 in 20 (Ville's inequality). The capital is the e-value: once
it reaches 20, reject the claim, with at most 5% false alarms. Any other win rate can be bet against
in the same way; the rates against which no bet has reached 20 form the confidence sequence, which
contains the true win rate after every vote at once with 95% confidence.

**Votes are taken as independent:** if the claim holds, the next vote is a win with probability one
half, whatever came before. Several votes on one pair are not independent, and neither are many
votes of one rater. Use only the first vote on each prompt (`first_decided`), with prompts in random
order; the result then applies to new prompts, judged by these raters. To use all votes, fix their
number beforehand and take the intervals of `rates`.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from promptlift.judging.records import PERSON, Vote
from promptlift.judging.statistics.selecting import TIE, outcomes
from promptlift.pictures import IMPROVED
from promptlift.statistics import Array, scipy_part

_HALVINGS = 50


@dataclass(frozen=True, kw_only=True)
class Monitor:
    """Evidence after each vote.

    Attributes:
        e_values: against "wins and losses are equally likely", in (0, ∞), [..., votes].
        low, high: the confidence sequence of the win rate, in [0, 1], [..., votes]. It always
            contains the share of wins so far.
        stop: number of votes at which the e-value first reached 1 / alpha, [...]; 0 where it
            never did. At that vote the confidence sequence first excludes one half.
    """

    e_values: Array
    low: Array
    high: Array
    stop: npt.NDArray[np.int64]


def monitor(
    wins: npt.ArrayLike, *, alpha: float = 0.05, null: float = 0.5, prior: float = 3.0
) -> Monitor:
    """E-value and confidence sequence of the win rate after each vote, valid at any time.

    The likelihood of the votes, mixed over win rates by a Beta(prior, prior), over the likelihood
    at the null: the method of mixtures (Robbins, Annals of Mathematical Statistics 41, 1970),
    with false alarms at any time limited by Ville's inequality (1939). The confidence
    sequence is all win rates whose own e-value is below 1 / alpha, after each vote for itself:
    it can widen again and is never empty.

    Args:
        wins: 1 for a win and 0 for a loss, in their order, ties left out, [..., votes]; leading
            axes are independent sequences.
        alpha: limit of false alarms, in (0, 1).
        null: win rate that the e-value speaks against, in (0, 1).
        prior: both parameters of the Beta distribution, above 0. 1 is uniform; larger values
            look nearer to one half, and find small differences sooner and large ones later.
            Median votes to stop, with 1, 3 and 10: 212, 189 and 181 at a true rate of 0.6; 45,
            44 and 53 at 0.7; 22, 22 and 31 at 0.79 (2,000 simulations each).

    Raises:
        MissingExtraError: SciPy is not installed.
    """
    betaln = scipy_part("special", "Testing votes", "web").betaln
    total = np.cumsum(np.asarray(wins, dtype=np.float64), axis=-1)
    after = np.arange(1, total.shape[-1] + 1)
    mixture = betaln(prior + total, prior + after - total) - betaln(prior, prior)
    e_logs = mixture - _log_likelihood(total, after, np.float64(null))
    low, high = _sequence(mixture, total, after, -np.log(alpha))
    # A column of True after the last vote: where the limit was never reached, it is found there.
    reached = np.insert(e_logs >= -np.log(alpha), len(after), True, axis=-1)
    stop = (reached.argmax(axis=-1) + 1) % (len(after) + 1)
    return Monitor(e_values=np.exp(e_logs), low=low, high=high, stop=stop)


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """Where the evidence stands after all votes so far.

    Attributes:
        prompts: whose first vote was decided.
        e_value: against "wins and losses are equally likely", above 0.
        low, high: the confidence sequence of the win rate.
        stop: number of prompts after which it was enough to stop; 0 where it is not yet.
    """

    prompts: int
    e_value: float
    low: float
    high: float
    stop: int


def evidence(
    votes: Iterable[Vote],
    *,
    question: str | None = None,
    kind: str = PERSON,
    system: str = IMPROVED,
) -> Evidence:
    """The evidence of the first vote on each prompt (`first_decided`, then `monitor`).

    Raises:
        InputError: votes on several questions, none of which was named, or on other systems.
    """
    decided = first_decided(votes, question=question, kind=kind, system=system)
    if not decided:
        return Evidence(prompts=0, e_value=1.0, low=0.0, high=1.0, stop=0)
    found = monitor(decided)
    return Evidence(
        prompts=len(decided),
        e_value=float(found.e_values[-1]),
        low=float(found.low[-1]),
        high=float(found.high[-1]),
        stop=int(found.stop),
    )


def first_decided(
    votes: Iterable[Vote],
    *,
    question: str | None = None,
    kind: str = PERSON,
    system: str = IMPROVED,
) -> list[int]:
    """The first vote on each prompt, in their order: 1 for a win, 0 for a loss.

    A prompt whose first vote is a tie is left out, so that later votes cannot decide whether it
    counts.

    Raises:
        InputError: votes on several questions, none of which was named, or on other systems.
    """
    first: dict[int, str] = {}
    for vote, winner in outcomes(votes, question=question, kind=kind, system=system):
        first.setdefault(vote.prompt_index, winner)
    return [int(result == system) for result in first.values() if result != TIE]


def _sequence(mixture: Array, total: Array, after: Array, limit: float) -> tuple[Array, Array]:
    """Where the log mixture exceeds the log likelihood by less than the limit.

    The log likelihood rises up to the share of wins and falls from there: either end is found by
    halving, between that share and the bound.
    """
    share = total / after
    ends = []
    for bound in (np.zeros_like(share), np.ones_like(share)):
        inside, outside = share.copy(), bound
        for _ in range(_HALVINGS):
            middle = (inside + outside) / 2
            holds = mixture - _log_likelihood(total, after, middle) < limit
            inside, outside = np.where(holds, middle, inside), np.where(holds, outside, middle)
        ends.append(outside)
    return ends[0], ends[1]


def _log_likelihood(wins: Array, after: Array, rate: Array | np.float64) -> Array:
    special = scipy_part("special", "Testing votes", "web")
    found = special.xlogy(wins, rate) + special.xlog1py(after - wins, -rate)
    return np.asarray(found, dtype=np.float64)
