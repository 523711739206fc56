"""Does Ray's own checkpointing by id lose or double rows when the driver is killed?

    python -m benchmarks.clusters.checkpoints [--kills 5] [--rows 2000] [--model FOLDER]

A pipeline of `ImproveBatch` and `write_parquet` with `ray.data`'s `CheckpointConfig` is killed
with SIGKILL when some rows are written, and started again, as often as asked; then it ends in
peace. Prints how many rows there are of each id, and whether files that are no Parquet were left.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

PIPELINE = """
import sys, ray
from ray.data.checkpoint import CheckpointConfig
from promptlift.ray import ImproveBatch
source, output, checkpoints, model = sys.argv[1:]
ray.init("local", include_dashboard=False, log_to_driver=False)
context = ray.data.DataContext.get_current()
context.checkpoint_config = CheckpointConfig(
    id_column="key", checkpoint_path=checkpoints, delete_checkpoint_on_success=False)
context.checkpoint_config.checkpoint_actor_memory_bytes = 2**26
context.enable_progress_bars = False
how = dict(seed=7, max_new_tokens=8, id_column="key", model=model or None)
ray.data.read_parquet(source).repartition(30).map_batches(
    ImproveBatch, fn_constructor_kwargs=how, batch_size=50, batch_format="pyarrow",
    num_cpus=0.5,  # room for tasks that read and write
    compute=ray.data.ActorPoolStrategy(size=1),
).write_parquet(output)
"""


def readable(folder: Path) -> tuple[Counter[str], int]:
    """Rows by id, and how many files are no whole Parquet files."""
    ids, broken = Counter[str](), 0
    for path in folder.rglob("*.parquet"):
        try:
            ids.update(parquet.read_table(path, columns=["key"])["key"].to_pylist())
        except (pa.ArrowException, OSError):
            broken += 1
    return ids, broken


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--model", default="")
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    source, output = folder / "in.parquet", folder / "out"
    keys = [f"k{i}" for i in range(args.rows)]
    table = pa.table({"prompt": [f"a red fox number {i}" for i in range(args.rows)], "key": keys})
    parquet.write_table(table, source, row_group_size=50)
    line = [
        sys.executable, "-c", PIPELINE, str(source), str(output), str(folder / "ids"), args.model
    ]  # fmt: skip
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    for number in range(args.kills):
        before = readable(output)[0].total()
        with subprocess.Popen(line, start_new_session=True, **quiet) as driver:  # type: ignore[call-overload]
            until = time.monotonic() + 240
            while driver.poll() is None and time.monotonic() < until:
                if readable(output)[0].total() > before + args.rows // (args.kills + 2):
                    break
                time.sleep(0.2)
            os.killpg(driver.pid, signal.SIGKILL)
        ids, broken = readable(output)
        print(f"killed {number + 1}: {ids.total()} rows, {broken} broken files", flush=True)
    status = subprocess.run(line, **quiet, check=False).returncode  # type: ignore[call-overload]
    ids, broken = readable(output)
    double = sum(count > 1 for count in ids.values())
    print(
        f"ended with {status}: {len(ids)} of {args.rows} ids, {double} of them double, "
        f"{broken} broken files"
    )


if __name__ == "__main__":
    main()
