"""The table of `docs/judging.md`: how many votes an interval of some width needs, and a test.

python -m benchmarks.judging.votes_needed
"""

from itertools import count

from scipy.stats import binom

from promptlift.statistics import wilson

RATES, POINTS = (0.6, 0.7, 0.8), (0.10, 0.05, 0.03)
MOST = 2_000


def for_width(rate: float, half_width: float) -> int:
    """Fewest votes whose Wilson interval reaches at most `half_width` to either side."""
    for n in count(1):
        low, high = wilson(rate * n, n)
        if high - low <= 2 * half_width:
            return n
    raise AssertionError


def for_power(rate: float, *, power: float = 0.8, alpha: float = 0.05) -> int:
    """Fewest votes from which on the exact two-sided sign test has this power, up to `MOST`."""

    def fails(n: int) -> bool:
        rejected = binom.ppf(alpha / 2 * (1 + 1e-9), n, 0.5)
        return bool(binom.cdf(rejected - 1, n, rate) + binom.sf(n - rejected, n, rate) < power)

    return 1 + max(n for n in range(1, MOST) if fails(n))


if __name__ == "__main__":
    for rate in RATES:
        widths = " | ".join(f"{for_width(rate, points):,}" for points in POINTS)
        print(f"| {rate:.0%} | {widths} | {for_power(rate)} |")
