"""Settings of tuning: the home of each default, its help and its check."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from promptlift.options import check, option
from promptlift.records import MODES
from promptlift.training.config import TrainingConfig

BEST_OF_N, PREFERENCES = "best-of-n", "preferences"
# Of a round's training. A round has few pairs, so that a warm-up of hundreds of updates and a
# decay of weights, as for whole data sets, would be all of it.
TRAINING: dict[str, Any] = {
    "epochs": 4.0,
    "batch_size": 16,
    "optimizer": "adamw",
    "learning_rate": 1e-3,
    "lr_scheduler_type": "linear",
    "warmup_steps": 5,
    "weight_decay": 0.0,
    "dropout_rate": 0.0,
    "max_source_tokens": 128,  # as of the writer, whose paragraphs are longer than tags
    "max_target_tokens": 160,
}
_LORA = {"learning_rate": 1e-4}  # of the models for which LoRA is taken, which are larger


def training_of(model: str, flags: Mapping[str, Any], seed: int = 0) -> TrainingConfig:
    """The training of a round: `TRAINING`, overridden by those options that were given."""
    own = _LORA if flags.get("lora") else {}
    return TrainingConfig(**{**TRAINING, **own, **flags, "model": model, "seed": seed})


@dataclass(frozen=True, kw_only=True)
class TuneConfig:
    """How a model is tuned by the pictures that its prompts draw."""

    reward: str = option(
        "clip",
        "What pictures are judged by, with the original prompt's words, as by pick --metric: clip "
        "(CLIPScore), wants, pickscore, aesthetic, sharpness, …, or MODULE:FUNCTION, your own.",
    )
    learn: str = option(
        PREFERENCES,
        "best-of-n: learn the prompt that drew best; preferences: learn that it is better than "
        "the one that drew worst (DPO).",
        choices=(BEST_OF_N, PREFERENCES),
    )
    rounds: int = option(4, "Rounds of improving, drawing, judging and learning.", least=1)
    prompts: int = option(200, "Prompts of a round, drawn anew for each.", least=10)
    n: int = option(4, "Improved prompts of each prompt.", least=2, short="-n")
    held_out: int = option(
        100, "Prompts that nothing is learned from, on which each round is measured.", least=10
    )
    old_share: float = option(
        0.3, "Share of old pairs among those that a round learns.", least=0, below=1
    )
    mode: str | None = option(
        None,
        "extend keeps your words and adds; rewrite writes anew.",
        choices=MODES,
        shown="what the model has learned",
    )
    temperature: float | None = option(
        None,
        "Of the prompts to learn from: the higher, the more they differ.",
        above=0,
        shown="the model's own",
    )
    tune_seed: int = option(0, "Seed of which prompts, of their improvements and of training.")
    improving: Mapping[str, Any] = field(default_factory=dict)  # as `Improver.improve` takes them

    def __post_init__(self) -> None:
        check(self)

    def options(self, n: int) -> dict[str, Any]:
        """What `Improver.improve` is asked for, of `n` variants a prompt."""
        # Drafts are chosen by a head that a model which learned no longer has.
        found = {"best_of": 1, **self.improving}
        if n > 1 and self.temperature is not None:
            found["temperature"] = self.temperature
        return found

    def to_dict(self) -> dict[str, Any]:
        """What decides the result beside prompts and models, as plain JSON types.

        The number of rounds is left out: a run that is done goes on with more.
        """
        values = asdict(self)
        del values["improving"], values["rounds"]
        return {**values, **self.improving}
