"""Fine-tuning a T5, or training a small one from scratch, in a run folder."""

import json
import logging
import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from promptlift.files import sha256_of_file, write_json
from promptlift.improving.manifest import ModelCard
from promptlift.pairs.load import write_pairs
from promptlift.records import Pair
from promptlift.runs import Run
from promptlift.training.arguments import take_one_gpu, trainer_arguments
from promptlift.training.checkpoints import (
    best_checkpoint,
    complete_checkpoints,
    evaluated_losses,
    history_of,
    load_weights,
    step_of,
)
from promptlift.training.config import POCKET_MODES, TrainingConfig
from promptlift.training.data import Sides, sides_of
from promptlift.training.distributed import Processes
from promptlift.training.evaluation import EpochEvaluation, Evaluator, Stopped
from promptlift.training.examples import Examples, bucket, collate
from promptlift.training.models import (
    Start,
    base_card,
    copy_tokenizer,
    has_accelerator,
    learn_tokenizer,
    merged,
    start_model,
    use_gradient_checkpointing,
)
from promptlift.training.preflight import (
    LONG_RUN,
    Trial,
    check_fits,
    memory_faults_said,
    run_trial,
    updates_of,
    updates_of_epoch,
)

STAGE = "training"
_TRIAL_SCHEMA = 1
_log = logging.getLogger(__name__)


def train(
    pairs: Iterable[Pair],
    output: Path,
    config: TrainingConfig,
    *,
    validation: Sequence[Pair] | None = None,
    inputs: dict[str, str] | None = None,
    evaluator: Evaluator | None = None,
    trial: bool | None = None,
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
        trial: whether to begin with a trial; None for long runs, and those on a GPU where the trial
            decides on gradient checkpointing.
        report: takes lines of progress.

    Returns:
        The model folder, or None when a signal stopped the run: call again to go on.

    Raises:
        InputError: there are too few pairs.
        ConfigError: the run folder was begun with other settings or pairs, or memory is too small.
        MissingExtraError: the extra `train` is not installed.
        PromptliftError: another process works in the run folder.
    """
    job = _Job(pairs, output, config, validation, evaluator, report)
    run = Run.open(output)
    settings = _settings(config, run.stage(STAGE).get("config"))
    # Scoring is the main process's, and so is knowing what it rests on.
    inputs = job.processes.from_main({**(inputs or {}), **job.sides.hashes()})
    run.check(STAGE, settings, inputs)
    if run.stage(STAGE).get("state") == "done":
        job.report(f"{output} is complete already")
        return job.model_folder
    job.processes.wait()  # before the main process writes what the others have just read
    with run.alone("trained") if job.processes.main else nullcontext():
        if job.processes.main:
            run.begin(STAGE, settings, inputs)
        started = time.monotonic()
        results = job.run(trial)
        if job.processes.main:
            if results is None:
                run.interrupt(STAGE)
            else:
                seconds = round(time.monotonic() - started)
                run.finish(STAGE, {**results, "seconds_of_last_part": seconds})
    job.processes.wait()
    return None if results is None else job.model_folder


def try_out(
    pairs: Iterable[Pair],
    config: TrainingConfig,
    folder: Path,
    *,
    validation: Sequence[Pair] | None = None,
    report: Callable[[str], None] = _log.info,
) -> Trial:
    """The trial of a run alone; a model from scratch keeps its tokenizer in `folder`."""
    job = _Job(pairs, folder, config, validation, None, report)
    found = job.trial()
    for line in found.lines():
        job.report(line)
    return found


class _Job:
    """A run on its way: what its parts share."""

    def __init__(
        self, pairs: Iterable[Pair], output: Path, config: TrainingConfig,
        validation: Sequence[Pair] | None, evaluator: Evaluator | None,
        report: Callable[[str], None],
    ) -> None:  # fmt: skip
        self.output, self.config, self.evaluator = output, config, evaluator
        self.model_folder, self.tokenizer_folder = output / "model", output / "tokenizer"
        self.base = base_card(config.model)
        self.sides: Sides = sides_of(pairs, validation, config, report)
        self.modes = {**POCKET_MODES, **self.base.modes}
        if config.rewrite_prefix is not None:
            self.modes["rewrite"] = config.rewrite_prefix
        # Also joins the other processes, and takes this one's GPU.
        self.arguments = trainer_arguments(config, output)
        self.processes = Processes(self.arguments.process_index, self.arguments.world_size)
        self.report = report if self.processes.main else _silent
        if (gpus := take_one_gpu(self.arguments)) > 1:
            self.report(
                f"one of {gpus} GPUs is used; for all of them: "
                f"torchrun --nproc-per-node {gpus} -m promptlift train ..."
            )

    def run(self, trial: bool | None) -> dict[str, Any] | None:
        """The figures of the run; None when a signal stopped it."""
        from transformers import set_seed

        checkpointing = self._tried(trial)
        set_seed(self.config.seed)
        start = self.start()
        if self.processes.main:
            copy_tokenizer(self.config, self.tokenizer_folder)
        validation, training = self.sides.split(self.config)
        if self.processes.main:
            write_pairs(self.output / "validation.jsonl", validation)
            learned = self.output / "training.jsonl"
            if not learned.exists():  # the same pairs whenever the run goes on
                write_pairs(learned, training)
        if checkpointing:
            use_gradient_checkpointing(start.t5)
        with memory_faults_said(self.config, checkpointing):
            trainer, follow = self._trainer(start, validation, training)
            with _signals(follow.handle_signal):
                try:
                    self._learn(trainer)
                except Stopped:
                    return None
        if follow.stop_asked and trainer.state.global_step < trainer.state.max_steps:
            return None
        return self._finish(trainer, start)

    def start(self) -> Start:
        """The model before its first step."""
        if self.processes.main:
            learn_tokenizer(self.sides.learned, self.config, self.tokenizer_folder)
        self.processes.wait()
        return start_model(self.config, self.tokenizer_folder)

    def trial(self) -> Trial:
        """Steps of the run on a model that is thrown away, in the main process."""
        found = None
        if self.processes.main:
            validation, training = self.sides.split(self.config)
            learn_tokenizer(self.sides.learned, self.config, self.tokenizer_folder)
            found = run_trial(
                lambda: start_model(self.config, self.tokenizer_folder),
                lambda start: (self._examples(training, start), self._examples(validation, start)),
                self.config,
                processes=self.processes.count,
            )
        shared: Trial = self.processes.from_main(found)
        return shared

    def _tried(self, trial: bool | None) -> bool:
        """Whether to use gradient checkpointing, after a trial where one is due."""
        path = self.output / "trial.json"
        if trial is None:
            updates = updates_of(len(self.sides.learned), self.config, self.processes.count)
            # On a GPU a trial takes little, and tells whether to use gradient checkpointing.
            undecided = self.config.gradient_checkpointing == "auto" and has_accelerator()
            trial = undecided or updates >= LONG_RUN
        if trial and not complete_checkpoints(self.output):
            found = self.trial()
            for line in found.lines():
                self.report(line)
            check_fits(found, self.config)
            if self.processes.main:
                write_json(path, {"schema_version": _TRIAL_SCHEMA, **found.to_dict()})
            self.processes.wait()
        if self.config.gradient_checkpointing != "auto":
            return self.config.gradient_checkpointing == "on"
        if not path.exists():
            return False
        return bool(json.loads(path.read_text(encoding="utf-8"))["gradient_checkpointing"])

    def _examples(self, pairs: list[Pair], start: Start) -> Examples:
        return Examples.of(pairs, start.encode, self.modes, self.config)

    def _trainer(self, start: Start, validation: list[Pair], training: list[Pair]) -> Any:
        from transformers.trainer_callback import PrinterCallback, ProgressCallback

        from promptlift.training.trainer import Follow, PromptTrainer

        config = self.config
        follow = Follow(self.output, config, self.report, self.processes, self.complete)
        examples = self._examples(training, start)
        evaluation = None
        if config.evaluation_decoding != "none":
            evaluation = EpochEvaluation(
                self.output, validation, config,
                start=start, card=self._card(), evaluator=self.evaluator,
                processes=self.processes, stop_asked=lambda: follow.stop_asked,
                report=self.report,
            )  # fmt: skip
        trainer = PromptTrainer(
            config=config,
            sample=examples.sample(config.training_sample, config.seed),
            evaluation=evaluation,
            model=start.model,
            args=self.arguments,
            data_collator=collate(start.tokens["pad"], bucket if config.compile else int),
            train_dataset=examples,
            eval_dataset=self._examples(validation, start),
            callbacks=[follow],
        )
        follow.trainer = trainer
        # Progress is reported through `report`.
        trainer.remove_callback(PrinterCallback)
        trainer.remove_callback(ProgressCallback)
        return trainer, follow

    def _learn(self, trainer: Any) -> None:
        """All steps that are left, and the evaluation that a stop may have cut off."""
        checkpoints = complete_checkpoints(self.output)
        if not checkpoints:
            trainer.train()
            return
        last = checkpoints[-1]
        self.report(f"going on from {last.name}")
        step, history = history_of(last)
        trainer.go_on_from(last, step)
        training = len(trainer.train_dataset)
        an_epoch = updates_of_epoch(training, self.config, self.processes.count)
        unmeasured = step not in evaluated_losses(history)
        if step < updates_of(training, self.config, self.processes.count):
            self.arguments.eval_on_start = unmeasured and step % an_epoch == 0
            trainer.train(resume_from_checkpoint=str(last))
            return
        from transformers import TrainerState

        trainer.state = TrainerState.load_from_json(str(last / "trainer_state.json"))
        load_weights(trainer.model, last)
        if unmeasured:
            trainer.evaluate()

    def _finish(self, trainer: Any, start: Start) -> dict[str, Any]:
        """Write the model: that of the last step, or of the epoch with the lowest loss."""
        from promptlift.training.trainer import write_log

        history = trainer.state.log_history
        losses = evaluated_losses(history)
        results = _results(history, self.sides.learned, start.t5)
        best = best_checkpoint(self.output, losses) if self.config.best else None
        if best is not None:
            step = step_of(best)
            load_weights(trainer.model, best)
            results |= {"best_step": step, "best_validation_loss": losses[step]}
            self.report(f"the model is that of step {step}, loss {losses[step]:.4f}")
        if not self.processes.main:
            return results
        write_log(self.output / "log.csv", history)
        merged(start).save_pretrained(str(self.model_folder))
        self.complete(self.model_folder, {**results, "config": asdict(self.config)})
        return results

    def _card(self, training: dict[str, Any] | None = None) -> ModelCard:
        return ModelCard(
            name=self.config.name or self.base.name,
            modes={mode: self.modes[mode] for mode in sorted({p.mode for p in self.sides.learned})},
            decoding=self.base.decoding,
            licence=self.config.licence,
            training=training or {},
        )

    def complete(self, folder: Path, training: dict[str, Any]) -> None:
        """Beside saved weights put what improving needs."""
        for file in self.tokenizer_folder.iterdir():
            shutil.copyfile(file, folder / file.name)
        self._card(training).write(folder)


def _settings(config: TrainingConfig, earlier: dict[str, Any] | None) -> dict[str, Any]:
    """The settings to compare: a run of an older version goes on while new ones have defaults."""
    given = asdict(config)
    if earlier is None:
        return given
    defaults = {item.name: item.default for item in fields(TrainingConfig)}
    return {
        name: value for name, value in given.items() if name in earlier or value != defaults[name]
    }


@contextmanager
def _signals(handler: Any) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may set handlers
        return
    earlier = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, former in earlier.items():
            signal.signal(number, former)


def _results(history: list[dict[str, Any]], pairs: list[Pair], model: Any) -> dict[str, Any]:
    validation = [row["eval_loss"] for row in history if "eval_loss" in row]
    losses = [float(row["loss"]) for row in history if "loss" in row]
    return {
        "pairs": {mode: sum(pair.mode == mode for pair in pairs) for mode in POCKET_MODES},
        "parameters": sum(item.numel() for item in model.parameters()),
        "steps": max((row["step"] for row in history), default=0),
        "validation_loss": validation[-1] if validation else None,
        "training_loss": losses[-1] if losses else None,
    }


def hash_inputs(paths: Iterable[Path]) -> dict[str, str]:
    """SHA-256 of each file, by file name, with as many folders as tell files of a name apart."""
    files = [path.absolute() for path in dict.fromkeys(paths)]

    def name(path: Path) -> str:
        for count in range(1, len(path.parts)):
            tail = path.parts[-count:]
            if sum(other.parts[-count:] == tail for other in files) == 1:
                return "/".join(tail)
        return path.as_posix()

    return {name(path): sha256_of_file(path) for path in files}


def _silent(line: str) -> None:
    """Only the main process reports."""
