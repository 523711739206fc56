"""Time that parsing a prompt takes, against another version of promptlift.

    git worktree add /tmp/before COMMIT
    python -m benchmarks.prompts.parsing PROMPTS.txt --against /tmp/before/src

Both versions parse all prompts by turns, each in a process of its own; printed are the least times
of a prompt in microseconds, for all prompts and for those with marks, and their ratio.
"""

import argparse
import subprocess
import sys
from pathlib import Path

ROUNDS = 5
_TIMED = """
import sys, time
sys.path.insert(0, sys.argv[1])
from promptlift.prompts.syntax import parse
try:
    from promptlift.prompts.parts import parts_of
except ImportError:
    from promptlift.prompts.syntax import parts_of
prompts = [line for line in open(sys.argv[2], encoding="utf-8") if line.strip()]
for chosen in (prompts, [p for p in prompts if any(c in p for c in "()[]{}<>|")]):
    start = time.perf_counter()
    for prompt in chosen:
        parts_of(parse(prompt))
    print(1e6 * (time.perf_counter() - start) / max(1, len(chosen)), len(chosen))
"""


def _times(source: Path, prompts: Path) -> list[tuple[float, int]]:
    """Microseconds a prompt and number of prompts, of all and of those with marks."""
    command = [sys.executable, "-I", "-c", _TIMED, str(source), str(prompts)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return [(float(time), int(count)) for time, count in map(str.split, printed.splitlines())]


def main() -> None:
    """Print a line for all prompts and one for those with marks."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("prompts", type=Path, help="text file with a prompt a line")
    parser.add_argument("--against", type=Path, required=True, help="folder src of the other one")
    arguments = parser.parse_args()
    here = Path(__file__).parents[2] / "src"
    rounds = [[_times(src, arguments.prompts) for src in (here, arguments.against)]
              for _ in range(ROUNDS)]  # fmt: skip
    for kind, name in enumerate(("all", "with marks")):
        new, old = (min(turn[side][kind][0] for turn in rounds) for side in (0, 1))
        count = rounds[0][0][kind][1]
        print(f"{name}: {count} prompts, {new:.1f} us, before {old:.1f} us, ratio {new / old:.2f}")


if __name__ == "__main__":
    main()
