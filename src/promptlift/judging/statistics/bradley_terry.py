"""Strengths of several systems from votes on two at a time."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from promptlift.errors import InputError
from promptlift.judging.records import PERSON, Vote
from promptlift.judging.statistics.selecting import counted
from promptlift.statistics import DRAWS, Array, crossed_totals

_ROUNDS = 20_000


@dataclass(frozen=True, kw_only=True)
class Strengths:
    """Bradley-Terry strengths: a beats b with probability logistic(strength a - strength b).

    Attributes:
        systems: by name, sorted; the order of all that follows.
        strengths: natural logs, their sum 0.
        low, high: ends of the 95% percentile bootstrap intervals, over raters and prompts;
            None where too many draws have no finite strengths.
        votes: how many they rest on.
        ties: of those, each counted as half a win for either.
        unconnected: share of bootstrap draws without finite strengths. They count as lower than
            any in `low` and as higher than any in `high`.
    """

    systems: tuple[str, ...]
    strengths: tuple[float, ...]
    low: tuple[float | None, ...]
    high: tuple[float | None, ...]
    votes: int
    ties: int
    unconnected: float


def bradley_terry(
    votes: Iterable[Vote],
    *,
    question: str | None = None,
    kind: str = PERSON,
    draws: int = DRAWS,
    seed: int = 0,
) -> Strengths:
    """Strengths of all systems in the votes, two or more.

    Bradley and Terry (Biometrika 39, 1952). A tie is half a win for either: simple, and with two
    systems the win rate with ties as halves, but ties have no probability of their own as in the
    models of Rao and Kupper or Davidson. Repeated and attention pairs and skips do not count.

    Raises:
        InputError: votes on several questions, none of which was named; a pair of a system with
            itself; or no finite strengths, see `check_connected`.
    """
    chosen = counted(votes, question=question, kind=kind)
    systems = sorted({name for vote in chosen for name in (vote.left, vote.right)})
    points = _points(chosen, systems)
    size = len(systems)
    wins = points.sum(axis=0).reshape(size, size)
    check_connected(wins, systems)
    raters, prompts = [vote.rater for vote in chosen], [vote.prompt_index for vote in chosen]
    drawn = crossed_totals(points, raters, prompts, draws=draws, seed=seed)
    drawn = drawn.reshape(draws, size, size)
    connected = _reaches(drawn).all(axis=(1, 2))
    found = fit_strengths(drawn[connected])
    low, high = _ends(found, draws)
    return Strengths(
        systems=tuple(systems),
        strengths=tuple(fit_strengths(wins).tolist()),
        low=low,
        high=high,
        votes=len(chosen),
        ties=sum(vote.is_tie for vote in chosen),
        unconnected=float(1.0 - connected.mean()),
    )


def fit_strengths(wins: Array, *, tolerance: float = 1e-10) -> Array:
    """Log strengths with sum 0, [..., systems], of highest likelihood, of connected systems.

    The MM algorithm (Hunter, Annals of Statistics 32, 2004, equation 3), all systems at once,
    until no log strength changes by more than the tolerance, at most 20,000 rounds. The slowest
    kind, eight systems in a chain that each won 200 of 201 against the next, ends 1e-7 away.

    Args:
        wins: how often the row's system beat the column's, [..., systems, systems], diagonal 0.
        tolerance: of log strengths.
    """
    games = wins + np.swapaxes(wins, -1, -2)
    won = wins.sum(axis=-1)
    logs = np.zeros(won.shape)
    for _ in range(_ROUNDS):
        strengths = np.exp(logs)
        met = games / (strengths[..., :, None] + strengths[..., None, :])
        updated = np.log(won) - np.log(met.sum(axis=-1))
        updated -= updated.mean(axis=-1, keepdims=True)
        change = np.abs(updated - logs).max(initial=0.0)
        logs = updated
        if change <= tolerance:
            break
    return logs


def check_connected(wins: Array, systems: Sequence[str]) -> None:
    """Refuse comparisons without finite strengths of highest likelihood.

    They exist where, however the systems are split in two, some system of either part beat one of
    the other: the graph of wins is strongly connected (Ford, American Mathematical Monthly 64,
    1957). A tie counts as a win both ways.

    Args:
        wins: [systems, systems], row over column.
        systems: their names.

    Raises:
        InputError: naming the systems that were never beaten by, or never compared with, others.
    """
    if len(systems) < 2:
        names = ", ".join(systems) or "none"
        raise InputError(f"Strengths need votes on two systems at least, not on {names}.")
    reaches = _reaches(wins)
    if reaches.all():
        return
    # The fewest that reach a system reach each other, and nobody else reaches them.
    top = reaches[:, reaches.sum(axis=0).argmin()]
    unbeaten, others = _names(systems, top), _names(systems, ~top)
    raise InputError(
        f"No finite strengths: no vote says that any of {others} beats or ties with {unbeaten}. "
        "Gather more votes, or leave systems out."
    )


def _points(votes: Sequence[Vote], systems: Sequence[str]) -> Array:
    """Wins of the row's system over the column's, flat: [votes, systems * systems]."""
    place = {name: number for number, name in enumerate(systems)}
    points = np.zeros((len(votes), len(systems), len(systems)))
    for row, vote in enumerate(votes):
        left, right = place[vote.left], place[vote.right]
        if left == right:
            raise InputError(f"Pair `{vote.pair}` shows `{vote.left}` on both sides.")
        won = 0.5 if vote.is_tie else float(vote.winner == vote.left)
        points[row, left, right], points[row, right, left] = won, 1.0 - won
    return points.reshape(len(votes), len(systems) ** 2)


def _reaches(wins: Array) -> npt.NDArray[np.bool_]:
    """Whether a chain of wins leads from row to column, [..., systems, systems]."""
    size = wins.shape[-1]
    reaches = (wins > 0) | np.eye(size, dtype=np.bool_)
    for _ in range(max(1, size.bit_length())):
        reaches = np.matmul(reaches, reaches)
    return reaches


def _ends(found: Array, draws: int) -> list[tuple[float | None, ...]]:
    """Order statistics, with the draws that are missing beyond either end."""
    missing = np.full((draws - len(found), found.shape[1]), np.inf)
    low = np.sort(np.concatenate([found, -missing]), axis=0)[math.floor(0.025 * (draws - 1))]
    high = np.sort(np.concatenate([found, missing]), axis=0)[math.ceil(0.975 * (draws - 1))]
    return [
        tuple(value if math.isfinite(value) else None for value in end.tolist())
        for end in (low, high)
    ]


def _names(systems: Sequence[str], chosen: npt.NDArray[np.bool_]) -> str:
    return ", ".join(f"`{name}`" for name, taken in zip(systems, chosen, strict=True) if taken)
