"""How often the best of several variants that gain nothing looks clearly better, and by how much.

Scores are normal, of one spread, and each seed moves all pictures of a prompt alike. Printed for
each number of variants and seeds: the share of prompts with a clear gain as `promptlift pick`
judges, the same with the level undivided, and the gain of the best in standard deviations of a
score, on the pictures it was chosen by and on as many fresh ones.

    python -m benchmarks.best_of
"""

import argparse

import numpy as np

from promptlift.picking.choosing import choose, confirmed
from promptlift.scoring.pictures.verdicts import judge


def simulate(variants: int, seeds: int, prompts: int) -> tuple[float, float, float, float]:
    """Shares of clear gains with the level divided and undivided; gains claimed and on fresh."""
    random = np.random.default_rng(variants * 100 + seeds)
    divided = undivided = 0
    claimed, again = [], []
    for _ in range(prompts):
        scores = random.normal(size=(1 + variants, seeds)) + random.normal(size=seeds)
        found = choose(scores[0], scores[1:], always=True)
        assert found.evidence is not None and found.best is not None
        divided += found.clear
        names = np.repeat(np.arange(variants), seeds).tolist()
        gains = {"score": (scores[1:] - scores[0]).ravel()}
        verdicts = judge(gains, [0] * len(names), names)
        undivided += any(verdict.choice == "improved" for verdict in verdicts)
        claimed.append(found.evidence.gain)
        fresh = random.normal(size=(2, seeds)) + random.normal(size=seeds)
        again.append(confirmed(fresh[0], fresh[1]).gain)
    return (
        divided / prompts,
        undivided / prompts,
        float(np.mean(claimed)),
        float(np.mean(again)),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=4000)
    prompts = parser.parse_args().prompts
    print("variants seeds  clear  undivided  claimed gain  on fresh seeds")
    for variants in (1, 2, 4, 8, 16):
        for seeds in (2, 4, 8):
            clear, undivided, claimed, again = simulate(variants, seeds, prompts)
            print(
                f"{variants:8} {seeds:5}  {clear:5.1%}  {undivided:9.1%}  {claimed:+12.2f}  "
                f"{again:+14.2f}"
            )


if __name__ == "__main__":
    main()
