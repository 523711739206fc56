"""Memory of a long job, and a job that is killed again and again.

    python -m benchmarks.illustrate_kills --pictures 2000 --kills 10

Draws tiny pictures (16x16, one step, a tiny SDXL) in a process of its own and reads its memory
after 20 and after all pictures. Then does so once more, killed with `kill -9` at random moments
and started again, and compares: every file is to have the bytes it has in the run that was left
alone, nothing is to be drawn twice, and the index is to list each picture once.
"""

import argparse
import json
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from promptlift.files import sha256_of_file
from promptlift.tables import read_rows
from tests.illustrating.models import save_sdxl

WORKER = r"""
import sys
from pathlib import Path
import psutil
import torch
from promptlift.illustrating.illustrator import Illustrator
from promptlift.illustrating.job import IllustrationJob
from promptlift.runs import Run
torch.set_num_threads(1)
folder, improvements, model = map(Path, sys.argv[1:])
illustrator = Illustrator.load(model, num_inference_steps=1, width=16, height=16)
process = psutil.Process()
for item in IllustrationJob(Run.open(folder), improvements, illustrator):
    print(item.picture.file, process.memory_info().rss, flush=True)
print("end", process.memory_info().rss, flush=True)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pictures", type=int, default=2000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        improvements = root / "improvements.jsonl"
        rows = (
            {"source": f"a cat {number}", "prompt": f"a cat {number}, soft light"}
            for number in range(args.pictures // 2)
        )
        improvements.write_text("".join(json.dumps(row) + "\n" for row in rows))
        save_sdxl(root / "sdxl")
        expected = undisturbed(root, improvements)
        disturbed(root, improvements, expected, args.kills, random.Random(args.seed))


def start(folder: Path, improvements: Path) -> subprocess.Popen[str]:
    line = [sys.executable, "-W", "ignore", "-c", WORKER, folder, improvements]
    line.append(improvements.parent / "sdxl")
    return subprocess.Popen(list(map(str, line)), stdout=subprocess.PIPE, text=True)


def undisturbed(root: Path, improvements: Path) -> dict[str, str]:
    """Draw all in one go; print memory; the hashes by file."""
    started = time.perf_counter()
    printed, _ = start(root / "whole", improvements).communicate()
    memory = [int(line.split()[1]) / 1e6 for line in printed.splitlines()]
    seconds = time.perf_counter() - started
    print(f"{len(memory) - 1} pictures in {seconds:.0f} s")
    for count in (20, 200, len(memory) - 1):
        print(f"memory after {count} pictures: {memory[count - 1]:.1f} MB")
    print(f"memory after the index: {memory[-1]:.1f} MB; the most: {max(memory):.1f} MB")
    return hashes(root / "whole")


def disturbed(
    root: Path, improvements: Path, expected: dict[str, str], kills: int, chance: random.Random
) -> None:
    """Kill the job at random moments, and count what is lost or doubled."""
    folder = root / "killed"
    drawn: list[str] = []
    for number in range(kills):
        process = start(folder, improvements)
        assert process.stdout is not None
        upto = chance.randrange(1, max(2, len(expected) // (kills + 1)))
        for _ in range(upto):
            drawn.append(process.stdout.readline().split()[0])
        time.sleep(chance.uniform(0, 0.3))
        process.send_signal(signal.SIGKILL)
        rest, _ = process.communicate()
        drawn += re.findall(r"^(\S+\.png) \d+$", rest, re.MULTILINE)
        left = len(list((folder / "pictures").glob(".*.png")))
        print(f"kill {number + 1}: {len(hashes(folder))} whole, {left} half-written")
    printed, _ = start(folder, improvements).communicate()
    drawn += [line.split()[0] for line in printed.splitlines()[:-1]]
    found = hashes(folder)
    rows = [row.value["file"] for row in read_rows(folder / "pictures" / "index.parquet")]  # type: ignore[union-attr, index]
    print(f"files {len(found)}, the same bytes as undisturbed: {found == expected}")
    print(f"drawn twice: {len(drawn) - len(set(drawn))}; index rows {len(rows)}, ", end="")
    print(f"different {len(set(rows))}; leftovers {len(list((folder / 'pictures').glob('.*')))}")
    if found != expected or len(drawn) != len(set(drawn)) or sorted(rows) != sorted(expected):
        raise SystemExit("something was lost or doubled")


def hashes(run: Path) -> dict[str, str]:
    pictures = (run / "pictures").glob("[0-9]*.png")
    return {path.name: sha256_of_file(path) for path in pictures}


if __name__ == "__main__":
    main()
