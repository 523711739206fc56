"""Frozen records that rooms exchange."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Pair:
    """What a model reads and what it should answer.

    Attributes:
        source: a plain prompt, or the head of a detailed one.
        target: in mode "rewrite" the whole detailed prompt, in mode "extend" what to add.
        mode: "rewrite" or "extend".
    """

    source: str
    target: str
    mode: str = "rewrite"


@dataclass(frozen=True, kw_only=True)
class Improvement:
    """One improved prompt and all that is needed to draw it again.

    Attributes:
        source: the prompt as the user gave it.
        prompt: the improved prompt.
        additions: phrases that were added; in `rewrite` mode the phrases of the
            result that the source lacks.
        clip_tokens: length of `prompt` in CLIP tokens, without start and end token.
            SDXL's text encoders read 75.
        seed: the seed, given or drawn.
        variant: index of this variant, from 0.
        mode: "extend" or "rewrite".
        model: name of the model and the first 12 hex digits of its hash, `name@hash`.
    """

    source: str
    prompt: str
    additions: tuple[str, ...]
    clip_tokens: int
    seed: int
    variant: int
    mode: str
    model: str

    def to_dict(self) -> dict[str, Any]:
        """The record as plain JSON types, fields in the order above."""
        return {**asdict(self), "additions": list(self.additions)}
