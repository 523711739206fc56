"""How many votes the reranker needs: held-out accuracy on simulated votes with known odds.

Each prompt gives two texts of three words out of ten; three words are liked or disliked, so that
the odds of each vote are known. The best that any model can do is the mean of the larger odds.

    python -m benchmarks.preference_learning
"""

import math
import random
from statistics import mean, stdev

from promptlift.judging.preferences import Preference
from promptlift.judging.records import SIMULATED
from promptlift.judging.reranker import held_out, orders_variants

WORDS = ("sharp", "soft", "night", "neon", "oil", "crisp", "fog", "gold", "calm", "vast")
LIKED = {"sharp": 2.0, "neon": 1.5, "fog": -2.0}
STUDIES = 60
WON = 0.65


def votes(prompts: int, liked: dict[str, float], seed: int) -> tuple[list[Preference], float]:
    """A vote on each prompt, and how often the best model would find it."""
    rng = random.Random(seed)
    rows, best = [], []
    for index in range(prompts):
        two = [rng.sample(WORDS, 3) for _ in range(2)]
        first, second = (sum(liked.get(word, 0.0) for word in words) for words in two)
        chance = 1 / (1 + math.exp(second - first))
        best.append(max(chance, 1 - chance))
        if rng.random() > chance:
            two.reverse()
        source = f"a house, number {index}"
        chosen, rejected = (", ".join([source, *words]) for words in two)
        rows.append(_row(index, source, chosen, rejected))
    return rows, mean(best)


def _row(index: int, source: str, chosen: str, rejected: str) -> Preference:
    return Preference(
        prompt=source,
        chosen=chosen,
        rejected=rejected,
        margin=1.0,
        votes=1,
        ties=0,
        prompt_index=index,
        question="picture",
        kind=SIMULATED,
    )


def votes_for_length(prompts: int, seed: int) -> tuple[list[Preference], float]:
    """A vote on each prompt between it and three words more, which win in 65% whatever they are."""
    rng, rows = random.Random(seed), []
    for index in range(prompts):
        source = f"a house, number {index}"
        two = [", ".join([source, *rng.sample(WORDS, 3)]), source]
        chosen, rejected = two if rng.random() < WON else two[::-1]
        rows.append(_row(index, source, chosen, rejected))
    return rows, WON


def main() -> None:
    print("votes   prompts  accuracy, mean and sd of studies  the best possible  used")
    for name, make in (
        ("taste", lambda prompts, seed: votes(prompts, LIKED, seed)),
        ("chance", lambda prompts, seed: votes(prompts, {}, seed)),
        ("length", votes_for_length),
    ):
        for prompts in (54, 100, 300):
            found = [make(prompts, seed) for seed in range(STUDIES)]
            measured = [held_out(rows, seed=seed) for seed, (rows, _) in enumerate(found)]
            right = [one["accuracy"] for one in measured]
            told = sum(orders_variants(one) for one in measured)
            print(
                f"{name:6} {prompts:7}  {mean(right):.3f} +- {stdev(right):.3f}"
                f"  {mean(best for _, best in found):.3f}  {told} of {STUDIES}"
            )


if __name__ == "__main__":
    main()
