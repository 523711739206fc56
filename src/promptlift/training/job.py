"""A training run in its folder, from the model before its first step to the model it leaves."""

import json
import shutil
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from promptlift.errors import ConfigError
from promptlift.files import write_json, writing
from promptlift.improving.manifest import ModelCard
from promptlift.pairs.load import write_pairs
from promptlift.records import FORMS, Pair
from promptlift.schema import DRAFTING
from promptlift.training.arguments import take_one_gpu, trainer_arguments
from promptlift.training.checkpoints import (
    STATE_FILE,
    best_checkpoint,
    complete_checkpoints,
    evaluated_losses,
    history_of,
    load_weights,
    step_of,
)
from promptlift.training.config import DEFAULT_FORMS, POCKET_MODES, TrainingConfig
from promptlift.training.data import Sides, sides_of
from promptlift.training.distributed import Processes
from promptlift.training.evaluation import EpochEvaluation, Evaluator, Stopped
from promptlift.training.examples import Row, bucket, collate, sample_of, tokenized
from promptlift.training.memory import memory_errors_explained
from promptlift.training.models import (
    Start,
    base_card,
    copy_tokenizer,
    has_accelerator,
    learn_tokenizer,
    merged,
    place_of_base,
    restore_base,
    start_model,
    use_gradient_checkpointing,
)
from promptlift.training.preflight import LONG_RUN, Preflight, measure
from promptlift.training.unknown import unknown_characters

if TYPE_CHECKING:
    from promptlift.training.rounding import Rounding

# Losses on validation pairs of all epochs so far, and whether to stop after them.
AfterEpoch = Callable[[Sequence[float]], bool]
PREFLIGHT_FILE = "preflight.json"
_PREFLIGHT_SCHEMA = 1


class Job:
    """A run on its way: what its parts share."""

    def __init__(
        self, pairs: Iterable[Pair], output: Path, config: TrainingConfig,
        validation: Sequence[Pair] | None, evaluator: Evaluator | None,
        report: Callable[[str], None], after_epoch: AfterEpoch | None = None,
    ) -> None:  # fmt: skip
        self.output, self.config, self.evaluator = output, config, evaluator
        self.after_epoch = after_epoch
        self.model_folder, self.tokenizer_folder = output / "model", output / "tokenizer"
        self.base = base_card(config.model)
        # Of an export, what is restored in the run folder is loaded.
        self.base_folder = output / "base"
        place = place_of_base(config.model, self.base_folder)
        self.loadable = replace(config, model=place)
        self.sides: Sides = sides_of(pairs, validation, config, report)
        self.modes = {**POCKET_MODES, **self.base.modes}
        if config.rewrite_prefix is not None:
            self.modes["rewrite"] = config.rewrite_prefix
        self.forms = {**DEFAULT_FORMS, **self.base.forms}
        # Also joins the other processes, and takes this one's GPU.
        self.arguments = trainer_arguments(config, output)
        self.processes = Processes(self.arguments.process_index, self.arguments.world_size)
        self.report = report if self.processes.main else _silent
        self.told_unknown = False
        if (gpus := take_one_gpu(self.arguments)) > 1:
            self.report(
                f"one of {gpus} GPUs is used; for all of them: "
                f"torchrun --nproc-per-node {gpus} -m promptlift train ..."
            )

    def run(self, preflight: bool | None) -> dict[str, Any] | None:
        """The figures of the run; None when a signal stopped it."""
        from transformers import set_seed

        checkpointing = self._checkpointing(preflight)
        set_seed(self.config.seed)
        start = self.start()
        rounding = self._rounding(start)
        self._tell_unknown(start)
        if self.processes.main:
            copy_tokenizer(self.loadable, self.tokenizer_folder)
        validation, training = self.sides.split(self.config)
        if self.processes.main:
            write_pairs(self.output / "validation.jsonl", validation)
            learned = self.output / "training.jsonl"
            if not learned.exists():  # the same pairs whenever the run goes on
                write_pairs(learned, training)
        if checkpointing:
            use_gradient_checkpointing(start.unwrapped)
        with memory_errors_explained(self.config, checkpointing):
            trainer, follow = self._trainer(start, validation, training)
            if rounding is not None:
                trainer.add_callback(rounding)
            with _signals(follow.handle_signal):
                try:
                    self._learn(trainer, rounding)
                except Stopped:
                    return None
        if follow.stop_asked and trainer.state.global_step < trainer.state.max_steps:
            return None
        if rounding is not None:
            rounding.undo()
        return self._finish(trainer, start)

    def start(self) -> Start:
        """The model before its first step."""
        if self.processes.main:
            self._prepare()
        self.processes.wait()
        return start_model(self.loadable, self.tokenizer_folder)

    def _prepare(self) -> None:
        """Put into the run folder what the model is made of and is not there yet."""
        learn_tokenizer(self.sides.learned, self.config, self.tokenizer_folder)
        restore_base(self.config.model, self.base_folder)

    def preflight(self) -> Preflight:
        """Time and memory of the run, measured by the main process and reported."""
        found = None
        if self.processes.main:
            validation, training = self.sides.split(self.config)
            self._prepare()

            def tokenize(start: Start) -> tuple[list[Row], list[Row]]:
                self._tell_unknown(start)
                return self._tokenized(training, start), self._tokenized(validation, start)

            found = measure(
                lambda: start_model(self.loadable, self.tokenizer_folder),
                tokenize,
                self.config,
                processes=self.processes.count,
            )
        shared: Preflight = self.processes.from_main(found)
        for line in shared.lines():
            self.report(line)
        return shared

    def _tell_unknown(self, start: Start) -> None:
        """Report, once, which characters of the pairs cannot be learned."""
        if self.processes.main and not self.told_unknown:
            self.told_unknown = True
            if line := unknown_characters(self.sides.learned, start).line():
                self.report(line)

    def _checkpointing(self, preflight: bool | None) -> bool:
        """Whether to use gradient checkpointing, after a preflight where one is due."""
        path = self.output / PREFLIGHT_FILE
        asked = self.config.gradient_checkpointing
        if preflight is None:
            updates = self.config.updates(len(self.sides.learned), self.processes.count)
            # On a GPU a preflight takes little, and tells whether to use gradient checkpointing.
            preflight = (asked == "auto" and has_accelerator()) or updates >= LONG_RUN
        if preflight and not complete_checkpoints(self.output):
            found = self.preflight()
            found.check_fits(self.config)
            if self.processes.main:
                write_json(path, {"schema_version": _PREFLIGHT_SCHEMA, **found.to_dict()})
            self.processes.wait()
        if asked != "auto":
            return asked == "on"
        if not path.exists():
            return False
        return bool(json.loads(path.read_text(encoding="utf-8"))["gradient_checkpointing"])

    def _tokenized(self, pairs: list[Pair], start: Start) -> list[Row]:
        return tokenized(pairs, start, self._prefix, self.config)

    def _trainer(self, start: Start, validation: list[Pair], training: list[Pair]) -> Any:
        from transformers.trainer_callback import PrinterCallback, ProgressCallback

        from promptlift.training.callbacks import Follow
        from promptlift.training.trainer import PromptTrainer

        config = self.config
        rows = self._tokenized(training, start)
        trainer = PromptTrainer(
            config=config,
            sample=sample_of(rows, config.training_sample, config.seed),
            model=start.model,
            args=self.arguments,
            data_collator=collate(start.tokens["pad"], bucket if config.compile else int),
            train_dataset=rows,
            eval_dataset=self._tokenized(validation, start),
        )
        trainer.add_reference()
        follow = Follow(
            trainer, self.output, self.report, self.processes, self.complete,
            after_epoch=self.after_epoch,
        )  # fmt: skip
        trainer.add_callback(follow)
        if config.evaluation_decoding != "none":
            trainer.evaluation = EpochEvaluation(
                self.output, validation, config,
                start=start, card=self._card(), evaluator=self.evaluator,
                processes=self.processes, stop_asked=lambda: follow.stop_asked,
                report=self.report,
            )  # fmt: skip
        # Progress is reported through `report`.
        trainer.remove_callback(PrinterCallback)
        trainer.remove_callback(ProgressCallback)
        return trainer, follow

    def _rounding(self, start: Start) -> "Rounding | None":
        if self.config.rounding == "none":
            return None
        if not start.decoder_only:
            raise ConfigError(f"rounding {self.config.rounding} is for Llamas, and this is a T5.")
        from promptlift.export.quantize import BITS
        from promptlift.training.rounding import Rounding

        return Rounding(start.model, BITS[self.config.rounding])

    def _learn(self, trainer: Any, rounding: "Rounding | None") -> None:
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
        an_epoch = self.config.updates_per_epoch(training, self.processes.count)
        unmeasured = step not in evaluated_losses(history)
        if step < self.config.updates(training, self.processes.count):
            self.arguments.eval_on_start = unmeasured and step % an_epoch == 0
            trainer.train(resume_from_checkpoint=str(last))
            return
        from transformers import TrainerState

        trainer.state = TrainerState.load_from_json(str(last / STATE_FILE))
        load_weights(trainer.model, last)
        if unmeasured:
            if rounding is not None:
                rounding.refresh()
            trainer.evaluate()

    def _finish(self, trainer: Any, start: Start) -> dict[str, Any]:
        """Write the model: that of the last step, or of the epoch with the lowest loss."""
        from promptlift.training.callbacks import write_log

        history = trainer.state.log_history
        losses = evaluated_losses(history)
        results = _results(history, self.sides.learned, start.unwrapped)
        best = best_checkpoint(self.output, losses) if self.config.best else None
        if best is not None:
            step = step_of(best)
            load_weights(trainer.model, best)
            results |= {"best_step": step, "best_validation_loss": losses[step]}
            self.report(f"the model is that of step {step}, loss {losses[step]:.4f}")
        if not self.processes.main:
            return results
        write_log(self.output / "log.csv", history)
        with writing(self.model_folder, Exception):
            merged(start).save_pretrained(str(self.model_folder))
        self.complete(self.model_folder, {**results, "config": asdict(self.config)})
        return results

    def _prefix(self, mode: str, form: str) -> str:
        return self.forms[form] + self.modes[mode]

    def _card(self, training: dict[str, Any] | None = None) -> ModelCard:
        modes = {pair.mode for pair in self.sides.learned}
        forms = {pair.form for pair in self.sides.learned}
        return ModelCard(
            name=self.config.name or self.base.name,
            modes={mode: self.modes[mode] for mode in sorted(modes)},
            forms={form: self.forms[form] for form in FORMS if form in forms},
            # The reranker, which these need, stays with the base.
            decoding={k: v for k, v in self.base.decoding.items() if k not in DRAFTING},
            licence=self.config.licence,
            training=training or {},
        )

    def complete(self, folder: Path, training: dict[str, Any]) -> None:
        """Beside saved weights put what improving needs."""
        for file in self.tokenizer_folder.iterdir():
            shutil.copyfile(file, folder / file.name)
        self._card(training).write(folder)


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


def _silent(line: str) -> None:
    """Only the main process reports."""
