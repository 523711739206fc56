"""Prompts a second of this version against another one, by turns in one run.

    git worktree add /tmp/before COMMIT
    python -m benchmarks.improving.versions PROMPTS.txt --against /tmp/before/src

Each turn improves the same prompts with the bundled model in a process of its own, one by one and
in batches of 32. Printed are the medians over the turns of new time over old time, with the least
and the largest ratio of a turn.
"""

import argparse
import statistics
import subprocess
import sys
from pathlib import Path

_TIMED = """
import sys, time
sys.path.insert(0, sys.argv[1])
from promptlift import Improver
improver, prompts = Improver.load(threads=1), sys.argv[2:]
improver.improve(prompts[:4], seed=0)
for given in ([[prompt] for prompt in prompts[:16]], [prompts]):
    start = time.perf_counter()
    for some in given:
        improver.improve(some, seed=1, force=True)
    print(time.perf_counter() - start)
"""


def _times(source: Path, prompts: list[str]) -> list[float]:
    """Seconds for 16 prompts one by one, and for all of them in batches."""
    command = [sys.executable, "-I", "-c", _TIMED, str(source), *prompts]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [float(line) for line in done.stdout.split()]


def main() -> None:
    """Print a line for prompts one by one and one for batches."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("prompts", type=Path, help="text file with a prompt a line")
    parser.add_argument("--against", type=Path, required=True, help="folder src of the other one")
    parser.add_argument("--turns", type=int, default=9)
    arguments = parser.parse_args()
    here = Path(__file__).parents[2] / "src"
    prompts = arguments.prompts.read_text("utf-8").split("\n")[:128]
    ratios = []
    for _ in range(arguments.turns):
        new, old = (_times(source, prompts) for source in (here, arguments.against))
        ratios.append([one / other for one, other in zip(new, old, strict=True)])
    for name, found in zip(("one by one", "batches of 32"), zip(*ratios, strict=True), strict=True):
        middle = statistics.median(found)
        print(f"{name}: new time / old time {middle:.3f} ({min(found):.3f} to {max(found):.3f})")


if __name__ == "__main__":
    main()
