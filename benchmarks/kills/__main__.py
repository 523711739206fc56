"""Commands killed at random moments and started again, compared with runs that nobody disturbed.

    python -m benchmarks.kills [--kills 100] [--seed 0] [--only COMMAND ...] [--folder FOLDER]
        [--output kills.json]

Each job is a tiny run of `improve`, `train`, `illustrate`, `score`, `pick`, `tune`, `judge` or
`experiment`. It gets SIGKILL, SIGTERM or SIGINT at a moment that is uniform over the processor
time of a whole run, is started again as a user would, and is killed again, up to three times. Then
it ends in peace, and must leave the files of an undisturbed run: the same names, so that nothing
piles up, and, where docs/determinism.md promises it, the same bytes. `judge` gets votes over HTTP
meanwhile: each vote that was answered has to be there once, with its answer.

A process is a fork of this one, which has loaded the libraries, so that the moments fall into the
work. Needs Linux, for the processor time of a process. Prints a table, and a line for each fault.
"""

import argparse
import gc
import json
import os
import pkgutil
import random
import sys
import tempfile
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import promptlift
from benchmarks.kills.jobs import cases, make_inputs, measure
from benchmarks.kills.processes import Tally
from benchmarks.kills.votes import WEIGHT, measure_votes


def load_libraries() -> None:
    """Import what the commands import, once for all forks."""
    for module in pkgutil.walk_packages(promptlift.__path__, "promptlift."):
        import_module(module.name)
    import diffusers
    import matplotlib.pyplot
    import onnxruntime
    import transformers

    for name in ("T5ForConditionalGeneration", "Trainer", "CLIPModel", "CLIPTextModel"):
        getattr(transformers, name)
    for name in ("StableDiffusionXLPipeline", "StableDiffusionPipeline"):
        getattr(diffusers, name)
    assert matplotlib.pyplot and onnxruntime
    gc.freeze()  # no fork copies what all share


def kills_of_each(kills: int, weights: dict[str, int]) -> dict[str, int]:
    """So many kills, divided by weight; every command gets one at least."""
    total = sum(weights.values())
    return {name: max(1, round(kills * weight / total)) for name, weight in weights.items()}


def table(found: Sequence[Tally]) -> str:
    """A row for each command."""
    head = ("command", "s", "jobs", "KILL", "TERM", "INT", "files", "rows", "faults")
    rows = [
        (
            one.command, f"{one.whole_s:.1f}", one.jobs,
            *(one.kills[f"SIG{name}"] for name in head[3:6]),
            one.compared, one.rows, len(one.faults),
        )
        for one in found
    ]  # fmt: skip
    return "\n".join("".join(f"{cell!s:>12}" for cell in row) for row in (head, *rows))


def main() -> None:
    weights = {**{name: case.weight for name, case in cases().items()}, "judge": WEIGHT}
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="+", choices=weights, default=list(weights))
    parser.add_argument("--folder", type=Path, help="where the jobs are; those with faults stay")
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    load_libraries()
    if given.folder:
        given.folder.mkdir(parents=True, exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix="kills-", dir=given.folder))
    make_inputs(home / "inputs")
    found = []
    for name, kills in kills_of_each(
        given.kills, {name: weights[name] for name in given.only}
    ).items():
        rng = random.Random(f"{given.seed} {name}")
        is_judge = name == "judge"
        found.append(
            measure_votes(home, kills, rng) if is_judge else measure(name, home, kills, rng)
        )
        print(table(found[-1:]), file=sys.stderr, flush=True)
        if given.output:  # after each: the whole takes long
            whole = {"seed": given.seed, "commands": [vars(one) for one in found]}
            given.output.write_text(json.dumps(whole, indent=2) + "\n")
    print(table(found))
    print(f"jobs with faults are in {home}" if any(one.faults for one in found) else "no fault")


if __name__ == "__main__":
    main()
