"""What reading, rule over phrases, checks and receipts cost, of the time of an improvement.

    python -m benchmarks.cost_of_checks --prompts parti_prompts.txt

The same prompts with everything on (the default) and with the rule, the lock, the safe words and
the guards off, alternating, nine rounds, one at a time and in batches of 32. The bundled model was
taught no painters, so both draw nearly the same tokens; time is a token drawn, so that the rest
does not matter. What cannot be switched off (syntax, receipts) is measured within each run by
the clock around the decoding loop.
"""

import argparse
import random
import statistics
import time
from typing import Any

from benchmarks.expand import prompts_of
from promptlift import Improver
from promptlift.improving import decoding, session

OFF: dict[str, Any] = {"painters": "free", "safe": False, "lock": False, "guards": False}
ROUNDS, PROMPTS = 9, 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--prompts", required=True)
    args = parser.parse_args()
    prompts = random.Random(0).sample(prompts_of(args.prompts), PROMPTS)
    improver = Improver.load()
    spent = {"decoding": 0.0, "tokens": 0}

    def timed(*given: Any, **options: Any) -> Any:
        started = time.perf_counter()
        drawn = list(decoding.generate(*given, **options))
        spent["decoding"] += time.perf_counter() - started
        spent["tokens"] += sum(len(item.tokens) for item in drawn)
        return drawn

    setattr(session, "generate", timed)  # noqa: B010 - its clock
    for batch_size in (1, 32):
        ratios, outside, all_of_it = [], [], []
        for number in range(ROUNDS):
            cost = {}
            for name, options in (
                (("on", {}), ("off", OFF)) if number % 2 else (("off", OFF), ("on", {}))
            ):
                spent.update(decoding=0.0, tokens=0)
                started = time.perf_counter()
                improver.improve(prompts, seed=number, batch_size=batch_size, **options)
                seconds = time.perf_counter() - started
                cost[name] = (seconds / spent["tokens"], spent["decoding"] / spent["tokens"])
            ratios.append(cost["on"][0] / cost["off"][0])
            outside.append(1 - cost["on"][1] / cost["on"][0])
            all_of_it.append(cost["on"][0] / cost["off"][1])
        print(
            f"batch of {batch_size}: on/off {statistics.median(ratios):.3f} "
            f"({min(ratios):.3f} to {max(ratios):.3f}); outside the decoding loop "
            f"{statistics.median(outside):.1%}; everything over the bare decoding loop "
            f"{statistics.median(all_of_it):.3f} ({min(all_of_it):.3f} to {max(all_of_it):.3f})"
        )


if __name__ == "__main__":
    main()
