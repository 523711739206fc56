"""What pooling makes of scores whose truth is known."""

import numpy as np
import pytest

from promptlift.tuning.pooling import Variants, pooled

WORDS = [f"word{place}" for place in range(12)]
Truth = list[np.ndarray]


def simulated(
    *, word: float, own: float, luck: float, prompts: int = 150, seeds: int = 2, seed: int = 0
) -> tuple[list[Variants], Truth]:
    """Variants and their true gains: of words, of their own, and luck, by standard deviations."""
    rng = np.random.default_rng(seed)
    effects = dict(zip(WORDS, rng.normal(0, word, len(WORDS)), strict=True))
    found, truth = [], []
    for _ in range(prompts):
        words = [frozenset(rng.choice(WORDS, 3, replace=False).tolist()) for _ in range(4)]
        true = np.array([sum(effects[one] for one in own) for own in words])
        true += rng.normal(0, own, 4) + rng.normal(0, 0.5)
        gains = true[:, None] + rng.normal(0, luck, (4, seeds)) + rng.normal(0, 0.5, seeds)
        found.append(Variants(words, gains))
        truth.append(true)
    return found, truth


def within(values: Truth) -> np.ndarray:
    return np.concatenate([one - one.mean() for one in values])


def error(estimates: Truth, truth: Truth) -> float:
    return float(((within(estimates) - within(truth)) ** 2).mean())


def gains(prompts: list[Variants]) -> Truth:
    return [one.gains for one in pooled(prompts)]


def means(prompts: list[Variants]) -> Truth:
    return [one.gains.mean(axis=1) for one in prompts]


@pytest.mark.parametrize(
    ("word", "own", "luck"), [(0.1, 0.0, 0.5), (0.1, 0.1, 0.5), (0.3, 0.3, 0.3), (0.0, 0.0, 0.5)]
)
def test_it_is_nearer_to_the_truth_than_the_scores_alone(
    word: float, own: float, luck: float
) -> None:
    prompts, truth = simulated(word=word, own=own, luck=luck)
    assert error(gains(prompts), truth) < error(means(prompts), truth)


def test_scores_without_luck_are_believed() -> None:
    prompts, truth = simulated(word=0.1, own=0.3, luck=0.01)
    assert error(gains(prompts), truth) < 0.01 * float((within(truth) ** 2).mean())


def test_luck_alone_is_not_believed() -> None:
    prompts, _ = simulated(word=0.0, own=0.0, luck=0.5, prompts=400)
    assert within(gains(prompts)).std() < 0.3 * within(means(prompts)).std()


def test_means_of_prompts_stay_and_one_seed_or_prompt_is_enough() -> None:
    for prompts, seeds in ((20, 1), (1, 2), (1, 1)):
        given, _ = simulated(word=0.1, own=0.1, luck=0.5, prompts=prompts, seeds=seeds)
        for estimated, mean in zip(gains(given), means(given), strict=True):
            assert estimated.shape == (4,) and estimated.mean() == pytest.approx(mean.mean())


def test_a_prompt_with_one_variant_teaches_nothing_and_harms_nothing() -> None:
    prompts, _ = simulated(word=0.1, own=0.1, luck=0.5, prompts=10)
    alone = Variants([frozenset(("word1",))], np.array([[0.25, 0.75]]))
    assert gains([*prompts, alone])[-1] == pytest.approx([0.5])


@pytest.mark.parametrize(("word", "own", "luck"), [(0.1, 0.0, 0.5), (0.2, 0.2, 0.4)])
def test_errors_are_as_large_as_the_estimates_are_wrong(
    word: float, own: float, luck: float
) -> None:
    prompts, truth = simulated(word=word, own=own, luck=luck, prompts=300)
    wrong = []
    for found, true in zip(pooled(prompts), truth, strict=True):
        off = (found.gains[0] - found.gains[1]) - (true[0] - true[1])
        assert found.errors[0, 1] == pytest.approx(found.errors[1, 0])
        wrong.append(off / found.errors[0, 1])
    assert 0.3 < float(np.std(wrong)) < 1.3  # rather too careful than too sure
