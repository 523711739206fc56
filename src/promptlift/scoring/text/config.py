"""Settings of scoring texts."""

from dataclasses import dataclass, field
from typing import Any

from promptlift.errors import ConfigError
from promptlift.pairs.load import MODES
from promptlift.scoring.text.encoders import BATCH_SIZE


def _setting(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True, kw_only=True)
class TextConfig:
    """How prompts are made and scored; each default's only home."""

    mode: str = _setting("rewrite", "Mode of pairs that name none: extend or rewrite.")
    limit: int | None = _setting(None, "Score so many random pairs.")
    seed: int = _setting(0, "Of the choice of pairs, of improving and of shuffling.")
    preset: str | None = _setting(None, "paper: the paper's decoding.")
    meteor: bool = _setting(True, "Whether to take METEOR [yes].")
    bertscore: bool = _setting(True, "Whether to take BERTScore, which loads an encoder [yes].")
    encoder: str | None = _setting(
        None,
        "BERTScore's encoder, a folder or Hub name; the paper's is roberta-large "
        "[all-MiniLM-L6-v2, which is installed]",
    )
    layer: int | None = _setting(None, "Layer of the encoder [the one known to be best]")
    baseline: str | None = _setting(
        None, "Table of baselines to rescale by, as bert_score's [known ones]"
    )
    bertscore_batch_size: int = _setting(BATCH_SIZE, "Texts encoded together.")
    offline: bool = _setting(False, "Take Hub names from the cache alone.")

    def __post_init__(self) -> None:
        wrong = [
            f"{name} is {value!r} and must be {must}"
            for name, value, fine, must in (
                ("mode", self.mode, self.mode in MODES, " or ".join(MODES)),
                ("limit", self.limit, self.limit is None or self.limit >= 2, "2 or more"),
                ("seed", self.seed, self.seed >= 0, "0 or more"),
                ("layer", self.layer, self.layer is None or self.layer >= 0, "0 or more"),
                (
                    "bertscore_batch_size",
                    self.bertscore_batch_size,
                    self.bertscore_batch_size >= 1,
                    "1 or more",
                ),
            )
            if not fine
        ]
        if wrong:
            raise ConfigError("; ".join(wrong))
