"""Settings of a training run."""

import math
from dataclasses import dataclass
from typing import Any

from promptlift.errors import ConfigError
from promptlift.improving.manifest import PAPER_PREFIX
from promptlift.options import check, known_in, option

POCKET_MODES = {"extend": "extend: ", "rewrite": "rewrite: "}
DEFAULT_FORMS = {"tags": "", "paragraph": "paragraph, "}  # before the prefix of the mode
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


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Settings of a training run: the home of each default, its help and its check."""

    name: str | None = option(None, "Name of the model; pocket, or that of the base model.")
    model: str | None = option(
        None,
        "T5, FLAN-T5 or Llama to fine-tune: a folder, trained or exported, a Hub name, or writer, "
        "the bundled model; none trains a T5 from scratch.",
    )
    vocab_size: int = option(4096, "Pieces of the tokenizer trained from scratch.", least=300)
    d_model: int = option(320, "Width, for a model from scratch.", least=1)
    d_ff: int = option(896, "Width of the feed-forward layers, for a model from scratch.", least=1)
    num_layers: int = option(3, "Encoder layers, for a model from scratch.", least=1)
    num_decoder_layers: int = option(4, "Decoder layers, for a model from scratch.", least=1)
    num_heads: int = option(5, "Attention heads, for a model from scratch.", least=1)
    dropout_rate: float | None = option(
        None,
        "Dropout, of a Llama in its attention; 0 from scratch, else the model's own.",
        least=0,
        below=1,
    )
    tasks: str = option(
        "both",
        "both: pairs to rewrite alone also teach extending; rewrite: only rewriting.",
        choices=("both", "rewrite"),
    )
    rewrite_prefix: str | None = option(
        None, "Text before a source to rewrite; unless given, that of the model's card."
    )
    epochs: float = option(1.5, "Passes over the pairs.", above=0)
    batch_size: int = option(128, "Pairs per step and process.", least=1)
    eval_batch_size: int | None = option(
        None,
        "Pairs per evaluation step and process; unless given, as many as in training.",
        least=1,
    )
    gradient_accumulation_steps: int = option(1, "Batches per weight update.", least=1)
    group_by_length: bool = option(
        True, "Put pairs of similar length into a batch, which needs less padding."
    )
    gradient_checkpointing: str = option(
        "auto",
        "on, off or auto: on where the preflight finds too little memory. Runs on a GPU and those "
        "of 2,000 updates or more begin with one; others have it off. Slower, the same loss.",
        choices=("auto", "on", "off"),
    )
    lora: bool = option(
        False, "Train low-rank additions to the weights (LoRA), which takes less memory."
    )
    lora_rank: int = option(16, "Rank of the LoRA matrices.", least=1)
    lora_alpha: float = option(
        32.0, "Scale of the LoRA update, which is divided by the rank.", above=0
    )
    rounding: str = option(
        "none",
        "none or int4: read weights as `export --precision int4` will round them, so that LoRA "
        "learns around the errors. For Llamas.",
        choices=("none", "int4"),
    )
    preference_beta: float = option(
        0.1,
        "Of pairs that have a worse target, too: the larger, the nearer the model stays to the one "
        "that it begins with (DPO).",
        above=0,
    )
    preference_likelihood: float = option(
        1.0,
        "Of such pairs: weight of the better target's own loss beside the preference; it keeps the "
        "language.",
        least=0,
    )
    optimizer: str = option(
        "muon", "muon or adamw. Muon learns more in each step.", choices=("muon", "adamw")
    )
    learning_rate: float = option(2e-3, "Peak learning rate.", above=0)
    lr_scheduler_type: str = option(
        "cosine",
        "cosine or linear: how the learning rate falls to 0 after warmup.",
        choices=("cosine", "linear"),
    )
    warmup_steps: int = option(300, "Updates until the peak learning rate.", least=0)
    weight_decay: float = option(0.1, "Decoupled weight decay.", least=0)
    max_source_tokens: int = option(64, "Source tokens kept, prefix included.", least=1)
    max_target_tokens: int = option(64, "Target tokens kept, end included.", least=1)
    validation_pairs: int = option(
        1000,
        "Pairs to measure the loss on, at most 10%, unrelated to those that are learned.",
        least=0,
    )
    training_sample: int = option(
        1000,
        "Pairs that are learned, drawn once, on which the loss without dropout is logged too.",
        least=0,
    )
    evaluation_decoding: str = option(
        "none",
        "What validation predictions are generated with after each epoch: none (not at all), "
        "model (its own options), paper (as improve --preset paper), paper-exact (greedy, 19 new "
        "tokens).",
        choices=("none", "model", "paper", "paper-exact"),
    )
    evaluation_pairs: int | None = option(
        None,
        "Validation pairs to generate predictions for, drawn once; unless given, all.",
        least=1,
    )
    keep_checkpoints: int = option(
        0, "Checkpoints of epochs kept, those with the lowest loss on validation pairs.", least=0
    )
    best: bool = option(
        False, "Keep the model of the epoch with the lowest validation loss, not the last one."
    )
    logging_steps: int = option(50, "Updates between rows of the log.", least=1)
    save_minutes: float = option(5.0, "Minutes between checkpoints.", above=0)
    save_steps: int | None = option(
        None, "Updates between checkpoints, instead of minutes.", least=1
    )
    precision: str = option(
        "auto", "auto, bf16 or fp32. T5 overflows in fp16.", choices=("auto", "bf16", "fp32")
    )
    compile: bool = option(
        False, "Compile the training step: faster after some minutes; needs a C++ compiler."
    )
    seed: int = option(0, "Seed of weights, order and dropout.", least=0)
    licence: str = option("unknown", "SPDX licence of the resulting weights.")

    def __post_init__(self) -> None:
        check(
            self,
            "lora needs a model to add to: name one with model"
            if self.lora and self.model is None
            else "",
            "lora and compile exclude each other" if self.lora and self.compile else "",
            "rounding needs lora" if self.rounding != "none" and not self.lora else "",
        )

    @classmethod
    def resolve(cls, preset: str, flags: dict[str, Any]) -> "TrainingConfig":
        """The preset's settings, overridden by those flags that are not None."""
        if preset not in PRESETS:
            raise ConfigError(f"preset {preset!r} is not known; there is: {', '.join(PRESETS)}")
        given = {name: value for name, value in flags.items() if value is not None}
        known_in(cls, given, "training")
        return cls(**{**PRESETS[preset], **given})

    def updates_per_epoch(self, pairs: int, processes: int = 1) -> int:
        """Weight updates of an epoch over so many pairs; the last one may have fewer batches."""
        batches = math.ceil(pairs / (self.batch_size * processes))
        return math.ceil(batches / self.gradient_accumulation_steps)

    def updates(self, pairs: int, processes: int = 1) -> int:
        """Weight updates of a run over so many pairs."""
        return math.ceil(self.updates_per_epoch(pairs, processes) * self.epochs)


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
# "pocket", a small T5 from scratch, has the defaults above. "paper-exact" computes and
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
    # A decoder-only model that knows the world, taught to write prompts.
    "writer": {
        "name": "writer",
        "model": "HuggingFaceTB/SmolLM2-135M-Instruct",
        "lora": True,
        "lora_rank": 32,
        "lora_alpha": 32.0,
        "optimizer": "adamw",
        "learning_rate": 1e-3,
        "lr_scheduler_type": "linear",
        "warmup_steps": 40,
        "weight_decay": 0.01,
        "batch_size": 32,
        "epochs": 1.0,
        "max_source_tokens": 128,
        "max_target_tokens": 160,
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
