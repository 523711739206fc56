"""Settings of judging: the home of each default, its help and its check."""

from dataclasses import dataclass, field
from typing import Any

from promptlift.errors import ConfigError
from promptlift.judging.records import QUESTIONS


def _setting(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True, kw_only=True)
class JudgingConfig:
    """How pairs are assigned to raters, and what raters are asked."""

    raters: tuple[str, ...] = _setting(
        ("me",), "Names of the raters, each with a link of their own."
    )
    per_pair: int = _setting(1, "Raters who see each pair.")
    questions: tuple[str, ...] = _setting(
        tuple(QUESTIONS), "match (which matches the prompt better), picture (which is better)."
    )
    sample: int | None = _setting(None, "Judge this many pairs, chosen at random; otherwise all.")
    repeats: float = _setting(0.1, "Share of a rater's pairs shown again with sides swapped.")
    attention: int = _setting(0, "Pairs for each rater whose answer is known.")

    def __post_init__(self) -> None:
        raters, unknown = self.raters, [name for name in self.questions if name not in QUESTIONS]
        problems = [
            message
            for wrong, message in (
                (not raters or not all(raters), "raters must have names"),
                (len(set(raters)) < len(raters), f"raters has a name twice: {', '.join(raters)}"),
                (self.per_pair < 1, f"per_pair is {self.per_pair} and must be 1 or more"),
                (
                    self.per_pair > len(raters),
                    f"per_pair is {self.per_pair}, and there are {len(raters)} raters; "
                    "name more, or let fewer see each pair",
                ),
                (not self.questions, "questions is empty"),
                (
                    bool(unknown) or len(set(self.questions)) < len(self.questions),
                    f"questions is {', '.join(self.questions)} and must be some of "
                    f"{', '.join(QUESTIONS)}, each once",
                ),
                (
                    self.sample is not None and self.sample < 1,
                    f"sample is {self.sample} and must be 1 or more",
                ),
                (not 0 <= self.repeats <= 1, f"repeats is {self.repeats} and must be in [0, 1]"),
                (self.attention < 0, f"attention is {self.attention} and must be 0 or more"),
            )
            if wrong
        ]
        if problems:
            raise ConfigError("; ".join(problems))
