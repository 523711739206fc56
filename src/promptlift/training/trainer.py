"""The Seq2SeqTrainer of `transformers`, made to go on exactly where it stopped."""

import random
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import (
    Seq2SeqTrainer,
)

from promptlift.files import writing
from promptlift.training.checkpoints import (
    progress_of,
)
from promptlift.training.config import TrainingConfig
from promptlift.training.examples import IGNORED, EpochSampler, Row, order_of
from promptlift.training.muon import Muon
from promptlift.training.preference import add_reference, loss_of


class PromptTrainer(Seq2SeqTrainer):  # type: ignore[misc]
    """Seq2SeqTrainer with our order of batches, loss, evaluation, a compiled step, and Muon.

    Compiled is the forward pass alone, outside of what the trainer wraps around the model, so that
    checkpoints hold the weights under their own names.

    Args:
        config: settings of the run.
        sample: training examples on which the loss without dropout is measured too.
        arguments: those of `Seq2SeqTrainer`.
    """

    def __init__(
        self,
        *,
        config: TrainingConfig,
        sample: list[Row],
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
        self.config, self.sample = config, sample
        self.prefers = any("rejected_ids" in row for row in arguments["train_dataset"])
        # Figures of a step and epoch, in addition to the losses.
        self.evaluation: Callable[[int, float], dict[str, float]] | None = None
        self.figures: dict[str, float] = {}
        # Sum of the losses since the last row of the log, and the step of that row.
        self.running, self.since = torch.zeros((), device=self.args.device), 0

    def add_reference(self) -> None:
        """Note what the model, before its first step, makes of pairs with a worse target."""
        rows = [*self.train_dataset, *self.eval_dataset]
        decoder_only = not self.model.config.is_encoder_decoder
        with torch.autocast(self.args.device.type, torch.bfloat16, enabled=self.args.bf16):
            add_reference(
                rows, self.model, self.data_collator, self.args.device, decoder_only,
                self.config.batch_size,
            )  # fmt: skip

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

        Where some pairs have a worse target, the mean over pairs: see `preference.loss_of`.

        A batch counts by its tokens, so the loss is the one of a single large batch. T5's own loss
        is the mean of its batch, which transformers 5 takes for the scaled one: accumulated
        gradients come out too large by the number of batches.
        """

        def call(**batch: Any) -> Any:
            if self.compiled is None or not model.training:
                return model(**batch)
            device = inputs["input_ids"].device.type
            with torch.autocast(device, torch.bfloat16, enabled=self.args.bf16):
                return self.compiled(**batch)

        decoder_only = not self.model.config.is_encoder_decoder
        loss, outputs = loss_of(
            call,
            inputs,
            beta=self.config.preference_beta,
            likelihood=self.config.preference_likelihood,
            decoder_only=decoder_only,
        )
        # Evaluation takes the mean of batches, as the paper's script does, however many processes.
        if num_items_in_batch is not None and model.training:
            if self.prefers:  # every batch counts alike, and every pair in it
                loss = loss / self.args.gradient_accumulation_steps
            else:
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

    def _save_checkpoint(self, *rest: Any, **named: Any) -> None:
        with writing(Path(self.args.output_dir), Exception):
            super()._save_checkpoint(*rest, **named)

    def _get_train_sampler(self, train_dataset: Any = None) -> EpochSampler:
        size = self.args.train_batch_size * max(1, self.args.world_size)
        self.sampler = order_of(self.train_dataset, size, self.config)
        return self.sampler


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
    """How much a batch contributes to the mean over all tokens of an update."""
    return loss * (labels.ne(IGNORED).sum() / num_items_in_batch)
