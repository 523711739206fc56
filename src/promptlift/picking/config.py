"""Settings of picking: the home of each default, its help and its check."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from promptlift.improving.config import PRESETS
from promptlift.options import check, option
from promptlift.records import MODES

# Of each prompt: one picture says nothing of chance, and with two only huge gains are clear.
SEEDS = 4


@dataclass(frozen=True, kw_only=True)
class PickConfig:
    """How the best of several improved prompts is picked."""

    n: int = option(4, "Improved prompts to choose from, of each prompt.", least=1, short="-n")
    seed: int = option(0, "Seed of the improved prompts.")
    mode: str | None = option(
        None,
        "extend keeps your words and adds; rewrite writes anew.",
        choices=MODES,
        shown="what the model has learned",
    )
    preset: str | None = option(None, "paper: the paper's decoding.", choices=tuple(PRESETS))
    improving: Mapping[str, Any] = field(default_factory=dict)  # as `Improver.improve` takes them
    metric: str = option(
        "clip",
        "What pictures are judged by, with the original prompt's words: clip (CLIPScore), wants, "
        "pickscore, aesthetic, sharpness, contrast, entropy, or MODULE:FUNCTION, your own, which "
        "takes prompts and pictures and gives numbers.",
    )
    always: bool = option(
        False,
        "Take the best improved prompt even where its gain is not clear.",
    )
    confirm_seeds: int = option(
        0,
        "Draw what was chosen, and its original, from so many fresh seeds: an honest gain.",
        least=0,
    )

    def __post_init__(self) -> None:
        check(self)

    def improve_options(self) -> dict[str, Any]:
        """The options of `Improver.improve_stream`."""
        own = {"n": self.n, "seed": self.seed, "mode": self.mode, "preset": self.preset}
        return {**self.improving, **own}

    def to_dict(self) -> dict[str, Any]:
        """What decides the choice beside prompts and models, as plain JSON types."""
        values = asdict(self)
        del values["improving"]
        return {**values, **self.improving}
