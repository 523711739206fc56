"""What reading, rule over phrases, checks and receipts cost, of the time of an improvement.

    python -m benchmarks.cost_of_checks --prompts parti_prompts.txt [--threads 1]

The same prompts with everything on (the default) and with the rule, the lock, the safe words and
the guards off, one at a time and in batches of 32. Each round has prompts that no round before it
had, and everything on comes first, so that it profits from no cache of the other. The bundled model
was taught no painters, so both draw nearly the same tokens; time is a token drawn, so that the rest
does not matter. What cannot be switched off (syntax, counts, receipts, and the model's own
tokenizer) is measured by the clock around the decoding loop: the last figure is everything over the
bare loop. Medians over rounds with 95% intervals, bootstrap; processor time of one thread says the
same on a machine that does other work, waiting threads would count as work in it.
"""

import argparse
import random
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.expand import prompts_of
from promptlift import Improver
from promptlift.improving import generation
from promptlift.improving.decoding import loop as decoding

OFF: dict[str, Any] = {"painters": "free", "safe": False, "lock": False, "guards": False}
CLOCKS: dict[str, Callable[[], float]] = {
    "wall": time.perf_counter,
    "processor": time.process_time,
}
ROUNDS, PROMPTS = 25, 64


def read_clocks() -> np.ndarray[Any, Any]:
    """Seconds of each clock."""
    return np.array([clock() for clock in CLOCKS.values()])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--prompts", required=True)
    parser.add_argument("--threads", type=int)
    args = parser.parse_args()
    prompts = prompts_of(args.prompts)
    random.Random(0).shuffle(prompts)
    improver = Improver.load(threads=args.threads)
    spent: dict[str, Any] = {"decoding": 0.0, "tokens": 0}

    def timed(*given: Any, **options: Any) -> Any:
        started = read_clocks()
        drawn = list(decoding.generate(*given, **options))
        spent["decoding"] += read_clocks() - started
        spent["tokens"] += sum(len(item.tokens) for item in drawn)
        return drawn

    setattr(generation, "generate", timed)  # noqa: B010 - its clock
    improver.improve(prompts[-8:], seed=0)
    for batch_size in (1, 32):
        rounds = []
        for number in range(ROUNDS):
            part = prompts[number * PROMPTS :][:PROMPTS]
            cost = []
            for options in ({}, OFF):
                spent.update(decoding=np.zeros(len(CLOCKS)), tokens=0)
                started = read_clocks()
                improver.improve(part, seed=number, batch_size=batch_size, **options)
                seconds = read_clocks() - started
                cost.append((seconds / spent["tokens"], spent["decoding"] / spent["tokens"]))
            (on, loop), (off, bare) = cost
            rounds.append([on / off, loop / bare, on / bare])
        for place, clock in enumerate(CLOCKS):
            for name, values in zip(
                ("on/off", "loop on/off", "everything over the bare loop"),
                np.array(rounds)[:, :, place].T,
                strict=True,
            ):
                print(f"batch of {batch_size}, {clock} time, {name}: {_interval(values)}")


def _interval(values: np.ndarray[Any, Any]) -> str:
    draws = np.random.default_rng(0).integers(0, len(values), size=(5000, len(values)))
    low, high = np.quantile(np.median(values[draws], axis=1), [0.025, 0.975])
    return f"{np.median(values):.3f} ({low:.3f} to {high:.3f})"


if __name__ == "__main__":
    main()
