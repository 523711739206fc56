"""Fine-tuning a T5 or a Llama, or training a small T5 from scratch, in a run folder."""

import logging
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from promptlift.records import Pair
from promptlift.runs import Run
from promptlift.threads import torch_threads
from promptlift.training.config import TrainingConfig
from promptlift.training.evaluation import Evaluator
from promptlift.training.job import AfterEpoch, Job
from promptlift.training.preflight import Preflight

STAGE = "training"
_log = logging.getLogger(__name__)


def train(
    pairs: Iterable[Pair],
    output: Path,
    config: TrainingConfig,
    *,
    validation: Sequence[Pair] | None = None,
    inputs: dict[str, str] | None = None,
    evaluator: Evaluator | None = None,
    preflight: bool | None = None,
    threads: int | None = None,
    after_epoch: AfterEpoch | None = None,
    report: Callable[[str], None] = _log.info,
) -> Path | None:
    """Train a model, or go on with a run that was stopped.

    The result depends on pairs and settings only, not on where the run was stopped: weights,
    optimizer, schedule, random state and the order of batches are taken from the last
    checkpoint that was written whole.

    Args:
        pairs: what to learn. Pairs of detailed prompts alone also teach extending, unless the
            settings' `tasks` say otherwise.
        output: run folder; an existing one must have been begun with the same settings.
        config: see `TrainingConfig`.
        validation: what to measure on; set apart from `pairs` where None.
        inputs: SHA-256 of each file the pairs came from, by name, and what scoring rests on; the
            main process's count.
        evaluator: scores what the model writes for validation pairs after each epoch.
        preflight: whether to begin with a preflight; None for long runs, and for those on a GPU
            where it decides on gradient checkpointing.
        threads: of the processor, as `torch_threads` takes them; several processes share it
            themselves.
        after_epoch: is given the losses on validation pairs of all epochs so far, after each of
            them; where it returns True, the run stops as on a signal, unless it is at its end. Of a
            single process.
        report: takes lines of progress.

    Returns:
        The model folder, or None when the run was stopped: call again to go on.

    Raises:
        InputError: there are too few pairs.
        ConfigError: the run folder was begun with other settings or pairs, or memory is too small.
        MissingExtraError: the extra `train` is not installed.
        PromptliftError: another process works in the run folder.
    """
    job = Job(pairs, output, config, validation, evaluator, report, after_epoch)
    run = Run.open(output)
    settings = _settings(config, run.stage(STAGE).get("config"))
    # Scoring is the main process's, and so is knowing what it rests on.
    inputs = job.processes.from_main({**(inputs or {}), **job.sides.hashes()})
    run.check(STAGE, settings, inputs)
    if run.stage(STAGE).get("state") == "done":
        job.report(f"{output} is complete already")
        return job.model_folder
    job.processes.wait()  # before the main process writes what the others have just read
    alone = job.processes.count == 1 or threads is not None
    with (
        run.alone("trained") if job.processes.main else nullcontext(),
        torch_threads(threads, run.threads, STAGE, job.report) if alone else nullcontext(),
    ):
        if job.processes.main:
            run.begin(STAGE, settings, inputs)
        started = time.monotonic()
        results = job.run(preflight)
        if job.processes.main:
            if results is None:
                run.interrupt(STAGE)
            else:
                seconds = round(time.monotonic() - started)
                run.finish(STAGE, {**results, "seconds_of_last_part": seconds})
    job.processes.wait()
    return None if results is None else job.model_folder


def measure_run(
    pairs: Iterable[Pair],
    config: TrainingConfig,
    *,
    validation: Sequence[Pair] | None = None,
    threads: int | None = None,
    report: Callable[[str], None] = _log.info,
) -> Preflight:
    """The preflight of a run alone; it leaves no files."""
    with tempfile.TemporaryDirectory() as folder, torch_threads(threads, {}, STAGE, report):
        return Job(pairs, Path(folder), config, validation, None, report).preflight()


def _settings(config: TrainingConfig, earlier: dict[str, Any] | None) -> dict[str, Any]:
    """The settings to compare: a run of an older version goes on while new ones have defaults."""
    given = asdict(config)
    if earlier is None:
        return given
    defaults = {item.name: item.default for item in fields(TrainingConfig)}
    return {
        name: value for name, value in given.items() if name in earlier or value != defaults[name]
    }
