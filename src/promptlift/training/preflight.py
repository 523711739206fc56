"""A trial on a fixed sample: how long a run will take, and whether it fits into memory."""

import gc
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from promptlift.errors import ConfigError
from promptlift.training.config import TrainingConfig
from promptlift.training.evaluation import BATCH_SIZE, decoding_of
from promptlift.training.examples import Examples, Row, collate, order_of
from promptlift.training.models import (
    Start,
    base_card,
    has_accelerator,
    use_bf16,
    use_gradient_checkpointing,
)

LONG_RUN = 2000  # updates from which a run begins with a trial
ROOM = 0.9  # share of the free memory that a run may take: it fragments
_TIMED = 12  # batches, spread evenly over an epoch
_DECODED = 24  # steps of the decoder


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What a trial found.

    Attributes:
        device: "cuda", "mps" or "cpu", with its name where it has one.
        gradient_checkpointing: whether it was on.
        updates: weight updates of the whole run.
        pairs_per_update: of all processes together.
        seconds_per_update: of typical batches.
        evaluation_seconds: of one epoch's losses and predictions, roughly; scoring comes on top.
        evaluations: how many of them.
        peak_bytes: taken at the longest batch, from the model on; None where the device ran out.
        free_bytes: free before.
    """

    device: str
    gradient_checkpointing: bool
    updates: int
    pairs_per_update: int
    seconds_per_update: float
    evaluation_seconds: float
    evaluations: int
    peak_bytes: int | None
    free_bytes: int

    @property
    def fits(self) -> bool:
        """Whether the run fits into what is free, with some room."""
        return self.peak_bytes is not None and self.peak_bytes <= ROOM * self.free_bytes

    @property
    def hours(self) -> float:
        """Of the whole run, evaluation included."""
        training = self.updates * self.seconds_per_update
        return (training + self.evaluations * self.evaluation_seconds) / 3600

    def lines(self) -> list[str]:
        """For people."""
        checkpointing = "on" if self.gradient_checkpointing else "off"
        needed = "more than there is" if self.peak_bytes is None else _gb(self.peak_bytes)
        memory = (
            f"trial: memory at the longest batch {needed}, free on {self.device} "
            f"{_gb(self.free_bytes)}, gradient checkpointing {checkpointing}"
        )
        if self.peak_bytes is None:
            return [memory]
        speed = self.pairs_per_update / self.seconds_per_update
        evaluation = f"{self.evaluations} evaluations of {self.evaluation_seconds / 60:.1f} min"
        return [
            f"trial: {self.updates} updates of {self.pairs_per_update} pairs at "
            f"{self.seconds_per_update:.2f} s, {speed:.1f} pairs/s; with {evaluation} about "
            f"{self.hours:.1f} h, scoring and its encoder not counted",
            memory,
        ]

    def advice(self, config: TrainingConfig) -> str:
        """What to do where it does not fit."""
        return _advice(self.device, config, self.gradient_checkpointing)

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {**asdict(self), "hours": self.hours, "fits": self.fits}


def run_trial(
    make: Callable[[], Start],
    examples: Callable[[Start], tuple[Examples, Examples]],
    config: TrainingConfig,
    *,
    processes: int = 1,
) -> Trial:
    """Measure the run's own steps on a model that is thrown away.

    Memory is that of two updates on the longest pairs, time that of batches spread over an epoch.
    With `gradient_checkpointing` "auto" it is tried without, and with it where that does not fit.

    Args:
        make: builds or loads the model.
        examples: encodes training and validation pairs for it.
        config: settings of the run.
        processes: that will train together; this one measures its share.
    """
    asked = config.gradient_checkpointing
    found = _trial(make, examples, config, asked == "on", processes)
    if asked == "auto" and not found.fits:
        found = _trial(make, examples, config, True, processes)
    return found


def check_fits(trial: Trial, config: TrainingConfig) -> None:
    """Raise ConfigError where the run would not fit."""
    if not trial.fits:
        raise ConfigError(f"{trial.advice(config)} --no-trial begins all the same.")


@contextmanager
def memory_faults_said(config: TrainingConfig, checkpointing: bool) -> Iterator[None]:
    """Turn running out of memory into a ConfigError that says what to do."""
    try:
        yield
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        advice = _advice("memory", config, checkpointing)
        raise ConfigError(
            f"out of memory: {advice} These are other settings: name another run folder."
        ) from error


def out_of_memory(error: RuntimeError) -> bool:
    """Whether this is what a device says that has no memory left."""
    import torch

    # Apple's GPUs, processors and libraries of CUDA raise no type of their own.
    said = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError) or any(
        words in said for words in ("out of memory", "can't allocate memory", "alloc_failed")
    )


def _advice(device: str, config: TrainingConfig, checkpointing: bool) -> str:
    steps = []
    if not checkpointing:
        steps.append("--gradient-checkpointing on")
    if config.batch_size > 1:
        half = config.batch_size // 2
        more = math.ceil(config.gradient_accumulation_steps * config.batch_size / half)
        steps.append(f"--batch-size {half} --gradient-accumulation-steps {more} (the same update)")
    if not config.lora:
        steps.append("--lora")
    steps.append("--max-target-tokens below the longest target")
    return f"{device} is too small for this run. Take {', or '.join(steps)}."


def updates_of(pairs: int, config: TrainingConfig, processes: int = 1) -> int:
    """Weight updates of a run over so many pairs."""
    return math.ceil(updates_of_epoch(pairs, config, processes) * config.epochs)


def updates_of_epoch(pairs: int, config: TrainingConfig, processes: int = 1) -> int:
    """Weight updates of one epoch; the last one may have fewer batches."""
    batches = math.ceil(pairs / (config.batch_size * processes))
    return math.ceil(batches / config.gradient_accumulation_steps)


def _trial(
    make: Callable[[], Start],
    examples: Callable[[Start], tuple[Examples, Examples]],
    config: TrainingConfig,
    checkpointing: bool,
    processes: int,
) -> Trial:
    memory = _Memory()
    start = make()
    training, validation = examples(start)
    known: dict[str, Any] = {
        "device": memory.name,
        "gradient_checkpointing": checkpointing,
        "updates": updates_of(len(training), config, processes),
        "pairs_per_update": config.batch_size * config.gradient_accumulation_steps * processes,
        "evaluations": math.ceil(config.epochs),
        "free_bytes": memory.free,
    }
    steps: _Steps | None = None
    try:
        start.model.to(memory.device).train()
        if checkpointing:
            use_gradient_checkpointing(start.t5)
        steps = _Steps(start, config, memory.device)
        longest = sorted(training.rows, key=_length)[-config.batch_size :]
        for _ in range(2):  # the optimizer's state comes with the first
            steps.learn(longest)
            steps.update()
        peak = memory.peak()
        seconds = steps.seconds_per_update(training)
        evaluation = steps.seconds_of_evaluation(training, validation, processes)
        peak = max(peak, steps.bytes_of_evaluation(validation))
    except RuntimeError as error:
        if not out_of_memory(error):
            raise
        return Trial(**known, seconds_per_update=0, evaluation_seconds=0, peak_bytes=None)
    finally:
        del steps, start, training
        gc.collect()
        if memory.device == "cuda":
            import torch

            torch.cuda.empty_cache()
    return Trial(
        **known, seconds_per_update=seconds, evaluation_seconds=evaluation, peak_bytes=peak
    )


class _Steps:
    """The steps of a run, without what surrounds them."""

    def __init__(self, start: Start, config: TrainingConfig, device: str) -> None:
        import torch

        from promptlift.training.muon import Muon

        self.start, self.config, self.device = start, config, device
        self.collate = collate(start.tokens["pad"])
        self.bf16 = use_bf16(config.precision)
        learned = [item for item in start.model.parameters() if item.requires_grad]
        self.optimizer: torch.optim.Optimizer = (
            Muon([*start.model.named_parameters()], 1e-9)
            if config.optimizer == "muon"
            else torch.optim.AdamW(learned, 1e-9, fused=device != "mps")
        )
        self.learned = learned

    def forward(self, rows: list[Row]) -> Any:
        import torch

        batch = {name: item.to(self.device) for name, item in self.collate(rows).items()}
        with torch.autocast(self.device, torch.bfloat16, enabled=self.bf16):
            return self.start.model(**batch).loss

    def learn(self, rows: list[Row]) -> None:
        self.forward(rows).backward()

    def update(self) -> None:
        import torch

        torch.nn.utils.clip_grad_norm_(self.learned, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()

    def timed(self, action: Callable[[], object]) -> float:
        import torch

        started = time.perf_counter()
        action()
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - started

    def seconds_per_update(self, training: Examples) -> float:
        size = self.config.batch_size
        order = list(order_of(training, size, self.config))
        batches = [order[at : at + size] for at in range(0, len(order), size)]
        step = max(1, len(batches) // _TIMED)
        chosen = [[training.rows[index] for index in batch] for batch in batches[::step]][:_TIMED]
        self.learn(chosen[0])  # the first of a kind is slower
        learning = [self.timed(partial(self.learn, rows)) for rows in chosen]
        each = sum(learning) / len(learning)
        return each * self.config.gradient_accumulation_steps + self.timed(self.update)

    def seconds_of_evaluation(
        self, training: Examples, validation: Examples, processes: int
    ) -> float:
        """Two losses without dropout, and predictions as long as the targets are on average."""
        import numpy as np
        import torch

        from promptlift.improving.engines.torch import TorchEngine

        config, model = self.config, self.start.model
        model.eval()
        size = config.eval_batch_size or config.batch_size
        rows = validation.rows[: 4 * size]
        with torch.no_grad():
            each = self.timed(
                lambda: [self.forward(rows[at : at + size]) for at in range(0, len(rows), size)]
            ) / len(rows)
        seconds = each * (len(validation) + min(config.training_sample, len(training)))
        if config.evaluation_decoding != "none":
            sources = self.collate((validation.rows * BATCH_SIZE)[:BATCH_SIZE])
            state = TorchEngine(self.start.t5).start(
                sources["input_ids"].numpy(), sources["attention_mask"].numpy()
            )
            fed = np.full(BATCH_SIZE, self.start.tokens["decoder_start"], dtype=np.int64)
            step = self.timed(lambda: [state.step(fed) for _ in range(_DECODED)]) / _DECODED
            pairs = min(config.evaluation_pairs or len(validation), len(validation))
            length = sum(len(row["labels"]) for row in validation.rows) / len(validation)
            if config.evaluation_decoding == "paper-exact":
                length = min(length, 19)
            # A batch runs until its longest row ends, about twice the mean.
            seconds += step * 2 * length * math.ceil(pairs / BATCH_SIZE)
        return seconds / processes

    def bytes_of_evaluation(self, validation: Examples) -> int:
        """What stays of training, and the keys and values of a batch of the longest predictions.

        Calculated: what encodes texts for scoring on the same device is not counted.
        """
        options = decoding_of(self.config, base_card(self.config.model))
        if options is None:
            return 0
        state = [item for known in self.optimizer.state.values() for item in known.values()]
        held = [*self.start.model.parameters(), *(item for item in state if hasattr(item, "numel"))]
        longest = max(len(row["input_ids"]) for row in validation.rows)
        tokens = options[0].max_new_tokens + longest
        kept: int = sum(item.numel() * item.element_size() for item in held)
        return kept + cache_bytes(self.start.t5.config, BATCH_SIZE, tokens)


def cache_bytes(shape: Any, batch: int, tokens: int) -> int:
    """Keys and values in float32, of a decoder that keeps so many tokens of either side."""
    layers: int = shape.num_decoder_layers
    width: int = shape.d_kv * shape.num_heads
    return layers * 2 * batch * tokens * width * 4


class _Memory:
    """Memory of the device, from now on."""

    def __init__(self) -> None:
        import torch

        gc.collect()
        self.device = "cpu"
        if torch.cuda.is_available():
            self.device = "cuda"
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            self.before = torch.cuda.memory_reserved()
            self.free, total = torch.cuda.mem_get_info()
            self.name = f"{torch.cuda.get_device_name()} ({_gb(total)})"
            return
        if has_accelerator():
            self.device = "mps"
        self.name = "this machine" if self.device == "cpu" else self.device
        reset_peak()
        self.before, self.free = peak_resident(), free_memory()

    def peak(self) -> int:
        """Taken since."""
        import torch

        if self.device == "cuda":
            return torch.cuda.max_memory_reserved() - self.before
        return max(0, peak_resident() - self.before)


def reset_peak() -> None:
    """Let `peak_resident` count from now on, where the system can (Linux)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return


def peak_resident() -> int:
    """The most memory that this process held, in bytes."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        import resource
    except ImportError:  # Windows has neither
        return 0
    import sys

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def free_memory() -> int:
    """Main memory that a process can still take, in bytes; the limit of a container counts."""
    free = []
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                free.append(int(line.split()[1]) * 1024)
        group = Path("/sys/fs/cgroup")
        limit = (group / "memory.max").read_text().strip()
        if limit != "max":
            free.append(int(limit) - int((group / "memory.current").read_text()))
    except OSError:
        pass
    if free:
        return max(0, min(free))
    import os
    import sys

    if sys.platform == "win32":
        return sys.maxsize  # not known
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _length(row: Row) -> int:
    # A token of the target counts for more: the decoder is deeper, and its logits are wide.
    return len(row["input_ids"]) + 2 * len(row["labels"])


def _gb(count: float) -> str:
    return f"{count / 1e9:.1f} GB"
