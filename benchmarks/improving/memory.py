"""Memory and pace of `promptlift improve` over one long file of prompts.

    PROMPTLIFT_DATA=FOLDER python -m benchmarks.improving.memory [--prompts 200000]
        [--model MODEL] [--output results.json] [-- OPTIONS OF promptlift improve]

The prompts are the beginnings, of 4 to 8 words, of the prompts in `prompts.parquet`, each another.
The command runs as it is, with one thread. Every few seconds its resident memory is read from
/proc, and the rows of its journal are counted; so this runs on Linux alone.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from promptlift.improving.journal import journal_of

_LENGTHS = range(4, 9)  # words
_EVERY_S = 1.0


@dataclass(frozen=True)
class Sample:
    """What was seen at one time.

    Attributes:
        seconds: since the command began.
        rows: in the journal.
        mb: resident memory, in MiB.
    """

    seconds: float
    rows: int
    mb: float


def beginnings(prompts: list[str], count: int, seed: int = 0) -> list[str]:
    """So many different prompts that begin as those given, in random order.

    Raises:
        ValueError: there are not so many.
    """
    words = [prompt.split() for prompt in prompts]
    found = sorted({" ".join(own[:n]) for n in _LENGTHS for own in words if len(own) >= n})
    return random.Random(seed).sample(found, count)


class Rows:
    """Counts the lines of a file that grows, without its header."""

    def __init__(self, path: Path) -> None:
        self._path, self._place, self._count = path, 0, -1

    def __call__(self) -> int:
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._place)
                while block := file.read(1 << 20):
                    self._count += block.count(b"\n")
                    self._place += len(block)
        return max(0, self._count)


def resident_mb(process: int) -> float | None:
    """Resident memory of a process in MiB; None once it has ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text("utf-8")
    except OSError:
        return None
    found = [line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")]
    return int(found[0]) / 1024 if found else None


def watch(process: subprocess.Popen[bytes], journal: Path) -> list[Sample]:
    """Samples of a command until it ends."""
    began, rows, samples = time.monotonic(), Rows(journal), list[Sample]()
    while process.poll() is None:
        if (mb := resident_mb(process.pid)) is not None:
            samples.append(Sample(time.monotonic() - began, rows(), mb))
        time.sleep(_EVERY_S)
    return samples


def summary(samples: list[Sample], total: int) -> dict[str, Any]:
    """Memory along the way, and the rates of the first and of the last tenth of the rows.

    The pace of a part is that between the first samples that reach its two ends.
    """

    def at(share: float) -> Sample:
        # The last rows may never be seen in the journal, which is removed at the end.
        seen = max(sample.rows for sample in samples)
        return next(one for one in samples if one.rows >= min(max(1, share * total), seen))

    def rate(first: Sample, last: Sample) -> float | None:
        if first is last:
            return None  # a job too short to tell
        return round((last.rows - first.rows) / (last.seconds - first.seconds), 1)

    shares = (0.0, 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
    return {
        "rows": total,
        "minutes": round(samples[-1].seconds / 60, 1),
        "memory_mb": {f"{share:.0%}": round(at(share).mb, 1) for share in shares},
        "most_mb": round(max(sample.mb for sample in samples), 1),
        "rows_a_second": {
            "first tenth": rate(at(0), at(0.1)),
            "last tenth": rate(at(0.9), at(1)),
            "all": rate(at(0), at(1)),
        },
        "samples": [
            [round(one.seconds), one.rows, round(one.mb, 1)]
            for one in samples[:: max(1, len(samples) // 100)]
        ],
    }


def measure(prompts: list[str], options: list[str]) -> dict[str, Any]:
    """Improve prompts with the command, in a folder of its own."""
    with tempfile.TemporaryDirectory() as name:
        source, output = Path(name) / "prompts.jsonl", Path(name) / "improved.jsonl"
        lines = (json.dumps({"prompt": prompt}) + "\n" for prompt in prompts)
        source.write_text("".join(lines), "utf-8")
        line = [
            sys.executable, "-m", "promptlift", "improve", "--input", str(source),
            "--output", str(output), "--seed", "0", "--threads", "1", *options,
        ]  # fmt: skip
        with subprocess.Popen(line) as process:
            samples = watch(process, journal_of(output))
        if process.returncode:
            raise SystemExit(process.returncode)
        with output.open("rb") as file:
            written = sum(1 for _ in file)
        assert written == len(prompts), f"{written} rows for {len(prompts)} prompts"
    return {"options": options, **summary(samples, len(prompts))}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--prompts", type=int, default=200_000)
    parser.add_argument("--data", type=Path, default=os.environ.get("PROMPTLIFT_DATA"))
    parser.add_argument("--model")
    parser.add_argument("--output", type=Path)
    parser.add_argument("options", nargs="*", help="of promptlift improve, after --")
    given = parser.parse_args()
    if given.data is None:
        parser.error("give --data FOLDER, or set PROMPTLIFT_DATA")

    import pyarrow.parquet

    table = pyarrow.parquet.read_table(given.data / "prompts.parquet", columns=["prompt"])
    prompts = beginnings(table.column("prompt").to_pylist(), given.prompts)
    del table
    model = [] if given.model is None else ["--model", given.model]
    found = measure(prompts, [*model, *given.options])
    text = json.dumps(found, indent=2)
    print(text)
    if given.output:
        given.output.write_text(text + "\n", "utf-8")


if __name__ == "__main__":
    main()
