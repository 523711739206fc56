"""One process, two processes and two actors of a Ray cluster on the same prompts.

    python -m benchmarks.clusters.rates PROMPTS.parquet [--rows 60000] [--model FOLDER]
        [--max-new-tokens 8] [--part-rows 1000] [--folder FOLDER] [--output rates.json]

Each process and actor has one thread. The two processes are `improve --shard 1/2` and `2/2`, the
actors `improve --engine ray --actors 2`. Start-up is measured apart, by the same commands with two
rows: loading, and with Ray the cluster. The rate is that of all rows in the time above start-up.
Whether both gave the same is compared row by row. Few tokens make a job hard for whoever spreads
it: the less a row costs, the more its way counts.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from pyarrow import dataset, parquet

Command = list[str]


def commands(
    how: str, prompts: Path, folder: Path, more: Sequence[str], part: int
) -> list[Command]:
    """The commands that improve a file, which run at once."""
    base = [
        sys.executable, "-m", "promptlift", "improve", "--input", str(prompts), "--seed", "7",
        "--threads", "1", *more,
    ]  # fmt: skip
    folder.mkdir()
    if how == "two actors":
        ray = ["--engine", "ray", "--actors", "2", "--part-rows", str(part)]
        return [[*base, *ray, "--output", str(folder / "all")]]
    if how == "one process":
        return [[*base, "--output", str(folder / "1.jsonl")]]
    return [
        [*base, "--shard", f"{number}/2", "--output", str(folder / f"{number}.jsonl")]
        for number in (1, 2)
    ]


def measured(listed: Sequence[Command]) -> float:
    """Seconds until the last of several commands has ended."""
    begun = time.perf_counter()
    running = [subprocess.Popen(line, stderr=subprocess.DEVNULL) for line in listed]
    for process in running:
        if process.wait() not in (0, 1):  # 1: some rows have no prompt
            raise SystemExit(f"a command failed with {process.returncode}: {process.args!r}")
    return time.perf_counter() - begun


def same(whole: Path, folder: Path) -> bool:
    """Whether the rows of a cluster are those of one process, as JSON to the byte."""
    rows = dataset.dataset(folder).to_table().sort_by("index").to_pylist()
    with whole.open(encoding="utf-8") as file:
        one = [json.loads(line) for line in file]
    if len(rows) != len(one):
        return False
    for row, own in zip(rows, one, strict=True):
        own.pop("line", None)
        for name in ("dropped", "checks", "settings"):
            row[name] = json.loads(row[name]) if row[name] else None
        if json.dumps({name: row[name] for name in own}) != json.dumps(own):
            return False
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("prompts", type=Path)
    parser.add_argument("--rows", type=int, default=60_000)
    parser.add_argument("--model")
    parser.add_argument("--max-new-tokens", type=int, default=8)
    parser.add_argument("--part-rows", type=int, default=1000)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--output", type=Path)
    args = parser.parse_args()
    folder = args.folder or Path(tempfile.mkdtemp())
    more = ["--max-new-tokens", str(args.max_new_tokens)]
    more += ["--model", args.model] if args.model else []
    table = parquet.read_table(args.prompts).select(["prompt"])
    while table.num_rows < args.rows:
        import pyarrow as pa

        table = pa.concat_tables([table, table])
    for name, count in (("two", 2), ("all", args.rows)):
        parquet.write_table(table.slice(0, count), folder / f"{name}.parquet")
    found = {}
    for how in ("one process", "two processes", "two actors"):
        short = how.replace(" ", "-")
        few = commands(how, folder / "two.parquet", folder / f"{short}-2", more, args.part_rows)
        start = measured(few)
        every = commands(how, folder / "all.parquet", folder / short, more, args.part_rows)
        whole = measured(every)
        rate = args.rows / (whole - start)
        found[how] = {"start_s": start, "whole_s": whole, "rows_a_second": rate}
        print(
            f"{how}: start {start:.1f} s, whole {whole:.1f} s, {rate:.1f} rows a second", flush=True
        )
    ratio = found["two actors"]["rows_a_second"] / found["two processes"]["rows_a_second"]
    equal = same(folder / "one-process/1.jsonl", folder / "two-actors/all")
    print(f"two actors have {ratio:.3f} of the rate of two processes; the same rows: {equal}")
    if args.output:
        result = {"rows": args.rows, "rates": found, "ratio": ratio, "same": equal}
        args.output.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
