"""Commands that write files: killed, started again, and compared with an undisturbed run."""

import hashlib
import json
import random
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.kills.processes import SIGNALS, Process, Tally, kill
from promptlift.tables import Row, read_rows

_MOST = 3  # kills of a job
_SMALL = {
    "d_model": 32, "d_ff": 64, "num_layers": 1, "num_decoder_layers": 1, "num_heads": 2,
    "vocab_size": 300, "batch_size": 16, "save_steps": 5, "logging_steps": 5,
    "evaluation_pairs": 4, "epochs": 2,
}  # fmt: skip
_POCKET = Path(__file__).parents[2] / "tests" / "data" / "pocket"  # a model that writes
_EXPERIMENT = """
name = "mini"
threads = 1
[pairs]
world = "pocket"
count = 40
test = 10
[train]
preset = "pocket-world"
{small}
[improve]
sample = 3
[illustrate]
model = "pocket"
num_inference_steps = 2
[texts]
limit = 10
"""


@dataclass(frozen=True)
class Case:
    """A command that is killed.

    Attributes:
        line: its words; it runs in a folder of its own, with `inputs` in `..`.
        again: words that go on with a job that was stopped.
        weight: share of the kills.
        made: a command whose run the folder holds when this one begins.
        result: a file that is all that a job leaves; the command refuses to write it again.
    """

    line: tuple[str, ...]
    weight: int
    again: tuple[str, ...] = ()
    made: str | None = None
    result: str | None = None


def cases() -> dict[str, Case]:
    """What is killed, by name; all but `judge`."""
    tiny = [f"--{name.replace('_', '-')}={value}" for name, value in _SMALL.items()]
    draw = ("--steps", "2", "--threads", "1", "--offline")
    return {
        "improve": Case(
            ("improve", "--input", "../inputs/many.txt", "-n", "2", "--seed", "3", "--threads", "1",
             "-o", "improved.jsonl"),
            weight=26,
            again=("--resume",),
            result="improved.jsonl",
        ),
        "train": Case(
            ("train", "--preset", "pocket-world", "--pairs", "../inputs/pairs.jsonl",
             "--validation", "../inputs/test.jsonl", "-o", "run", "--threads", "1", *tiny),
            weight=16,
        ),
        "illustrate": Case(
            ("illustrate", "--prompts", "../inputs/prompts.txt", "-o", "run", "--seeds", "2",
             *draw),
            weight=18,
        ),
        "score": Case(
            ("score", "run", "--threads", "1", "--offline"), weight=12, made="illustrate"
        ),
        "pick": Case(
            ("pick", "--input", "../inputs/few.txt", "-o", "run", "-n", "2", "--seeds", "2",
             "--pairs", "better.jsonl", "--always", *draw),
            weight=12,
        ),
        "tune": Case(
            ("tune", "--model", str(_POCKET), "--input", "../inputs/many.txt", "-o", "run",
             "--reward", "sharpness", "--rounds", "2", "--prompts", "10", "--held-out", "10",
             "--pairs", "../inputs/pairs.jsonl", "--old-share", "0.5", "--seeds", "1", *draw),
            weight=5,
        ),
        "experiment": Case(("experiment", "../inputs/mini.toml", "-o", "run"), weight=8),
    }  # fmt: skip


def finish(case: Case, folder: Path) -> float:
    """Run a command without disturbance; its processor time."""
    process, seconds = Process(case.line, folder), 0.0

    def look() -> bool:
        nonlocal seconds
        seconds = max(seconds, process.seconds())
        return False

    if process.wait(look):
        raise RuntimeError(process.new_errors())
    return seconds


def disturb(case: Case, folder: Path, kills: int, rng: random.Random, tally: Tally) -> None:
    """A job that is killed so many times and then ends in peace."""
    for turn in range(kills + 1):
        if case.result and [path.name for path in folder.iterdir()] == [case.result]:
            return  # the last kill came when all was done
        moment = rng.uniform(0, tally.whole_s) if turn < kills else float("inf")
        process = Process(case.line + (case.again if turn else ()), folder)
        status = process.wait(partial(_is_due, process, moment))
        label = f"{folder.name} start {turn + 1} at {moment:.2f} s"
        if status is None:
            kill(process, rng.choice(SIGNALS), tally, label)
            continue
        if status:
            tally.faults.append(f"{label}: ended with {status}: {process.new_errors()[-600:]}")
        return  # a start that goes on may need less than a whole run


def _is_due(process: Process, moment: float) -> bool:
    return process.seconds() >= moment


def content(path: Path, name: str) -> Any:
    """What has to be the same of a file; None where its name is enough."""
    if name.startswith("run/report/") or path.name in _NOT_PROMISED:
        return None
    if path.name == "manifest.json" and "stages" in (found := json.loads(path.read_text())):
        stages = found["stages"]
        return {stage: [one["state"], one["config"]] for stage, one in stages.items()}
    if path.name == "index.parquet":
        found = [row.value for row in read_rows(path) if isinstance(row, Row)]
        return [{**row, "seconds": None} for row in found if isinstance(row, Mapping)]
    if name in ("run/scores/pictures.json", "run/scores/texts.json"):
        found = json.loads(path.read_text())
        found.get("pictures", {}).pop("sha256", None)  # of the index, which has seconds
        return found
    return hashlib.sha256(path.read_bytes()).hexdigest()


# Seconds and dates; and states of PyTorch, which hold paths.
_NOT_PROMISED = ("times.jsonl", "optimizer.pt", "scheduler.pt", "rng_state.pth",
                 "training_args.bin", "trainer_state.json")  # fmt: skip


def contents(folder: Path) -> dict[str, Any]:
    """Every file of a folder, with what has to be the same."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    names = [path.relative_to(folder).as_posix() for path in files]
    return {name: content(path, name) for path, name in zip(files, names, strict=True)}


def rows_in(folder: Path) -> int:
    """Rows of results, and pictures."""
    tables = [path for path in folder.rglob("*.jsonl") if path.name != "times.jsonl"]
    lines = sum(len(path.read_bytes().splitlines()) for path in tables)
    return lines + len(list(folder.glob("run/pictures/*.png")))


def compare(folder: Path, whole: dict[str, Any], rows: int, tally: Tally) -> None:
    """Note what a job left otherwise than an undisturbed run."""
    found = contents(folder)
    tally.jobs += 1
    tally.compared += len(found)
    tally.rows += rows_in(folder)
    for name in sorted(found.keys() | whole.keys()):
        if name not in found:
            tally.faults.append(f"{folder.name}: {name} is missing")
        elif name not in whole:
            tally.faults.append(f"{folder.name}: {name} was left behind")
        elif found[name] != whole[name]:
            tally.faults.append(f"{folder.name}: {name} differs")
    if (count := rows_in(folder)) != rows:
        tally.faults.append(f"{folder.name}: {count} rows, not {rows}")


def measure(name: str, home: Path, kills: int, rng: random.Random) -> Tally:
    """Kill a command so many times, in as many jobs as that takes."""
    case, tally = cases()[name], Tally(name)

    def fresh(label: str) -> Path:
        folder = home / f"{name}-{label}"
        folder.mkdir()
        if case.made:
            shutil.copytree(made / "run", folder / "run")
        return folder

    made = home / "made"
    if case.made and not made.exists():
        made.mkdir()
        run(cases()[case.made].line, made)
    folder = fresh("whole")
    tally.whole_s = finish(case, folder)
    whole, rows = contents(folder), rows_in(folder)
    while (left := kills - sum(tally.kills.values())) > 0:
        folder = fresh(f"{tally.jobs:03d}")
        with tally.told(folder):
            disturb(case, folder, min(left, rng.randint(1, _MOST)), rng, tally)
            compare(folder, whole, rows, tally)
    return tally


def make_inputs(folder: Path) -> None:
    """Pairs, prompts and the config of the experiment."""
    folder.mkdir(parents=True)
    for name, *options in (
        ("pairs.jsonl", "--count", "100"),
        ("test.jsonl", "--count", "10", "--test"),
    ):
        run(("world", "pairs", *options, "-o", name), folder)
    rows = (folder / "pairs.jsonl").read_text("utf-8").splitlines()
    prompts = list(dict.fromkeys(json.loads(row)["source"] for row in rows))
    for name, some in (
        ("many.txt", prompts[:40]),
        ("prompts.txt", prompts[:4]),
        ("few.txt", prompts[:2]),
    ):
        (folder / name).write_text("\n".join(some) + "\n", "utf-8")
    small = "\n".join(f"{name} = {value}" for name, value in _SMALL.items())
    (folder / "mini.toml").write_text(_EXPERIMENT.format(small=small), "utf-8")


def run(line: tuple[str, ...], folder: Path) -> None:
    """Run a command to its end."""
    process = Process(line, folder)
    if process.wait():
        raise RuntimeError(process.new_errors())
