"""Raters with known preferences, to test what is computed from votes."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from promptlift.judging.records import SIMULATED, Vote
from promptlift.pictures import IMPROVED, ORIGINAL


@dataclass(frozen=True, kw_only=True)
class Crowd:
    """How simulated raters answer.

    Without lapse or tie, the left picture is chosen with probability logistic(s), s = strength of
    left - strength of right + (prompt's + rater's leaning, turned to the left) + side_bias.

    Attributes:
        strengths: log strength of each system.
        prompt_spread: standard deviation between prompts of their leaning, in log odds.
        rater_spread: standard deviation between raters of theirs.
        side_bias: log odds for the left picture.
        lapses: share of answers given by tossing a coin, in [0, 1].
        ties: share of ties, whatever the pair, in [0, 1].
    """

    strengths: Mapping[str, float] = field(default_factory=lambda: {ORIGINAL: 0.0, IMPROVED: 1.0})
    prompt_spread: float = 0.0
    rater_spread: float = 0.0
    side_bias: float = 0.0
    lapses: float = 0.0
    ties: float = 0.0

    def win_rate(self, system: str = IMPROVED, baseline: str = ORIGINAL) -> float:
        """Expected share of decided votes that the system wins, over prompts, raters and sides.

        The normal distribution of leanings is integrated by Gauss-Hermite quadrature.
        """
        nodes, weights = np.polynomial.hermite_e.hermegauss(81)
        leaning = math.hypot(self.prompt_spread, self.rater_spread) * nodes
        edge = self.strengths[system] - self.strengths[baseline] + leaning
        chance = [1 / (1 + np.exp(-(edge + bias))) for bias in (self.side_bias, -self.side_bias)]
        mean = float(weights @ np.mean(chance, axis=0) / weights.sum())
        return self.lapses / 2 + (1 - self.lapses) * mean


def simulate_votes(
    crowd: Crowd,
    *,
    raters: int,
    prompts: int,
    repeats: int = 0,
    question: str = "picture",
    seed: int = 0,
) -> list[Vote]:
    """Votes of every rater on one pair of each prompt, all of kind "simulated".

    The two systems of a prompt are drawn at random, its sides anew for each rater. A prompt's or
    a rater's leaning is towards the later of two systems in the order of `crowd.strengths`.

    Args:
        crowd: how they answer.
        raters, prompts: how many.
        repeats: how many of the first pairs each rater sees again, swapped.
        question: of `records.QUESTIONS`.
        seed: of everything drawn.
    """
    random = np.random.default_rng(seed)
    systems = list(crowd.strengths)
    of_prompts = random.normal(0.0, crowd.prompt_spread, size=prompts)
    of_raters = random.normal(0.0, crowd.rater_spread, size=raters)
    shown = [sorted(random.choice(len(systems), 2, replace=False)) for _ in range(prompts)]
    tasks = [(place, "judge") for place in range(prompts)]
    tasks += [(place, "repeat") for place in range(repeats)]
    votes = []
    for rater in range(raters):
        swapped = random.random(prompts) < 0.5
        seconds = random.exponential(8.0, size=len(tasks))
        lapse, tie, coin, choice = random.random((4, len(tasks)))
        for number, (prompt, purpose) in enumerate(tasks):
            before, after = (systems[place] for place in shown[prompt])
            after_left = bool(swapped[prompt]) != (purpose == "repeat")
            edge = crowd.strengths[after] - crowd.strengths[before]
            edge += float(of_prompts[prompt] + of_raters[rater])
            chance = 1 / (1 + math.exp(-((edge if after_left else -edge) + crowd.side_bias)))
            if lapse[number] < crowd.lapses:
                chance = 0.5
            answer = "left" if choice[number] < chance else "right"
            if tie[number] < crowd.ties:
                answer = "tie" if coin[number] < 0.5 else "both_bad"
            votes.append(
                Vote(
                    rater=f"rater-{rater + 1}",
                    pair=f"pair-{prompt + 1}",
                    prompt_index=prompt,
                    question=question,
                    left=after if after_left else before,
                    right=before if after_left else after,
                    answer=answer,
                    seconds=float(seconds[number]),
                    kind=SIMULATED,
                    purpose=purpose,
                )
            )
    return votes
