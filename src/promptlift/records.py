"""Frozen records that rooms exchange."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from promptlift import notebook

MODES = ("extend", "rewrite")  # keep the prompt and add to it, or write it anew
FORMS = ("tags", "paragraph")  # phrases between commas, or prose


@dataclass(frozen=True, kw_only=True)
class Pair:
    """What a model reads and what it should answer.

    Attributes:
        source: a plain prompt, or the head of a detailed one.
        target: in mode "rewrite" the whole detailed prompt, in mode "extend" what to add.
        mode: "rewrite" or "extend".
        form: of the target, "tags" or "paragraph".
        rejected: an answer that is worse than the target, to learn the difference; None where
            there is none.
    """

    source: str
    target: str
    mode: str = "rewrite"
    form: str = "tags"
    rejected: str | None = None


@dataclass(frozen=True)
class Dropped:
    """A phrase or sentence that the model wrote and that was left out.

    Attributes:
        phrase: the phrase or sentence.
        reason: why: "budget", "repeated", "painter", "another time of day", …
    """

    phrase: str
    reason: str


SCHEMA_VERSION = 4  # of an improvement as JSON: its receipt


@dataclass(frozen=True, kw_only=True)
class Improvement:
    """One improved prompt and all that is needed to make it again: its receipt.

    Attributes:
        source: the prompt as the user gave it.
        prompt: the improved prompt.
        additions: phrases that were added, or sentences of a paragraph; in `rewrite` mode those
            of the result that the source lacks.
        clip_tokens: CLIP tokens that the text encoders see, without start and end token, of the
            longest part around `BREAK` and `AND`. SDXL's text encoders read 75.
        seed: the seed, given or drawn.
        variant: index of this variant, from 0.
        mode: what was asked for, "extend" or "rewrite"; notes say where one took the other's place.
        model: name of the model and the first 12 hex digits of its hash, `name@hash`.
        dropped: phrases or sentences that the model wrote and that were left out, with the reason.
        notes: what happened beside adding: why the prompt was left alone, what a rewriting had
            lost and how that was mended, that the prompt alone is over the budget.
        negative: the negative prompt, as it was given.
        checks: what was found in the result: `lost` (what the source asks for and it does not
            say), `painters` and `styles` (added, and named neither in the source nor by the
            options `style`, `reference` and `include`), `over_budget`.
        settings: every option that decides the result, and the `versions` of packages.
    """

    source: str
    prompt: str
    additions: tuple[str, ...]
    clip_tokens: int
    seed: int
    variant: int
    mode: str
    model: str
    dropped: tuple[Dropped, ...] = ()
    notes: tuple[str, ...] = ()
    negative: str | None = None
    checks: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return (
            f"Improvement(prompt={self.prompt!r}, clip_tokens={self.clip_tokens}, "
            f"seed={self.seed}, variant={self.variant}, model={self.model!r})"
        )

    def _repr_html_(self) -> str:
        about = f"{self.clip_tokens} CLIP tokens, seed {self.seed}, variant {self.variant}"
        return notebook.with_facts(
            notebook.marked(self.prompt, self.additions, self.source),
            [
                (self.model, about),
                ("Negative prompt", self.negative),
                ("Notes", "; ".join(self.notes)),
                ("Left out", ", ".join(f"{one.phrase} ({one.reason})" for one in self.dropped)),
            ],
        )

    def to_dict(self) -> dict[str, Any]:
        """The record as plain JSON types, fields in the order above."""
        return {
            **vars(self),
            "additions": list(self.additions),
            "dropped": [vars(item) for item in self.dropped],
            "notes": list(self.notes),
            "checks": dict(self.checks),
            "settings": dict(self.settings),
        }
