"""Agreement between raters, against published examples and statsmodels."""

import json
from dataclasses import asdict

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.inter_rater import fleiss_kappa

from benchmarks.judging.simulate import Crowd, simulate_votes
from promptlift.judging.records import Vote
from promptlift.judging.statistics.agreement import agreement, krippendorff_alpha
from tests.judging.votes import some_votes, swapped, vote, votes_of


def counts_of(rows: list[str], categories: str) -> npt.NDArray[np.int64]:
    """How often each category stands in each row; a dot is a missing answer."""
    return np.array([[row.count(name) for name in categories] for row in rows], dtype=np.int64)


def test_krippendorff_2011() -> None:
    # Section B: two observers, no data missing.
    meg, owen = "aabbdcccedda", "babbbccceddd"
    units = [a + b for a, b in zip(meg, owen, strict=True)]
    assert krippendorff_alpha(counts_of(units, "abcde")) == pytest.approx(0.692, abs=5e-4)
    # Section C: four observers, data missing, one unit with a single answer.
    observers = ["123321412...", "1233224125.3", ".3332342251.", "12332441251."]
    units = ["".join(unit) for unit in zip(*observers, strict=True)]
    assert krippendorff_alpha(counts_of(units, "12345")) == pytest.approx(0.743, abs=5e-4)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=40))
def test_alpha_of_two_raters_follows_from_fleiss(answers: list[tuple[int, int]]) -> None:
    # Scott's pi, which Fleiss' kappa is for two, corrected for a small sample: with n answers
    # alpha = pi + (1 - pi) / n.
    counts = np.array([[pair.count(name) for name in range(3)] for pair in answers])
    alpha = krippendorff_alpha(counts)
    if np.count_nonzero(counts.sum(axis=0)) == 1:
        assert alpha is None
    else:
        fleiss = fleiss_kappa(counts)
        assert alpha == pytest.approx(fleiss + (1 - fleiss) / counts.sum())


def test_votes_are_compared_by_system_not_by_side() -> None:
    votes = [
        *votes_of("wwllt", rater="ann"),
        *swapped(votes_of("wwlwb", rater="bob")),
        *votes_of("sswl", rater="cy"),
        vote("right", rater="bob", prompt=0, purpose="repeat"),
        vote("right", rater="ann", prompt=9, kind="simulated"),
    ]
    found = agreement(votes)
    assert found.raters == ("ann", "bob", "cy")
    assert found.pairs == 5
    # By pair 2 + 2 + 1 + 1 + 2 = 8 of 12 answers agree; of all 6 are improved, 4 original, 2 ties,
    # of which 6 * 5 + 4 * 3 + 2 * 1 = 44 twos are alike: (11 * 8 - 44) / (12 * 11 - 44).
    assert found.alpha.value == pytest.approx(0.5)
    json.dumps(asdict(found), allow_nan=False)


@given(some_votes(), st.data())
@settings(max_examples=40)
def test_sides_change_nothing_and_values_stay_in_range(
    votes: list[Vote], data: st.DataObject
) -> None:
    found = agreement(votes, draws=20)
    rows = [data.draw(st.booleans()) for _ in votes]
    assert agreement(swapped(votes, rows), draws=20) == found
    assert found.alpha.value is None or -1.0 <= found.alpha.value <= 1.0 + 1e-12


def test_raters_without_a_preference_agree_by_chance_alone() -> None:
    level = Crowd(strengths={"original": 0.0, "improved": 0.0})
    found = agreement(simulate_votes(level, raters=4, prompts=400, seed=3), kind="simulated")
    assert found.alpha.low is not None and found.alpha.high is not None
    assert found.alpha.value == pytest.approx(0.0, abs=0.05)
    assert found.alpha.low < 0.0 < found.alpha.high
    torn = Crowd(strengths={"original": 0.0, "improved": 0.0}, prompt_spread=3.0)
    found = agreement(simulate_votes(torn, raters=4, prompts=400, seed=3), kind="simulated")
    assert found.alpha.low is not None and found.alpha.low > 0.3
