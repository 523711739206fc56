"""Interval and test of a share."""

import math
from statistics import NormalDist


def wilson(successes: float, n: float, *, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval of a share (Wilson, JASA 22, 1927), without continuity correction.

    Holds the estimate, lies in [0, 1], and is sensible at shares of 0 and 1, where the usual
    interval has no width. It takes the trials as independent.

    Args:
        successes: in [0, n]; fractions are allowed, see `rates.WinRate` for what they mean.
        n: trials; 0 gives (0, 1).
        level: confidence, in (0, 1).
    """
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} successes of {n} are no share")
    if n == 0:
        return 0.0, 1.0
    square = NormalDist().inv_cdf(0.5 + level / 2.0) ** 2
    share = successes / n
    centre = (share + square / (2 * n)) / (1 + square / n)
    half = math.sqrt(square * (share * (1 - share) + square / (4 * n)) / n) / (1 + square / n)
    # Rounding must not push the ends past the bounds or the estimate.
    return max(0.0, min(centre - half, share)), min(1.0, max(centre + half, share))


def sign_test(wins: int, losses: int) -> float:
    """P value of the exact two-sided test that wins and losses are equally likely, in (0, 1].

    The binomial test at one half (Dixon and Mood, JASA 41, 1946): the chance of a split at least
    as uneven. Ties are left out before; no votes give 1. It takes the votes as independent.
    """
    wins, losses = int(wins), int(losses)  # NumPy's would overflow
    n = wins + losses
    term = tail = 1
    for k in range(min(wins, losses)):
        term = term * (n - k) // (k + 1)
        tail += term
    # Whole numbers divide exactly, however large; only the quotient is rounded.
    return min(1.0, 2 * tail / (1 << n))
