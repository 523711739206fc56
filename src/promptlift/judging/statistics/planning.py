"""How many votes a question needs, before any is taken."""

import math
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from promptlift.errors import ConfigError
from promptlift.statistics import Array, wilson

MOST_VOTES = 1_000_000


def votes_for_width(win_rate: float, half_width: float, *, level: float = 0.95) -> int:
    """Fewest votes whose Wilson interval is at most this wide to either side of its middle.

    Searched exactly, for a share of wins that is just the expected one; votes by chance further
    from one half give narrower intervals, those nearer to it wider ones. Votes are taken as
    independent: with m votes on each prompt that correlate by r, multiply by 1 + (m - 1) r
    (Kish, "Survey Sampling", 1965).

    Args:
        win_rate: expected, in [0, 1]; 0.5 is the worst case.
        half_width: half the length of the interval, in (0, 0.5).
        level: confidence of the interval, in (0, 1).

    Raises:
        ConfigError: a value out of its range, or a million votes would not do.
    """
    _check_share("win_rate", win_rate, 0.0 <= win_rate <= 1.0, "from 0 to 1")
    _check_share("half_width", half_width, 0.0 < half_width < 0.5, "between 0 and 0.5")

    def wide(n: int) -> bool:
        low, high = wilson(win_rate * n, n, level=level)
        return high - low > 2.0 * half_width

    if wide(MOST_VOTES):
        raise ConfigError(f"No {MOST_VOTES:,} votes give half_width {half_width}. Ask for less.")
    # The width falls with every vote: halve the range that holds the answer.
    too_few, enough = 0, MOST_VOTES
    while enough - too_few > 1:
        middle = (too_few + enough) // 2
        too_few, enough = (middle, enough) if wide(middle) else (too_few, middle)
    return enough


def votes_for_power(
    win_rate: float, *, power: float = 0.8, alpha: float = 0.05, ties: float = 0.0
) -> int:
    """Fewest votes with which the exact two-sided sign test finds this win rate often enough.

    The power of an exact test rises in teeth; the answer is the first number from which on it
    stays above what is wanted. Searched exactly near the normal approximation (Noether, JASA 82,
    1987). Votes are taken as independent: see `votes_for_width`.

    Args:
        win_rate: expected among decided votes, in [0, 1] but not within 0.01 of 0.5.
        power: wanted chance that p is at most alpha, in (0, 1).
        alpha: level of the test, in (0, 1).
        ties: expected share of ties, in [0, 1). They are left out by the test, so that votes
            are decided ones over 1 - ties, on average.

    Raises:
        ConfigError: a value out of its range.
    """
    _check_share(
        "win_rate",
        win_rate,
        0.0 <= win_rate <= 1.0 and abs(win_rate - 0.5) >= 0.01,
        "from 0 to 1 and at least 0.01 away from 0.5",
    )
    _check_share("power", power, 0.0 < power < 1.0, "between 0 and 1")
    _check_share("alpha", alpha, 0.0 < alpha < 1.0, "between 0 and 1")
    _check_share("ties", ties, 0.0 <= ties < 1.0, "at least 0 and below 1")
    edge = abs(win_rate - 0.5)
    normal = NormalDist()
    needed = normal.inv_cdf(1.0 - alpha / 2.0) / 2.0
    needed += normal.inv_cdf(power) * math.sqrt(win_rate * (1.0 - win_rate))
    near = (max(0.0, needed) / edge) ** 2
    first = max(1, math.floor(0.97 * near - 4.0 / edge) - 50)
    last = math.ceil(1.03 * near + 6.0 / edge) + 50
    sizes = np.arange(first, last + 1)
    failing = sizes[sign_test_power(sizes, win_rate, alpha=alpha) < power]
    decided = int(failing.max(initial=first - 1)) + 1
    return math.ceil(round(decided / (1.0 - ties), 6))


def sign_test_power(n: npt.ArrayLike, win_rate: float, *, alpha: float = 0.05) -> Array:
    """Chance that the exact two-sided sign test of n independent decided votes gives p <= alpha.

    Args:
        n: numbers of votes, of any shape, which is that of the result.
        win_rate: of decided votes, in [0, 1].
        alpha: level of the test.
    """
    from scipy.stats import binom

    votes = np.asarray(n)
    # So many counts at either end have a doubled tail of at most alpha.
    rejected = binom.ppf(alpha / 2 * (1 + 1e-9), votes, 0.5)
    chance = binom.cdf(rejected - 1, votes, win_rate) + binom.sf(votes - rejected, votes, win_rate)
    return np.asarray(chance, dtype=np.float64)


def _check_share(name: str, value: float, fits: bool, range_in_words: str) -> None:
    if not fits:
        raise ConfigError(f"`{name}` is {value}. It must be {range_in_words}.")
