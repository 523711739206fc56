"""Decoding options."""

from dataclasses import dataclass, field, fields
from typing import Any

from promptlift.errors import ConfigError
from promptlift.improving.clip_tokens import CLIP_BUDGET


def _option(default: Any, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True, kw_only=True)
class DecodingConfig:
    """How tokens are chosen and what is done with the text; named as in transformers."""

    do_sample: bool = _option(True, "Draw tokens at random; otherwise take the likeliest (greedy).")
    temperature: float = _option(1.0, "Below 1 keeps to likely tokens, above 1 strays.")
    top_k: int = _option(50, "Draw from so many likeliest tokens; 0 for all.")
    top_p: float = _option(1.0, "Draw from the fewest tokens that have this probability together.")
    min_new_tokens: int = _option(0, "The result does not end before so many tokens.")
    max_new_tokens: int = _option(64, "The result ends after so many tokens.")
    repetition_penalty: float = _option(1.0, "Above 1, tokens that were used are less likely.")
    no_repeat_ngram_size: int = _option(0, "No run of so many tokens occurs twice; 0 for no limit.")
    guards: bool = _option(True, "Drop repeated, unfinished and broken phrases from the result.")
    clip_budget: int | None = _option(
        CLIP_BUDGET, "Additions stop before the prompt is longer than so many CLIP tokens."
    )

    def __post_init__(self) -> None:
        wrong = [
            f"{name} is {getattr(self, name)!r} and must be {must}"
            for name, fine, must in (
                ("temperature", self.temperature > 0, "above 0 (greedy: do_sample=False)"),
                ("top_k", self.top_k >= 0, "0 or more"),
                ("top_p", 0 < self.top_p <= 1, "above 0 and at most 1"),
                ("min_new_tokens", self.min_new_tokens >= 0, "0 or more"),
                ("max_new_tokens", self.max_new_tokens >= 1, "1 or more"),
                ("repetition_penalty", self.repetition_penalty >= 1, "1 or more"),
                ("no_repeat_ngram_size", self.no_repeat_ngram_size >= 0, "0 or more"),
                ("clip_budget", self.clip_budget is None or self.clip_budget >= 1, "1 or more"),
            )
            if not fine
        ]
        if self.min_new_tokens > self.max_new_tokens:
            wrong.append(
                f"min_new_tokens is {self.min_new_tokens} and must be at most max_new_tokens, "
                f"{self.max_new_tokens}"
            )
        if wrong:
            raise ConfigError("; ".join(wrong))

    @classmethod
    def resolve(
        cls, defaults: dict[str, Any], preset: str | None, options: dict[str, Any]
    ) -> "DecodingConfig":
        """The model's defaults, or a preset in their place, overridden by what the caller gave.

        Raises:
            ConfigError: an option or preset is unknown, or a value cannot be used.
        """
        known = [item.name for item in fields(cls)]
        for name in options:
            if name not in known:
                raise ConfigError(f"unknown decoding option {name!r}; there is: {', '.join(known)}")
        if preset is not None and preset not in PRESETS:
            raise ConfigError(f"unknown preset {preset!r}; there is: {', '.join(PRESETS)}")
        values = {**(defaults if preset is None else PRESETS[preset]), **options}
        # Of two bounds that exclude each other, a default gives way to the one that was given.
        shortest, longest = values.get("min_new_tokens", 0), values.get("max_new_tokens")
        if longest is not None and shortest > longest:
            if "min_new_tokens" not in options:
                values["min_new_tokens"] = longest
            elif "max_new_tokens" not in options:
                values["max_new_tokens"] = shortest
        return cls(**values)


# "paper": min_length=40, max_length=1000 and repetition_penalty=1.4. Lengths there count the
# token that starts the decoder, new tokens do not; top_k 50 is transformers' default.
PRESETS: dict[str, dict[str, Any]] = {
    "paper": {
        "min_new_tokens": 39,
        "max_new_tokens": 999,
        "repetition_penalty": 1.4,
        "guards": False,
        "clip_budget": None,
    }
}
