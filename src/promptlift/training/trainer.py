"""The Seq2SeqTrainer of `transformers`, made to go on exactly where it stopped."""

import csv
import io
import math
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch.utils.data import Dataset, Sampler
from transformers import (
    Seq2SeqTrainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from promptlift.files import write_text
from promptlift.records import Pair
from promptlift.training.config import TrainingConfig
from promptlift.training.muon import Muon

COMPLETE_FILE = "complete"
IGNORED = -100  # label that the loss leaves out, as in transformers
LOG_COLUMNS = ("step", "epoch", "loss", "eval_loss", "learning_rate", "grad_norm")


class Examples(Dataset[dict[str, list[int]]]):
    """Token ids of sources (prefix included) and targets (end included)."""

    def __init__(
        self, pairs: list[Pair], encode: Callable[[list[str]], list[list[int]]],
        prefixes: dict[str, str], config: TrainingConfig,
    ) -> None:  # fmt: skip
        sources = encode([prefixes[pair.mode] + pair.source for pair in pairs])
        targets = encode([pair.target for pair in pairs])
        self.rows = [
            {
                "input_ids": source[: config.max_source_tokens - 1] + source[-1:]
                if len(source) > config.max_source_tokens
                else source,
                # A cut target has no end token: the model must not learn to stop there.
                "labels": target[: config.max_target_tokens],
            }
            for source, target in zip(sources, targets, strict=True)
        ]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        return self.rows[index]


class LengthGroupedSampler(Sampler[int]):
    """Indices of an epoch in batches of like length, in an order that only seed and epoch decide.

    The order of transformers' own sampler depends on the global random state, so that a run
    which was stopped within an epoch went on with other batches.
    """

    def __init__(self, lengths: list[int], batch_size: int, seed: int) -> None:
        self.lengths, self.batch_size, self.seed, self.epoch = lengths, batch_size, seed, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(len(self.lengths), generator=generator).tolist()
        size = self.batch_size
        pool = size * 64  # sorted within pools: like lengths, yet other neighbours each epoch
        batches = []
        for start in range(0, len(order), pool):
            part = sorted(order[start : start + pool], key=lambda index: self.lengths[index])
            batches += [part[first : first + size] for first in range(0, len(part), size)]
        # A short batch comes last, else every later batch would straddle two length groups.
        short = [batch for batch in batches if len(batch) < size]
        full = [batch for batch in batches if len(batch) == size]
        for place in torch.randperm(len(full), generator=generator).tolist():
            yield from full[place]
        for batch in short:
            yield from batch


class PromptTrainer(Seq2SeqTrainer):  # type: ignore[misc]
    """Seq2SeqTrainer with our order of batches, a compiled step on request, and Muon.

    Compiled is the forward pass alone, outside of what the trainer wraps around the model, so that
    checkpoints hold the weights under their own names.
    """

    def __init__(self, *, config: TrainingConfig, **arguments: Any) -> None:
        model = arguments["model"]
        self.compiled: Callable[..., Any] | None = None
        if config.compile:
            self.compiled = torch.compile(model.forward, dynamic=False)
        if config.optimizer == "muon":
            optimizer = Muon([*model.named_parameters()], config.learning_rate, config.weight_decay)
            arguments["optimizers"] = (optimizer, None)
        super().__init__(**arguments)

    def compute_loss(
        self, model: Any, inputs: dict[str, torch.Tensor], *rest: Any, **named: Any
    ) -> Any:
        if self.compiled is None or not model.training:
            return super().compute_loss(model, inputs, *rest, **named)
        device = inputs["input_ids"].device.type
        with torch.autocast(device, torch.bfloat16, enabled=self.args.bf16):
            return self.compiled(**inputs).loss

    def _get_train_sampler(self, train_dataset: Any = None) -> LengthGroupedSampler:
        rows = self.train_dataset.rows
        lengths = [len(row["labels"]) * 64 + min(len(row["input_ids"]), 63) for row in rows]
        return LengthGroupedSampler(
            lengths, self.args.train_batch_size * max(1, self.args.world_size), self.args.seed
        )


class Follow(TrainerCallback):  # type: ignore[misc]
    """Keeps the log, reports progress, saves by the clock, and stops whole on a signal."""

    def __init__(
        self,
        folder: Path,
        config: TrainingConfig,
        report: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder, self.config, self.report, self.clock = folder, config, report, clock
        self.stop_asked = self._save_after_validation = False
        self._saved = self._started = clock()
        self._first_step = 0

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        self._saved = self._started = self.clock()
        self._first_step = state.global_step

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        train_dataloader: Any,
        **_: Any,
    ) -> None:
        if self.config.save_steps is not None:
            due = state.global_step % self.config.save_steps == 0
        else:
            due = self.clock() - self._saved >= 60 * self.config.save_minutes
        batches = math.ceil(len(train_dataloader) / args.gradient_accumulation_steps)
        if state.global_step % batches == 0:
            # The epoch's validation comes next and would be missing from this checkpoint.
            self._save_after_validation = due or self.stop_asked
        elif due or self.stop_asked:
            control.should_save = True
            self._saved = self.clock()
        if self.stop_asked:
            control.should_training_stop = True

    def on_save(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
        folder = self.folder / "checkpoints" / f"checkpoint-{state.global_step}"
        write_text(folder / COMPLETE_FILE, "")
        for older in complete_checkpoints(self.folder)[:-2]:
            shutil.rmtree(older)

    def on_log(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any
    ) -> None:
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
        write_log(self.folder / "log.csv", state.log_history)
        if self._save_after_validation:
            self._save_after_validation = False
            control.should_save = True
            self._saved = self.clock()
        self.report(f"epoch {state.epoch:.2f}: loss on validation pairs "
                    f"{state.log_history[-1]['eval_loss']:.4f}")  # fmt: skip

    def handle_signal(self, number: int, frame: FrameType | None) -> None:
        """On the first Ctrl-C or SIGTERM save and stop; on the second stop at once."""
        if self.stop_asked:
            raise KeyboardInterrupt
        self.stop_asked = True
        self.report(f"{signal.Signals(number).name}: saving a checkpoint, then stopping")


def complete_checkpoints(folder: Path) -> list[Path]:
    """Checkpoints that were written to the end, oldest first."""
    found = (folder / "checkpoints").glob(f"checkpoint-*/{COMPLETE_FILE}")
    return sorted((path.parent for path in found), key=lambda path: int(path.name.split("-")[1]))


def collate(
    pad: int, longest_of: Callable[[int], int] = int
) -> Callable[[list[dict[str, list[int]]]], dict[str, torch.Tensor]]:
    """Pads a batch: input_ids, attention_mask and labels, int64 [batch, longest].

    Args:
        pad: token that fills input_ids.
        longest_of: length to pad to, of the longest length in a batch.
    """

    def padded(rows: list[list[int]], value: int) -> torch.Tensor:
        longest = longest_of(max(map(len, rows)))
        return torch.tensor([row + [value] * (longest - len(row)) for row in rows])

    def join(rows: list[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
        sources = [row["input_ids"] for row in rows]
        return {
            "input_ids": padded(sources, pad),
            "attention_mask": padded([[1] * len(source) for source in sources], 0),
            "labels": padded([row["labels"] for row in rows], IGNORED),
        }

    return join


def bucket(length: int) -> int:
    """The next power of two from 16: a compiled step is compiled once for each length."""
    return max(16, 1 << (length - 1).bit_length())


def write_log(path: Path, history: list[dict[str, Any]]) -> None:
    """The log as CSV, a row a logged step; `loss` is empty where only validation ran."""
    text = io.StringIO()
    writer = csv.DictWriter(text, LOG_COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(row for row in history if "loss" in row or "eval_loss" in row)
    write_text(path, text.getvalue())
