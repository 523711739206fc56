"""Slips of the authors' code, switched on one at a time."""

import pytest
import torch

from benchmarks.steering.arms import MisreadScorer, Slips, kept, steps_with
from promptlift.illustrating.illustrator import Illustrator
from promptlift.scoring.pictures.preference_models import ScorerContext
from promptlift.steering.config import OptimiseConfig
from promptlift.steering.optimise import Step, graded_scorer
from promptlift.steering.vectors import embedding_of
from tests.illustrating.models import DIFFUSERS_WARNS

pytestmark = DIFFUSERS_WARNS
STAR = "red star"


@pytest.mark.parametrize("optimizer", ["adamw", "adam-on-lion"])
def test_an_optimiser_made_anew_takes_the_same_first_step_and_others_later(
    sd15: Illustrator, context: ScorerContext, optimizer: str
) -> None:
    config = OptimiseConfig(metric="sharpness", iterations=2, optimizer=optimizer, rate=0.1)
    scorer = graded_scorer("sharpness", context)
    right, slipped = (
        [one.embedding.tensors()["prompt_embeds"] for one in
         steps_with(sd15, STAR, scorer, config, slips)]
        for slips in (Slips(), Slips(forgetful=True))
    )  # fmt: skip
    assert right[1].equal(slipped[1])
    assert not right[2].equal(slipped[2])


def test_a_misread_metric_gets_pictures_from_minus_1_to_1(context: ScorerContext) -> None:
    scorer = graded_scorer("contrast", context)
    pictures = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    found = MisreadScorer(scorer).graded([STAR, STAR], pictures)
    torch.testing.assert_close(found, 2 * scorer.graded([STAR, STAR], pictures))


def test_the_last_step_is_kept_for_the_best(sd15: Illustrator) -> None:
    embedding = embedding_of(sd15, STAR)
    steps = [Step(number, score, embedding) for number, score in enumerate((-5, -1, -1, -3))]
    assert kept(steps, Slips()).number == 1
    assert kept(steps, Slips(last=True)).number == 3
