"""Settings of a training run."""

from dataclasses import dataclass, field, fields
from typing import Any

from promptlift.errors import ConfigError

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
    epochs: float = _setting(1.5, "Passes over the pairs.")
    batch_size: int = _setting(128, "Pairs a step and process.")
    gradient_accumulation_steps: int = _setting(1, "Batches a weight update.")
    optimizer: str = _setting("muon", "muon or adamw. Muon learns more in each step.")
    learning_rate: float = _setting(2e-3, "Peak learning rate.")
    warmup_steps: int = _setting(300, "Updates until the peak learning rate.")
    weight_decay: float = _setting(0.1, "Decoupled weight decay.")
    max_source_tokens: int = _setting(64, "Source tokens kept, prefix included.")
    max_target_tokens: int = _setting(64, "Target tokens kept, end included.")
    validation_pairs: int = _setting(
        1000, "Pairs to measure the loss on, at most 10%, unrelated to those that are learned."
    )
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
        if self.precision not in ("auto", "bf16", "fp32"):
            problems.append(f"precision is {self.precision!r} and must be auto, bf16 or fp32")
        if self.optimizer not in ("muon", "adamw"):
            problems.append(f"optimizer is {self.optimizer!r} and must be muon or adamw")
        if self.save_steps is not None and self.save_steps <= 0:
            problems.append(f"save_steps is {self.save_steps} and must be above 0")
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


_POSITIVE = (
    "d_model", "d_ff", "num_layers", "num_decoder_layers", "num_heads", "epochs", "batch_size",
    "gradient_accumulation_steps", "learning_rate", "max_source_tokens", "max_target_tokens",
    "save_minutes",
)  # fmt: skip

# The bundled model's settings are the defaults above.
PRESETS: dict[str, dict[str, Any]] = {"pocket": {}}
