"""What each slip of the code of Deckers and others does, in the pocket world.

    python -m benchmarks.steering.slips --work FOLDER [-o docs/world/steered-slips.json]

Embeddings are optimised without the slip and with it, for the metric that it touches: the
optimiser is forgotten with the aesthetic score alone, pictures are normalized for CLIP, and the
best is lost where less of a metric is wanted. The metric itself is read right on both sides.
"""

from dataclasses import replace
from typing import Any

from benchmarks.steering.arms import Arm, Arms, Slips, arguments, less, means, settings
from benchmarks.steering.tables import of_slips
from promptlift.files import write_json

# Of each slip: the arm without it, and the slip.
PAIRS = {
    "optimiser made anew, AdamOnLion": (
        Arm(metric="aesthetic", optimizer="adam-on-lion"), Slips(forgetful=True)
    ),
    "optimiser made anew, AdamW": (Arm(metric="aesthetic"), Slips(forgetful=True)),
    "pictures normalized wrongly": (Arm(metric="clip"), Slips(misread=True)),
    "the last kept, not the best": (Arm(metric="sharpness", less=True), Slips(last=True)),
    "the last kept at ten times the rate": (
        Arm(metric="sharpness", less=True, rate=0.1), Slips(last=True)
    ),
}  # fmt: skip
TITLES = {"aesthetic": "learned preference", "clip": "CLIPScore", "sharpness": "sharpness, less"}


def main() -> None:
    args = arguments(__doc__.split("\n")[0])
    arms = Arms(args.work, args.count)
    found: dict[str, Any] = {**settings(arms), "slips": {}}
    for name, (arm, slips) in PAIRS.items():
        without = arms.outcome(arm)
        slipped = arms.outcome(replace(arm, slips=slips))
        prompt = arms.outcome(Arm(metric=arm.metric, iterations=0))
        found["slips"][name] = {
            "metric": TITLES[arm.metric],
            "prompt": means(prompt, args.count),
            "without": means(without, args.count),
            "with": means(slipped, args.count),
            "less": less(without, slipped, args.count),
        }
        if args.output:
            write_json(args.output, found)
    print(of_slips(found["slips"]))


if __name__ == "__main__":
    main()
