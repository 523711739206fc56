"""Evidence that may be looked at after every vote."""

import json
import sys

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from promptlift.errors import MissingExtraError
from promptlift.judging.statistics.sequential_test import first_decided, monitor
from promptlift.statistics import sign_test
from tests.judging.votes import swapped, vote, votes_of

SEQUENCES = 500
VOTES = 300


def test_e_values_by_hand() -> None:
    # Uniform prior, three wins: integral of p³ is 1/4, over 1/8.
    assert monitor([1, 1, 1], prior=1.0).e_values == pytest.approx([1.0, 4 / 3, 2.0])
    found = monitor([1] * 12, prior=1.0)
    # 2^n / (n + 1) first reaches 20 at n = 8: 256 / 9.
    assert found.stop == 8
    assert found.low[-1] == pytest.approx((0.05 / 13) ** (1 / 12))
    assert found.high[-1] == 1.0
    assert monitor([1, 0, 1]).stop == 0
    assert monitor([]).e_values.shape == (0,)


@given(
    st.lists(st.integers(0, 1), min_size=1, max_size=60),
    st.sampled_from([0.5, 1.0, 7.0]),
    st.floats(0.05, 0.95),
)
@settings(max_examples=60)
def test_e_values_are_scipys_beta_binomial_over_binomial(
    wins: list[int], prior: float, null: float
) -> None:
    found = monitor(wins, null=null, prior=prior)
    n, won = len(wins), sum(wins)
    mixture = special.betaln(prior + won, prior + n - won) - special.betaln(prior, prior)
    likelihood = special.xlogy(won, null) + special.xlog1py(n - won, -null)
    assert np.log(found.e_values[-1]) == pytest.approx(mixture - likelihood, abs=1e-9)


@given(st.lists(st.integers(0, 1), min_size=1, max_size=60), st.sampled_from([0.01, 0.05, 0.3]))
@settings(max_examples=60)
def test_the_sequence_holds_the_share_and_just_the_rates_not_ruled_out(
    wins: list[int], alpha: float
) -> None:
    found = monitor(wins, alpha=alpha)
    shares = np.cumsum(wins) / np.arange(1, len(wins) + 1)
    assert (found.low >= 0).all() and (found.high <= 1).all()
    assert (found.low <= shares).all() and (shares <= found.high).all()
    for end in (found.low[-1], found.high[-1]):
        if 0 < end < 1:
            assert monitor(wins, null=float(end)).e_values[-1] == pytest.approx(1 / alpha, rel=1e-6)
    mirrored = monitor([1 - win for win in wins], alpha=alpha)
    assert mirrored.low == pytest.approx(1 - found.high)
    assert mirrored.e_values == pytest.approx(found.e_values)
    outside = (found.low > 0.5) | (found.high < 0.5)
    assert found.stop == (outside.argmax() + 1 if outside.any() else 0)


def sign_test_alarms(wins: npt.NDArray[np.int64]) -> float:
    """Share of sequences in which a sign test after each vote gives p < 0.05 at least once."""
    alarms = np.zeros(len(wins), dtype=np.bool_)
    for n, total in enumerate(np.cumsum(wins, axis=1).T, start=1):
        rejected = np.array([sign_test(won, n - won) < 0.05 for won in range(n + 1)])
        alarms |= rejected[total]
    return float(alarms.mean())


def test_false_alarms_stay_below_alpha_where_a_repeated_test_inflates_them() -> None:
    wins = np.random.default_rng(11).integers(0, 2, size=(SEQUENCES, VOTES))
    alarms = (monitor(wins).stop > 0).mean()
    # At most 5%, plus what 500 sequences may show by chance (99.9%).
    assert alarms <= stats.binom.ppf(0.999, SEQUENCES, 0.05) / SEQUENCES
    assert sign_test_alarms(wins) > 0.2


@pytest.mark.parametrize("rate", [0.35, 0.6, 0.79, 0.97])
def test_the_sequence_holds_the_true_rate_after_every_vote_at_once(rate: float) -> None:
    wins = np.random.default_rng(12).random((SEQUENCES, VOTES)) < rate
    found = monitor(wins.astype(np.int64))
    covered = ((found.low <= rate) & (rate <= found.high)).all(axis=1).mean()
    assert covered >= stats.binom.ppf(0.001, SEQUENCES, 0.95) / SEQUENCES
    if rate == 0.79:
        assert (found.stop > 0).all()
        assert np.median(found.stop) < 40


def test_only_the_first_vote_on_a_prompt_is_given_on() -> None:
    votes = [
        *votes_of("wltw", rater="ann"),
        *swapped(votes_of("lwwl", rater="bob")),
        vote("right", prompt=7, rater="cy", kind="simulated"),
        vote("right", prompt=8, rater="cy"),
    ]
    assert first_decided(votes) == [1, 0, 1, 0]
    json.dumps(monitor(first_decided(votes)).e_values.tolist())


def test_a_missing_scipy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.special", None)
    with pytest.raises(MissingExtraError, match="web"):
        monitor([1, 0])
