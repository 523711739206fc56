"""The Seq2SeqTrainer of `transformers`, made to go on exactly where it stopped."""

import csv
import io
import json
import random
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from transformers import (
    Seq2SeqTrainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from promptlift.files import write_text
from promptlift.training.checkpoints import (
    STATE_FILE,
    checkpoint,
    complete_checkpoints,
    evaluated_losses,
    mark_complete,
    progress_of,
    prune,
)
from promptlift.training.config import TrainingConfig
from promptlift.training.distributed import Processes
from promptlift.training.examples import IGNORED, EpochSampler, Examples, order_of
from promptlift.training.muon import Muon
from promptlift.training.preflight import updates_of_epoch

LOG_COLUMNS = (
    "step", "epoch", "loss", "eval_loss", "training_sample_loss", "meteor",
    "bertscore_precision", "bertscore_recall", "bertscore_f1", "learning_rate", "grad_norm",
)  # fmt: skip


class PromptTrainer(Seq2SeqTrainer):  # type: ignore[misc]
    """Seq2SeqTrainer with our order of batches, loss, evaluation, a compiled step, and Muon.

    Compiled is the forward pass alone, outside of what the trainer wraps around the model, so that
    checkpoints hold the weights under their own names.

    Args:
        config: settings of the run.
        sample: training examples on which the loss without dropout is measured too.
        evaluation: figures of a step and epoch beside the losses.
        arguments: those of `Seq2SeqTrainer`.
    """

    def __init__(
        self,
        *,
        config: TrainingConfig,
        sample: Examples,
        evaluation: Callable[[int, float], dict[str, float]] | None,
        **arguments: Any,
    ) -> None:
        model = arguments["model"]
        self.compiled: Callable[..., Any] | None = None
        if config.compile:
            self.compiled = torch.compile(model.forward, dynamic=False)
        if config.optimizer == "muon":
            optimizer = Muon([*model.named_parameters()], config.learning_rate, config.weight_decay)
            arguments["optimizers"] = (optimizer, None)
        # Given, so that every version of transformers counts the targets' tokens of an update and
        # divides by nothing itself. `compute_loss` below is what is used.
        arguments["compute_loss_func"] = _scaled
        super().__init__(**arguments)
        self.config, self.sample, self.evaluation = config, sample, evaluation
        self.figures: dict[str, float] = {}
        # Sum of the losses since the last row of the log, and the step of that row.
        self.running, self.since = torch.zeros((), device=self.args.device), 0

    def go_on_from(self, path: Path, step: int) -> None:
        """Take up the unfinished row of the log where a checkpoint left it."""
        progress = progress_of(path)
        self.running.fill_(progress.get("loss", 0.0))
        self.since = progress.get("since", step)

    def mean_running(self) -> float:
        """The sum of losses since the last row of the log, mean over processes."""
        return float(self.accelerator.gather(self.running).double().mean())

    def training_step(self, *rest: Any, **named: Any) -> torch.Tensor:
        loss: torch.Tensor = super().training_step(*rest, **named)
        self.running += loss
        return loss

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, torch.Tensor],
        return_outputs: bool = False,
        num_items_in_batch: torch.Tensor | None = None,
    ) -> Any:
        """Mean over the targets' tokens of an update, over all its batches and processes.

        A batch counts by its tokens, so the loss is the one of a single large batch. T5's own loss
        is the mean of its batch, which transformers 5 takes for the scaled one: accumulated
        gradients come out too large by the number of batches.
        """
        if self.compiled is not None and model.training:
            with torch.autocast(
                inputs["input_ids"].device.type, torch.bfloat16, enabled=self.args.bf16
            ):
                outputs = self.compiled(**inputs)
        else:
            outputs = model(**inputs)
        loss = outputs.loss
        # Evaluation takes the mean of batches, as the paper's script does, however many processes.
        if num_items_in_batch is not None and model.training:
            loss = _scaled(loss, inputs["labels"], num_items_in_batch) * self.args.world_size
        return (loss, outputs) if return_outputs else loss

    def evaluate(self, *rest: Any, **named: Any) -> dict[str, float]:
        """Losses on the validation pairs and on the sample, and the figures of `evaluation`.

        The random state is left as it was: how often a run is evaluated does not change it.
        """
        with undisturbed():
            if len(self.sample):
                found = self.evaluation_loop(
                    self.get_eval_dataloader(self.sample),
                    "training sample",
                    prediction_loss_only=True,
                    metric_key_prefix="training_sample",
                )
                self.figures["training_sample_loss"] = found.metrics["training_sample_loss"]
            if self.evaluation is not None:
                epoch = float(self.state.epoch or 0)
                self.figures |= self.evaluation(self.state.global_step, epoch)
            metrics: dict[str, float] = super().evaluate(*rest, **named)
        return metrics

    def log(self, logs: dict[str, float], *rest: Any, **named: Any) -> None:
        if "eval_loss" in logs:
            logs.update(self.figures)
            self.figures = {}
        elif "loss" in logs:
            # transformers begins a new mean where a run goes on; ours is that of an unbroken run.
            logs["loss"] = self.mean_running() / (self.state.global_step - self.since)
            self.running.zero_()
            self.since = self.state.global_step
        super().log(logs, *rest, **named)

    def save_model(self, *rest: Any, **named: Any) -> None:
        with warnings.catch_warnings():
            # peft would look at the Hub whether the vocabulary was changed. It was not.
            warnings.filterwarnings("ignore", "Could not find a config file", UserWarning)
            super().save_model(*rest, **named)

    def _get_train_sampler(self, train_dataset: Any = None) -> EpochSampler:
        size = self.args.train_batch_size * max(1, self.args.world_size)
        self.sampler = order_of(self.train_dataset, size, self.config)
        return self.sampler


class Follow(TrainerCallback):  # type: ignore[misc]
    """Keeps the log, reports progress, saves by the clock, and stops whole on a signal.

    A checkpoint at the end of an epoch is written before its evaluation, which may take long, and
    gets the figures when they are there.
    """

    def __init__(
        self,
        folder: Path,
        config: TrainingConfig,
        report: Callable[[str], None],
        processes: Processes,
        complete: Callable[[Path, dict[str, Any]], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder, self.config, self.report, self.clock = folder, config, report, clock
        self.processes, self.complete = processes, complete
        self.trainer: PromptTrainer | None = None
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
        assert self.trainer is not None
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
        assert self.trainer is not None
        pairs = len(self.trainer.train_dataset)
        return updates_of_epoch(pairs, self.config, self.processes.count)

    @property
    def _keeps_epochs(self) -> bool:
        config = self.config
        return bool(config.keep_checkpoints or config.best or config.evaluation_decoding != "none")

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        assert self.trainer is not None
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
        done = state.global_step - self._first_step
        if "loss" not in entry or not done:
            return
        left = (state.max_steps - state.global_step) * (self.clock() - self._started) / done
        self.report(
            f"step {state.global_step} of {state.max_steps}, epoch {entry['epoch']:.2f}, "
            f"loss {float(entry['loss']):.3f}, {left / 60:.0f} min left"
        )

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


@contextmanager
def undisturbed() -> Iterator[None]:
    """Whatever draws random numbers within, those that follow are the same."""
    python, numpy = random.getstate(), np.random.get_state()
    # Of all GPUs, this process draws on its own one.
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices):
        yield
    random.setstate(python)
    np.random.set_state(numpy)


def _scaled(
    loss: torch.Tensor, labels: torch.Tensor, num_items_in_batch: torch.Tensor
) -> torch.Tensor:
    """A batch's share in the mean over all tokens of an update."""
    return loss * (labels.ne(IGNORED).sum() / num_items_in_batch)


def write_log(path: Path, history: list[dict[str, Any]]) -> None:
    """The log as CSV, a row a logged step; `loss` is empty where only validation ran."""
    text = io.StringIO()
    writer = csv.DictWriter(text, LOG_COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(row for row in history if "loss" in row or "eval_loss" in row)
    write_text(path, text.getvalue())
