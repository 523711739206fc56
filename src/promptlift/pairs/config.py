"""Settings of making pairs: the home of each default, its help and its check."""

import re
from dataclasses import dataclass, field

from promptlift.endpoint import wrong_url
from promptlift.options import REQUIRED, check, option
from promptlift.records import MODES

_UNFIT = (
    "Keep texts that are no prompts: nan, refusals, prefaces and fences of a chat, settings, "
    "negative prompts, flags, tags, JSON."
)
FORMS = ("head", "bare")
KEPT = ("offers", "words", "all")  # of targets


@dataclass(frozen=True, kw_only=True)
class ColumnsConfig:
    """What is read of a file of pairs; the fields are arguments of `load_pairs`."""

    source: str | None = option(None, "Column of the sources.")
    target: str | None = option(None, "Column of the targets.")
    mode: str = option(
        "rewrite",
        "What pairs without a column `mode` are for: rewrite or extend.",
        choices=MODES,
    )
    keep_unfit: bool = option(False, _UNFIT)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, kw_only=True)
class BuildConfig:
    """Which pairs are made of detailed prompts."""

    keep: str = option(
        "offers",
        "What targets keep: offers (phrases that fit a stranger's prompt), words (all but names "
        "and unknown words), all.",
        choices=KEPT,
    )
    cuts: int = option(2, "Random cuts of a prompt beside the head.", least=0)
    seed: int = option(0, "Seed of the cuts.")
    forms: tuple[str, ...] = option(
        ("head",),
        "Plain form to rewrite: head (the first clause without its medium), bare (the prompt "
        "without style, medium, light, fillers, painters); may be repeated.",
        choices=FORMS,
    )
    drop_near: bool = option(False, "Keep one of each group of near-duplicates.")
    max_share: float = option(
        1.0, "Share of targets that may hold one and the same phrase to add.", above=0, most=1
    )
    keep_unfit: bool = option(False, _UNFIT)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, kw_only=True)
class SplitConfig:
    """How pairs are split into those to train on and those to test on."""

    test_share: float = option(0.1, "Share of the groups to test on.", above=0, below=1)
    seed: int = option(0, "Another seed gives another split.")

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True, kw_only=True)
class ParaphraseConfig:
    """Whom to ask for paraphrases, and how much.

    `api_key` is sent as a bearer token and kept nowhere; no command and no message shows it.
    """

    url: str = option(
        REQUIRED,
        "OpenAI-compatible endpoint, http://localhost:8000/v1, that also shortens each prompt.",
    )
    model: str = option(REQUIRED, "Model to ask there.")
    api_key: str | None = field(default=None, repr=False)
    concurrency: int = option(4, "Requests at a time.", least=1, most=256)
    max_requests: int | None = option(
        None, "Stop asking after so many; repeated ones count.", least=0
    )
    max_tokens: int = option(64, "Tokens of an answer; models that reason need more.", least=1)
    temperature: float = option(0.0, "Temperature of the model asked.", least=0, most=2)
    timeout_s: float = option(
        60.0, "Seconds of silence after which a request has failed.", above=0, most=3600
    )
    attempts: int = option(4, "Requests for a prompt until it has failed.", least=1)
    max_words: int = option(12, "Words of a paraphrase.", least=1)

    def __post_init__(self) -> None:
        check(
            self,
            wrong_url(self.url, "url"),
            "" if self.model.strip() else f"model is {self.model!r} and must be a name",
            ""
            if self.api_key is None or re.fullmatch(r"[!-~]+", self.api_key)
            else "api_key is empty or holds what no HTTP header may hold",
        )
