"""The log of a run, its checkpoints by the clock, and its stop on a signal."""

import csv
import io
import json
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

from transformers import (
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from promptlift.files import write_text
from promptlift.progress import Pulse
from promptlift.training.checkpoints import (
    STATE_FILE,
    checkpoint,
    complete_checkpoints,
    evaluated_losses,
    mark_complete,
    prune,
)
from promptlift.training.distributed import Processes
from promptlift.training.trainer import PromptTrainer

LOG_COLUMNS = (
    "step", "epoch", "loss", "eval_loss", "training_sample_loss", "meteor",
    "bertscore_precision", "bertscore_recall", "bertscore_f1", "learning_rate", "grad_norm",
)  # fmt: skip


class Follow(TrainerCallback):  # type: ignore[misc]
    """Keeps the log, reports progress, saves by the clock, and stops whole on a signal.

    A checkpoint at the end of an epoch is written before its evaluation, which may take long, and
    gets the figures when they are there.
    """

    def __init__(
        self,
        trainer: PromptTrainer,
        folder: Path,
        report: Callable[[str], None],
        processes: Processes,
        complete: Callable[[Path, dict[str, Any]], None],
        after_epoch: Callable[[Sequence[float]], bool] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.trainer, self.config = trainer, trainer.config
        self.pulse = Pulse(report, clock)
        self.folder, self.report, self.clock = folder, self.pulse.said, clock
        self.processes, self.complete, self.after_epoch = processes, complete, after_epoch
        self.stop_asked = False
        self._signals: set[int] = set()
        self._saved = self._started = clock()
        self._first_step = 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self._saved = self._started = self.clock()
        self._first_step = state.global_step

    def on_epoch_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **_: Any,
    ) -> None:
        # What accelerate wraps around the sampler passes epochs on, but not in every combination.
        self.trainer.sampler.set_epoch(state.global_step // self._updates_of_epoch)

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **_: Any,
    ) -> None:
        if self.config.save_steps is not None:
            due = state.global_step % self.config.save_steps == 0
        else:
            due = self.clock() - self._saved >= 60 * self.config.save_minutes
        self.stop_asked = self.processes.any(self.stop_asked)
        due = self.processes.from_main(due)
        ends = self._ends_epoch(state)
        if due or self.stop_asked or (ends and self._keeps_epochs):
            control.should_save = True
            self._saved = self.clock()
        if self.stop_asked:
            control.should_training_stop = True
        self.pulse.still(self._place(state))

    def on_substep_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self.pulse.still(self._place(state))

    def on_prediction_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self.pulse.still(f"step {state.global_step} of {state.max_steps}: measuring the loss")

    def _place(self, state: TrainerState) -> str:
        """How far the run is, and when it will end as far as this process can tell."""
        place, done = f"step {state.global_step} of {state.max_steps}", self._done(state)
        if not done:
            return place
        left = (state.max_steps - state.global_step) * (self.clock() - self._started) / done
        return f"{place}, {left / 60:.0f} min left"

    def _done(self, state: TrainerState) -> int:
        return int(state.global_step) - self._first_step

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        # transformers evaluates where a signal stopped an epoch. The run would keep that as an
        # epoch's figures, and might take it for the best one.
        if self.stop_asked and not self._ends_epoch(state):
            control.should_evaluate = False

    def _ends_epoch(self, state: TrainerState) -> bool:
        step, last = int(state.global_step), int(state.max_steps)
        return step == last or step % self._updates_of_epoch == 0

    @property
    def _updates_of_epoch(self) -> int:
        pairs = len(self.trainer.train_dataset)
        return self.config.updates_per_epoch(pairs, self.processes.count)

    @property
    def _keeps_epochs(self) -> bool:
        config = self.config
        return bool(config.keep_checkpoints or config.best or config.evaluation_decoding != "none")

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        progress = {"loss": self.trainer.mean_running(), "since": self.trainer.since}
        self.processes.wait()  # each process wrote its own random state
        if self.processes.main:
            mark_complete(checkpoint(self.folder, state.global_step), progress)
            self._prune(state)

    def _prune(self, state: TrainerState) -> None:
        keep = max(self.config.keep_checkpoints, int(self.config.best))
        prune(self.folder, evaluated_losses(state.log_history), keep)

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        if self.processes.main:
            write_log(self.folder / "log.csv", state.log_history)
        entry = state.log_history[-1]
        if "loss" in entry and self._done(state):
            figures = f"epoch {entry['epoch']:.2f}, loss {float(entry['loss']):.3f}"
            self.report(f"{self._place(state)}, {figures}")

    def on_evaluate(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        entry = state.log_history[-1]
        path = checkpoint(self.folder, state.global_step)
        if self.processes.main and path in complete_checkpoints(self.folder):
            write_text(path / STATE_FILE, json.dumps(asdict(state), indent=2) + "\n")
            if self._keeps_epochs and not self.config.lora:  # with LoRA it holds the adapter only
                self.complete(path, {"step": state.global_step, "loss": entry["eval_loss"]})
            self._prune(state)
        figures = f"loss on validation pairs {entry['eval_loss']:.4f}"
        if "training_sample_loss" in entry:
            figures += f", on training pairs {entry['training_sample_loss']:.4f}"
        for name in ("meteor", "bertscore_f1"):
            if name in entry:
                figures += f", {name} {entry[name]:.4f}"
        self.report(f"epoch {state.epoch:.2f}: {figures}")
        losses = [*evaluated_losses(state.log_history).values()]
        if self.after_epoch is not None and self.after_epoch(losses):
            self.stop_asked = control.should_training_stop = True

    def handle_signal(self, number: int, frame: FrameType | None) -> None:
        """On the first Ctrl-C or SIGTERM save and stop; on the same once more stop at once.

        A launcher of several processes passes Ctrl-C on as SIGTERM: that is no second one.
        """
        if number in self._signals:
            raise KeyboardInterrupt
        self._signals.add(number)
        if not self.stop_asked:
            self.report(f"{signal.Signals(number).name}: saving a checkpoint, then stopping")
        self.stop_asked = True


def write_log(path: Path, history: list[dict[str, Any]]) -> None:
    """The log as CSV, a row a logged step; `loss` is empty where only validation ran."""
    text = io.StringIO()
    writer = csv.DictWriter(text, LOG_COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(row for row in history if "loss" in row or "eval_loss" in row)
    write_text(path, text.getvalue())
