"""Settings of picking: the home of each default, its help and its check."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from promptlift.errors import ConfigError
from promptlift.improving.config import PRESETS

# Of each prompt: one picture says nothing of chance, and with two only huge gains are clear.
SEEDS = 4
MODES = ("extend", "rewrite")


def _setting(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True, kw_only=True)
class PickConfig:
    """How the best of several improved prompts is picked."""

    n: int = _setting(4, "Improved prompts to choose from, of each prompt.")
    seed: int = _setting(0, "Seed of the improved prompts.")
    mode: str = _setting("extend", "extend keeps your words and adds; rewrite writes anew.")
    preset: str | None = _setting(None, "paper: the paper's decoding.")
    improving: Mapping[str, Any] = field(default_factory=dict)  # as `Improver.improve` takes them
    metric: str = _setting(
        "clip",
        "What pictures are judged by, with the original prompt's words: clip (CLIPScore), "
        "pickscore or aesthetic.",
    )
    always: bool = _setting(
        False, "Take the best improved prompt even where its gain is not clear."
    )
    confirm_seeds: int = _setting(
        0, "Draw what was chosen, and its original, from so many fresh seeds: an honest gain."
    )

    def __post_init__(self) -> None:
        wrong = [
            f"{name} is {getattr(self, name)!r} and must be {must}"
            for name, fine, must in (
                ("n", self.n >= 1, "1 or more"),
                ("mode", self.mode in MODES, " or ".join(MODES)),
                ("preset", self.preset in (None, *PRESETS), " or ".join(PRESETS)),
                ("confirm_seeds", self.confirm_seeds >= 0, "0 or more"),
            )
            if not fine
        ]
        if wrong:
            raise ConfigError("; ".join(wrong))

    def improve_options(self) -> dict[str, Any]:
        """The options of `Improver.improve_stream`."""
        own = {"n": self.n, "seed": self.seed, "mode": self.mode, "preset": self.preset}
        return {**self.improving, **own}

    def to_dict(self) -> dict[str, Any]:
        """What decides the choice beside prompts and models, as plain JSON types."""
        values = asdict(self)
        del values["improving"]
        return {**values, **self.improving}
