"""Agreement between raters, against published examples and statsmodels."""

import json

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from statsmodels.stats.inter_rater import cohens_kappa, to_table
from statsmodels.stats.inter_rater import fleiss_kappa as fleiss_of_statsmodels

from benchmarks.judging.simulate import Crowd, simulate_votes
from promptlift.errors import InputError
from promptlift.judging.records import Vote
from promptlift.judging.statistics.agreement import (
    agreement,
    cohen_kappa,
    fleiss_kappa,
    krippendorff_alpha,
)
from tests.judging.votes import some_votes, swapped, vote, votes_of

# Fleiss 1971, table 1: six psychiatrists put thirty patients into five categories.
DIAGNOSES = [
    "444444 222555 233335 555555 222444 113333 333355 113334 114444 555555",
    "144444 124444 222333 144444 224445 333335 111455 111112 224444 133555",
    "555555 244444 224555 114444 144445 222224 111155 224444 133333 555555",
]


def counts_of(rows: list[str], categories: str) -> npt.NDArray[np.int64]:
    """How often each category stands in each row; a dot is a missing answer."""
    return np.array([[row.count(name) for name in categories] for row in rows], dtype=np.int64)


def test_fleiss_1971() -> None:
    counts = counts_of(" ".join(DIAGNOSES).split(), "12345")
    assert counts.sum(axis=0).tolist() == [26, 26, 30, 55, 43]  # as below the table in the paper
    assert fleiss_kappa(counts) == pytest.approx(0.430, abs=5e-4)


def test_the_worked_example_of_wikipedia() -> None:
    # https://en.wikipedia.org/wiki/Fleiss%27_kappa: 14 raters, 10 subjects, 5 categories.
    table = [
        [0, 0, 0, 0, 14],
        [0, 2, 6, 4, 2],
        [0, 0, 3, 5, 6],
        [0, 3, 9, 2, 0],
        [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0],
        [3, 2, 6, 3, 0],
        [2, 5, 3, 2, 2],
        [6, 5, 2, 1, 0],
        [0, 2, 2, 3, 7],
    ]
    assert fleiss_kappa(np.array(table)) == pytest.approx(0.210, abs=5e-4)


def test_krippendorff_2011() -> None:
    # Section B: two observers, no data missing.
    meg, owen = "aabbdcccedda", "babbbccceddd"
    units = [a + b for a, b in zip(meg, owen, strict=True)]
    assert krippendorff_alpha(counts_of(units, "abcde")) == pytest.approx(0.692, abs=5e-4)
    # Section C: four observers, data missing, one unit with a single answer.
    observers = ["123321412...", "1233224125.3", ".3332342251.", "12332441251."]
    units = ["".join(unit) for unit in zip(*observers, strict=True)]
    assert krippendorff_alpha(counts_of(units, "12345")) == pytest.approx(0.743, abs=5e-4)


@given(
    st.integers(2, 6).flatmap(
        lambda n: arrays(
            np.int64, st.tuples(st.integers(1, 12), st.just(n)), elements=st.integers(0, 2)
        )
    )
)
def test_fleiss_is_that_of_statsmodels(answers: npt.NDArray[np.int64]) -> None:
    counts = np.stack([(answers == name).sum(axis=1) for name in range(3)], axis=1)
    found = fleiss_kappa(counts)
    if len(np.unique(answers)) == 1:
        assert found is None
    else:
        assert found == pytest.approx(fleiss_of_statsmodels(counts), abs=1e-12)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=40))
def test_cohen_is_that_of_statsmodels(answers: list[tuple[int, int]]) -> None:
    first, second = zip(*answers, strict=True)
    found = cohen_kappa(first, second)
    if len(set(first) | set(second)) == 1:
        assert found is None
        return
    table, _ = to_table(np.array(answers), bins=3)
    assert found == pytest.approx(cohens_kappa(table, return_results=False), abs=1e-12)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=1, max_size=40))
def test_alpha_of_two_raters_follows_from_fleiss(answers: list[tuple[int, int]]) -> None:
    # Scott's pi, which Fleiss' kappa is for two, corrected for a small sample: with n answers
    # alpha = pi + (1 - pi) / n.
    counts = np.array([[pair.count(name) for name in range(3)] for pair in answers])
    fleiss = fleiss_kappa(counts)
    alpha = krippendorff_alpha(counts)
    if fleiss is None:
        assert alpha is None
    else:
        assert alpha == pytest.approx(fleiss + (1 - fleiss) / counts.sum())


def test_unequal_numbers_of_answers_are_refused_by_fleiss() -> None:
    with pytest.raises(InputError, match=r"at least 2, not 2, 3\. .*Krippendorff"):
        fleiss_kappa(np.array([[2, 0], [2, 1]]))
    with pytest.raises(InputError, match="not 1"):
        fleiss_kappa(np.array([[1, 0]]))
    with pytest.raises(ValueError, match="2 and 1 answers"):
        cohen_kappa("ab", "a")


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
    assert (found.pairs, found.fleiss_pairs) == (5, 2)
    [ann_bob, ann_cy, bob_cy] = found.cohen
    assert (ann_bob.first, ann_bob.second, ann_bob.pairs, ann_bob.alike) == ("ann", "bob", 5, 0.8)
    # Chance: 2/5 * 3/5 improved, 2/5 * 1/5 original, 1/5 * 1/5 tie: 9/25.
    assert ann_bob.kappa == pytest.approx((0.8 - 9 / 25) / (1 - 9 / 25))
    assert (ann_cy.pairs, ann_cy.alike, bob_cy.alike) == (2, 0.5, 0.0)
    json.dumps(found.to_dict(), allow_nan=False)


@given(some_votes(), st.data())
@settings(max_examples=40)
def test_sides_change_nothing_and_values_stay_in_range(
    votes: list[Vote], data: st.DataObject
) -> None:
    found = agreement(votes, draws=20)
    rows = [data.draw(st.booleans()) for _ in votes]
    assert agreement(swapped(votes, rows), draws=20) == found
    for value in (found.alpha, found.fleiss, *(pair.kappa for pair in found.cohen)):
        assert value is None or -1.0 <= value <= 1.0 + 1e-12


def test_raters_without_a_preference_agree_by_chance_alone() -> None:
    level = Crowd(strengths={"original": 0.0, "improved": 0.0})
    found = agreement(simulate_votes(level, raters=4, prompts=400, seed=3), kind="simulated")
    assert found.alpha is not None and found.alpha_low is not None and found.alpha_high is not None
    assert found.alpha == pytest.approx(0.0, abs=0.05)
    assert found.alpha_low < 0.0 < found.alpha_high
    torn = Crowd(strengths={"original": 0.0, "improved": 0.0}, prompt_spread=3.0)
    found = agreement(simulate_votes(torn, raters=4, prompts=400, seed=3), kind="simulated")
    assert found.alpha_low is not None and found.alpha_low > 0.3
