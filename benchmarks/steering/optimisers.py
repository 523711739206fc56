"""AdamW beside the optimiser of Deckers and others, in the pocket world.

    python -m benchmarks.steering.optimisers --work FOLDER [-o docs/world/steered-optimisers.json]

Both move the same prompts' embeddings, for sharpness and for the learned preference, each at
several learning rates.
"""

from typing import Any

from benchmarks.steering.arms import Arm, Arms, arguments, less, means, settings
from benchmarks.steering.tables import of_optimisers
from promptlift.files import write_json

RATES = {"sharpness": (0.01, 0.03), "aesthetic": (0.01, 0.03)}
OPTIMISERS = ("adamw", "adam-on-lion")
TITLES = {"aesthetic": "learned preference", "sharpness": "sharpness"}


def main() -> None:
    args = arguments(__doc__.split("\n")[0])
    arms = Arms(args.work, args.count)
    found: dict[str, Any] = {**settings(arms), "metrics": {}}
    for metric, rates in RATES.items():
        prompt = arms.outcome(Arm(metric=metric, iterations=0))
        rows: dict[str, Any] = {"prompt": means(prompt, args.count), "rates": {}}
        found["metrics"][TITLES[metric]] = rows
        for rate in rates:
            outcomes = {
                name: arms.outcome(Arm(metric=metric, optimizer=name, rate=rate))
                for name in OPTIMISERS
            }
            rows["rates"][str(rate)] = {
                **{name: means(one, args.count) for name, one in outcomes.items()},
                "less": less(outcomes["adamw"], outcomes["adam-on-lion"], args.count),
                "less the prompt": {
                    name: less(prompt, one, args.count) for name, one in outcomes.items()
                },
            }
            if args.output:
                write_json(args.output, found)
    print(of_optimisers(found["metrics"]))


if __name__ == "__main__":
    main()
