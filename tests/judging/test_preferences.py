"""Votes as a preference set, and what is learned from it."""

from pathlib import Path

import numpy as np
import pytest
import statsmodels.api as sm

from benchmarks.preference_learning import LIKED, votes
from promptlift.errors import InputError
from promptlift.judging.collecting.study import Study
from promptlift.judging.config import JudgingConfig
from promptlift.judging.preferences import preferences_of
from promptlift.judging.reranker import (
    Reranker,
    fit_ridge_logistic,
    held_out,
    orders_variants,
)
from tests.judging.runs import draw_run
from tests.judging.statistics.test_results import vote_all


@pytest.fixture
def study(tmp_path: Path) -> Study:
    config = JudgingConfig(raters=("ada", "ben"), per_pair=2, repeats=0.2, attention=1)
    return Study.open([draw_run(tmp_path / "run", 20, seeds=2)], config)


def test_votes_of_raters_and_seeds_on_one_prompt_are_one_preference(study: Study) -> None:
    vote_all(study, 1.0)
    rows, undecided = preferences_of(study, "picture")
    assert len(rows) == 20 and undecided == 0
    for row in rows:
        assert (row.votes, row.margin, row.ties, row.kind) == (4, 1.0, 0, "person")
        assert row.rejected == row.prompt and row.chosen == f"{row.prompt}, sharp focus"


def test_what_votes_do_not_decide_is_counted(study: Study) -> None:
    vote_all(study, 0.5)
    rows, undecided = preferences_of(study, "picture")
    assert len(rows) + undecided == 20 and undecided > 0
    assert {row.margin for row in rows} <= {0.5, 1.0}  # 3 or 4 of 4 votes


def test_votes_of_programs_are_no_preferences_of_people(study: Study) -> None:
    with pytest.raises(InputError, match="has no votes of a person on 'picture'"):
        preferences_of(study, "picture")
    vote_all(study, 1.0)
    with pytest.raises(InputError, match="no votes of a simulated"):
        preferences_of(study, "picture", kind="simulated")


def test_the_fit_is_that_of_statsmodels() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(80, 5))
    signs = rng.choice([-1.0, 1.0], 80)
    # A logistic regression without intercept whose outcomes are all 1, of turned rows.
    model = sm.Logit((signs > 0).astype(float), rows)
    ours = fit_ridge_logistic(rows * signs[:, None], 3.0)
    slope = model.score(ours) - 3.0 * ours
    assert np.abs(slope).max() < 1e-8  # the gradient of its likelihood and the penalty vanishes


def test_a_known_preference_is_found_on_held_out_prompts() -> None:
    measured = held_out(votes(200, LIKED, 0)[0])
    assert measured["accuracy"] > 0.7 and measured["low"] > 0.6 and measured["p"] < 0.02
    assert orders_variants(measured)
    reranker = Reranker.fit(votes(200, LIKED, 0)[0])
    assert reranker.score("a house", "a house, sharp, neon") > 0
    assert reranker.score("a house", "a house, sharp, neon") > reranker.score(
        "a house", "a house, soft, fog"
    )


@pytest.mark.slow
def test_votes_by_chance_seldom_teach() -> None:
    measured = [held_out(votes(60, {}, seed)[0]) for seed in range(8)]
    assert sum(map(orders_variants, measured)) <= 1  # one in twenty, and fewer
    assert sum(one["accuracy"] for one in measured) / len(measured) < 0.6
