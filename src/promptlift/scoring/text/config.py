"""Settings of scoring texts."""

from dataclasses import dataclass
from typing import Any

from promptlift.options import check, option
from promptlift.records import MODES
from promptlift.scoring.text.encoders import BATCH_SIZE


@dataclass(frozen=True, kw_only=True)
class TextConfig:
    """How prompts are made and scored; each default's only home."""

    mode: str = option("rewrite", "Mode of pairs that name none: extend or rewrite.", choices=MODES)
    limit: int | None = option(None, "Number of random pairs to score; unless given, all.", least=2)
    seed: int = option(0, "Seed of sampling pairs, improving prompts and shuffling.", least=0)
    preset: str | None = option(None, "paper: the paper's decoding.")
    max_new_tokens: int | None = option(
        None,
        "Most new tokens of a prompt.",
        shown="those of the preset, or the model's own",
        least=1,
    )
    meteor: bool = option(True, "Whether to take METEOR.")
    bertscore: bool = option(True, "Whether to take BERTScore, which loads an encoder.")
    encoder: str | None = option(
        None,
        "BERTScore's encoder, a folder or Hub name; the paper's is roberta-large.",
        shown="all-MiniLM-L6-v2, which is installed",
    )
    layer: int | None = option(
        None, "Layer of the encoder.", shown="the one known to be best", least=0
    )
    baseline: str | None = option(
        None, "Table of baselines to rescale by, as bert_score's.", shown="known ones"
    )
    bertscore_batch_size: int = option(BATCH_SIZE, "Texts encoded together.", least=1)
    offline: bool = option(False, "Load Hub models from the cache only.")

    def __post_init__(self) -> None:
        check(self)

    def improving(self) -> dict[str, Any]:
        """What is asked of each prompt beside the preset, as `Improver.session` takes it."""
        if self.max_new_tokens is None:
            return {}
        return {"max_new_tokens": self.max_new_tokens}
