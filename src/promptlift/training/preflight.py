"""A preflight: how long a run will take and whether it fits into memory, on its own steps."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from promptlift.devices import is_out_of_memory
from promptlift.errors import ConfigError
from promptlift.improving.codec import Codec, SpecialTokens
from promptlift.training.config import TrainingConfig
from promptlift.training.evaluation import BATCH_SIZE, decoding_of
from promptlift.training.examples import Row, collate, learned_tokens, order_of, source_of
from promptlift.training.memory import (
    DeviceMemory,
    cache_bytes,
    how_to_save_memory,
    in_gb,
)
from promptlift.training.models import Start, base_card, use_bf16, use_gradient_checkpointing

LONG_RUN = 2000  # updates from which a run begins with a preflight
ROOM = 0.9  # share of the free memory that a run may take: it fragments
_TIMED = 12  # batches, spread evenly over an epoch
_DECODED = 24  # steps of the decoder


@dataclass(frozen=True, kw_only=True)
class Preflight:
    """What a preflight found.

    Attributes:
        device: "cuda", "mps" or "cpu", with its name where it has one.
        threads: of the processor, of this process.
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
    threads: int
    gradient_checkpointing: bool
    updates: int
    pairs_per_update: int
    seconds_per_update: float = 0.0
    evaluation_seconds: float = 0.0
    evaluations: int
    peak_bytes: int | None = None
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
        needed = "more than there is" if self.peak_bytes is None else in_gb(self.peak_bytes)
        memory = (
            f"preflight: memory at the longest batch {needed}, free on {self.device} "
            f"{in_gb(self.free_bytes)}, gradient checkpointing {checkpointing}"
        )
        if self.peak_bytes is None:
            return [memory]
        speed = self.pairs_per_update / self.seconds_per_update
        evaluation = f"{self.evaluations} evaluations of {self.evaluation_seconds / 60:.1f} min"
        return [
            f"preflight: {self.updates} updates of {self.pairs_per_update} pairs at "
            f"{self.seconds_per_update:.2f} s, {speed:.1f} pairs/s, with {self.threads} processor "
            f"threads; with {evaluation} about "
            f"{self.hours:.1f} h, scoring and its encoder not counted",
            memory,
        ]

    def advice(self, config: TrainingConfig) -> str:
        """What to do where the run does not fit."""
        return how_to_save_memory(self.device, config, self.gradient_checkpointing)

    def check_fits(self, config: TrainingConfig) -> None:
        """Raise ConfigError where the run does not fit."""
        if not self.fits:
            raise ConfigError(f"{self.advice(config)} --no-preflight begins all the same.")

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return {**asdict(self), "hours": self.hours, "fits": self.fits}


def measure(
    make: Callable[[], Start],
    tokenize: Callable[[Start], Sequence[list[Row]]],
    config: TrainingConfig,
    *,
    processes: int = 1,
) -> Preflight:
    """Measure the run's own steps on a model that is thrown away.

    Memory is that of two updates on the longest pairs, time that of batches spread over an epoch.
    With `gradient_checkpointing` "auto" it is first measured without, and then with it where the
    run does not fit.

    Args:
        make: builds or loads the model.
        tokenize: encodes training and validation pairs for it.
        config: settings of the run.
        processes: that will train together; this one measures its share.
    """
    asked = config.gradient_checkpointing
    found = _measure(make, tokenize, config, asked == "on", processes)
    if asked == "auto" and not found.fits:
        found = _measure(make, tokenize, config, True, processes)
    return found


def _measure(
    make: Callable[[], Start],
    tokenize: Callable[[Start], Sequence[list[Row]]],
    config: TrainingConfig,
    checkpointing: bool,
    processes: int,
) -> Preflight:
    import torch

    memory = DeviceMemory()
    start = make()
    training, validation = tokenize(start)
    found: dict[str, Any] = {
        "device": memory.name,
        "threads": torch.get_num_threads(),
        "gradient_checkpointing": checkpointing,
        "updates": config.updates(len(training), processes),
        "pairs_per_update": config.batch_size * config.gradient_accumulation_steps * processes,
        "evaluations": math.ceil(config.epochs),
        "free_bytes": memory.free,
    }
    steps: _Steps | None = None
    try:
        start.model.to(memory.device).train()
        if checkpointing:
            use_gradient_checkpointing(start.unwrapped)
        steps = _Steps(start, config, memory.device)
        steps.learn_longest(training)
        peak = memory.peak()
        found["seconds_per_update"] = steps.seconds_per_update(training)
        seconds = steps.seconds_of_losses(training, validation)
        if config.evaluation_decoding != "none":
            seconds += steps.seconds_of_predictions(validation)
        found["evaluation_seconds"] = seconds / processes
        found["peak_bytes"] = max(peak, steps.bytes_of_evaluation(validation))
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
    finally:
        del steps, start, training
        memory.release()
    return Preflight(**found)


class _Steps:
    """The steps of a run, without what surrounds them."""

    def __init__(self, start: Start, config: TrainingConfig, device: str) -> None:
        import torch

        from promptlift.training.muon import Muon

        self.start, self.config, self.device = start, config, device
        self.collate = collate(start.tokens["pad"])
        self.bf16 = use_bf16(config.precision)
        self.learned = [item for item in start.model.parameters() if item.requires_grad]
        self.optimizer: torch.optim.Optimizer = (
            Muon([*start.model.named_parameters()], 1e-9)
            if config.optimizer == "muon"
            else torch.optim.AdamW(self.learned, 1e-9, fused=device != "mps")
        )

    def forward(self, rows: list[Row]) -> Any:
        import torch

        from promptlift.training.preference import loss_of

        batch = {
            name: item if isinstance(item, int) else item.to(self.device)
            for name, item in self.collate(rows).items()
        }
        with torch.autocast(self.device, torch.bfloat16, enabled=self.bf16):
            return loss_of(
                self.start.model,
                batch,
                beta=self.config.preference_beta,
                likelihood=self.config.preference_likelihood,
                decoder_only=self.start.decoder_only,
            )[0]

    def learn(self, rows: list[Row]) -> None:
        self.forward(rows).backward()

    def update(self) -> None:
        import torch

        torch.nn.utils.clip_grad_norm_(self.learned, 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()

    def timed(self, action: Callable[..., object], *given: Any) -> float:
        import torch

        started = time.perf_counter()
        action(*given)
        if self.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - started

    def learn_longest(self, training: list[Row]) -> None:
        """Two updates, since the optimizer's state comes with the first."""
        # A token of the target counts for more: the decoder is deeper, and its logits are wide.
        by_length = sorted(training, key=lambda row: len(row["input_ids"]) + 2 * len(row["labels"]))
        for _ in range(2):
            self.learn(by_length[-self.config.batch_size :])
            self.update()

    def seconds_per_update(self, training: list[Row]) -> float:
        size = self.config.batch_size
        order = list(order_of(training, size, self.config))
        batches = [order[at : at + size] for at in range(0, len(order), size)]
        step = max(1, len(batches) // _TIMED)
        chosen = [[training[index] for index in batch] for batch in batches[::step]][:_TIMED]
        self.learn(chosen[0])  # the first of a kind is slower
        each = sum(self.timed(self.learn, rows) for rows in chosen) / len(chosen)
        return each * self.config.gradient_accumulation_steps + self.timed(self.update)

    def seconds_of_losses(self, training: list[Row], validation: list[Row]) -> float:
        """Of both losses without dropout."""
        import torch

        self.start.model.eval()
        size = self.config.eval_batch_size or self.config.batch_size
        rows = validation[: 4 * size]
        with torch.no_grad():
            seconds = sum(
                self.timed(self.forward, rows[at : at + size]) for at in range(0, len(rows), size)
            )
        pairs = len(validation) + min(self.config.training_sample, len(training))
        return seconds / len(rows) * pairs

    def seconds_of_predictions(self, validation: list[Row]) -> float:
        """Of predictions that are as long as the targets are on average."""
        import numpy as np

        from promptlift.improving.engines.torch import torch_engine

        special = SpecialTokens(**self.start.tokens)
        sources = [source_of(row) for row in (validation * BATCH_SIZE)[:BATCH_SIZE]]
        engine = torch_engine(self.start.unwrapped, special.decoder_start)
        state = engine.start(*Codec(self.start.tokenizer, special).pad(sources))
        fed = np.full(BATCH_SIZE, special.decoder_start, dtype=np.int64)
        step = self.timed(lambda: [state.step(fed) for _ in range(_DECODED)]) / _DECODED
        pairs = min(self.config.evaluation_pairs or len(validation), len(validation))
        length = sum(map(learned_tokens, validation)) / len(validation)
        if self.config.evaluation_decoding == "paper-exact":
            length = min(length, 19)
        # A batch runs until its longest row ends, about twice the mean.
        return step * 2 * length * math.ceil(pairs / BATCH_SIZE)

    def bytes_of_evaluation(self, validation: list[Row]) -> int:
        """What stays of training, and the keys and values of a batch of the longest predictions.

        Calculated: what encodes texts for scoring on the same device is not counted.
        """
        options = decoding_of(self.config, base_card(self.config.model))
        if options is None:
            return 0
        state = [item for known in self.optimizer.state.values() for item in known.values()]
        held = [*self.start.model.parameters(), *(item for item in state if hasattr(item, "numel"))]
        longest = max(len(source_of(row)) for row in validation)
        tokens = options[0].max_new_tokens + longest
        kept: int = sum(item.numel() * item.element_size() for item in held)
        return kept + cache_bytes(self.start.unwrapped.config, BATCH_SIZE, tokens)
