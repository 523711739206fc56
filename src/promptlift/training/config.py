"""Settings of a training run."""

import math
from dataclasses import dataclass, field, fields
from typing import Any

from promptlift.errors import ConfigError
from promptlift.improving.manifest import PAPER_PREFIX

POCKET_MODES = {"extend": "extend: ", "rewrite": "rewrite: "}
# Chosen by reading results: without a minimum many additions are a single filler, and at
# temperature 1 a model of this size strays.
POCKET_DECODING = {
    "temperature": 0.8,
    "top_p": 0.95,
    "repetition_penalty": 1.1,
    "no_repeat_ngram_size": 3,
    "min_new_tokens": 8,
    "max_new_tokens": 64,
}


# The paper's pairs: columns x and y, splits train and test.
PAPER_DATA = "groloch/stable_diffusion_prompts_instruct"


def _setting(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Settings of a training run: the home of each default, its help and its check."""

    name: str | None = _setting(None, "Name of the model; pocket, or that of the base model.")
    model: str | None = _setting(
        None, "T5 or FLAN-T5 to fine-tune, a folder or a Hub name; none trains from scratch."
    )
    vocab_size: int = _setting(4096, "Pieces of the tokenizer trained from scratch.")
    d_model: int = _setting(320, "Width, for a model from scratch.")
    d_ff: int = _setting(896, "Width of the feed-forward layers, for a model from scratch.")
    num_layers: int = _setting(3, "Encoder layers, for a model from scratch.")
    num_decoder_layers: int = _setting(4, "Decoder layers, for a model from scratch.")
    num_heads: int = _setting(5, "Attention heads, for a model from scratch.")
    dropout_rate: float | None = _setting(None, "Dropout; 0 from scratch, else the model's own.")
    tasks: str = _setting(
        "both", "both: pairs to rewrite alone also teach extending; rewrite: only rewriting."
    )
    rewrite_prefix: str | None = _setting(
        None, "Text before a source to rewrite; that of the model's card where none."
    )
    epochs: float = _setting(1.5, "Passes over the pairs.")
    batch_size: int = _setting(128, "Pairs a step and process.")
    eval_batch_size: int | None = _setting(
        None, "Pairs an evaluation step and process; as many as in training where none."
    )
    gradient_accumulation_steps: int = _setting(1, "Batches a weight update.")
    group_by_length: bool = _setting(True, "Batches of like length, for less padding.")
    gradient_checkpointing: str = _setting(
        "auto",
        "on, off or auto: on where the preflight finds too little memory. Runs on a GPU and those "
        "of 2,000 updates or more begin with one; others have it off. Slower, the same loss.",
    )
    lora: bool = _setting(False, "Learn low-rank additions to the weights, in less memory.")
    lora_rank: int = _setting(16, "Rank of those additions.")
    lora_alpha: float = _setting(32.0, "Their strength, divided by the rank.")
    optimizer: str = _setting("muon", "muon or adamw. Muon learns more in each step.")
    learning_rate: float = _setting(2e-3, "Peak learning rate.")
    lr_scheduler_type: str = _setting(
        "cosine", "cosine or linear: how the learning rate falls to 0 after warmup."
    )
    warmup_steps: int = _setting(300, "Updates until the peak learning rate.")
    weight_decay: float = _setting(0.1, "Decoupled weight decay.")
    max_source_tokens: int = _setting(64, "Source tokens kept, prefix included.")
    max_target_tokens: int = _setting(64, "Target tokens kept, end included.")
    validation_pairs: int = _setting(
        1000, "Pairs to measure the loss on, at most 10%, unrelated to those that are learned."
    )
    training_sample: int = _setting(
        1000, "Pairs that are learned, drawn once, on which the loss without dropout is logged too."
    )
    evaluation_decoding: str = _setting(
        "none",
        "What validation predictions are generated with after each epoch: none (not at all), "
        "model (its own options), paper (as improve --preset paper), paper-exact (greedy, 19 new "
        "tokens).",
    )
    evaluation_pairs: int | None = _setting(
        None, "Validation pairs to generate for, drawn once; all where none."
    )
    keep_checkpoints: int = _setting(
        0, "Checkpoints of epochs kept, those with the lowest loss on validation pairs."
    )
    best: bool = _setting(
        False, "The model is the epoch with the lowest loss on validation pairs, not the last."
    )
    logging_steps: int = _setting(50, "Updates between rows of the log.")
    save_minutes: float = _setting(5.0, "Minutes between checkpoints.")
    save_steps: int | None = _setting(None, "Updates between checkpoints, instead of minutes.")
    precision: str = _setting("auto", "auto, bf16 or fp32. T5 overflows in fp16.")
    compile: bool = _setting(
        False, "Compile the training step: faster after some minutes; needs a C++ compiler."
    )
    seed: int = _setting(0, "Seed of weights, order and dropout.")
    licence: str = _setting("unknown", "SPDX licence of the resulting weights.")

    def __post_init__(self) -> None:
        problems = [
            f"{name} is {getattr(self, name)} and must be above 0"
            for name in _POSITIVE
            if getattr(self, name) <= 0
        ]
        if self.vocab_size < 300:
            problems.append(f"vocab_size is {self.vocab_size} and must be at least 300")
        if self.dropout_rate is not None and not 0 <= self.dropout_rate < 1:
            problems.append(f"dropout_rate is {self.dropout_rate} and must lie in [0, 1)")
        problems += [
            f"{name} is {getattr(self, name)!r} and must be {' or '.join(known)}"
            for name, known in _CHOICES.items()
            if getattr(self, name) not in known
        ]
        problems += [
            f"{name} is {value} and must be above 0"
            for name in ("save_steps", "eval_batch_size", "evaluation_pairs")
            if (value := getattr(self, name)) is not None and value <= 0
        ]
        problems += [
            f"{name} is {getattr(self, name)} and must be 0 or more"
            for name in ("training_sample", "keep_checkpoints", "warmup_steps")
            if getattr(self, name) < 0
        ]
        if self.lora and self.model is None:
            problems.append("lora needs a model to add to: name one with model")
        if self.lora and self.compile:
            problems.append("lora and compile exclude each other")
        if problems:
            raise ConfigError("; ".join(problems))

    @classmethod
    def resolve(cls, preset: str, flags: dict[str, Any]) -> "TrainingConfig":
        """The preset's settings, overridden by those flags that are not None."""
        if preset not in PRESETS:
            raise ConfigError(f"preset {preset!r} is not known; there is: {', '.join(PRESETS)}")
        given = {name: value for name, value in flags.items() if value is not None}
        if unknown := set(given) - {item.name for item in fields(cls)}:
            raise ConfigError(f"unknown settings: {', '.join(sorted(unknown))}")
        return cls(**{**PRESETS[preset], **given})

    def updates_per_epoch(self, pairs: int, processes: int = 1) -> int:
        """Weight updates of an epoch over so many pairs; the last one may have fewer batches."""
        batches = math.ceil(pairs / (self.batch_size * processes))
        return math.ceil(batches / self.gradient_accumulation_steps)

    def updates(self, pairs: int, processes: int = 1) -> int:
        """Weight updates of a run over so many pairs."""
        return math.ceil(self.updates_per_epoch(pairs, processes) * self.epochs)


_POSITIVE = (
    "d_model", "d_ff", "num_layers", "num_decoder_layers", "num_heads", "epochs", "batch_size",
    "gradient_accumulation_steps", "learning_rate", "max_source_tokens", "max_target_tokens",
    "save_minutes", "logging_steps", "lora_rank", "lora_alpha",
)  # fmt: skip
_CHOICES = {
    "tasks": ("both", "rewrite"),
    "precision": ("auto", "bf16", "fp32"),
    "optimizer": ("muon", "adamw"),
    "lr_scheduler_type": ("cosine", "linear"),
    "gradient_checkpointing": ("auto", "on", "off"),
    "evaluation_decoding": ("none", "model", "paper", "paper-exact"),
}

# The paper's Seq2SeqTrainingArguments, and what transformers adds to them (AdamW, a linear
# schedule without warmup). Gradient checkpointing changes no figure and is left to what the
# hardware asks for. bf16 and batches of like length may change figures, and nobody has measured
# how much: "paper" takes them for speed, "paper-exact" has the script's fp32 and random order.
_PAPER: dict[str, Any] = {
    "model": "google/flan-t5-base",
    "tasks": "rewrite",
    "rewrite_prefix": PAPER_PREFIX,
    "epochs": 5.0,
    "batch_size": 8,
    "eval_batch_size": 4,
    "gradient_accumulation_steps": 8,
    "optimizer": "adamw",
    "learning_rate": 3e-4,
    "lr_scheduler_type": "linear",
    "warmup_steps": 0,
    "weight_decay": 0.01,
    "max_source_tokens": 1024,
    "max_target_tokens": 1600,
    "evaluation_decoding": "paper",
    "keep_checkpoints": 5,
    "best": True,
}
# The bundled model's settings are the defaults above. "paper-exact" computes and
# evaluates as the paper's script does, cut and greedy, for figures that compare with its own.
PRESETS: dict[str, dict[str, Any]] = {
    "pocket": {},
    # A rewriter for the pocket picture world, whose prompts have some eighty words.
    "pocket-world": {
        "name": "pocket-world",
        "vocab_size": 640,
        "d_model": 96,
        "d_ff": 192,
        "num_layers": 2,
        "num_decoder_layers": 2,
        "num_heads": 4,
        "epochs": 3.0,
        "batch_size": 64,
        "learning_rate": 3e-3,
        "warmup_steps": 50,
        "training_sample": 300,
        "evaluation_decoding": "model",
        "evaluation_pairs": 100,
        "licence": "Apache-2.0",
    },
    "paper": _PAPER,
    "paper-exact": {
        **_PAPER,
        "precision": "fp32",
        "group_by_length": False,
        "evaluation_decoding": "paper-exact",
    },
}
