"""What the plug-ins of image tools share: their options, and one model that stays loaded.

Users copy the plug-ins into their tools, so the plug-ins hold as little as possible.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from promptlift.errors import ConfigError
from promptlift.improving.config import LENGTHS
from promptlift.improving.improver import Improver
from promptlift.options import option
from promptlift.prompts.clip_tokens import CLIP_BUDGET
from promptlift.prompts.picture_models.table import DEFAULT, NAMES
from promptlift.records import FORMS, MODES, Improvement

ANY = "any"
MOST_TOKENS = 10 * CLIP_BUDGET
MOST_VARIANTS = 32


@dataclass(frozen=True, kw_only=True)
class ToolOptions:
    """The options of a plug-in, in the order in which it shows them.

    Fields carry what a user interface needs: `help`, and `choices`, or `least` and `most`.
    """

    mode: str = option(
        "extend", "extend keeps your words and adds to them; rewrite writes anew.", choices=MODES
    )
    artists: float = option(
        1.0,
        "How firmly artists that the prompt does not name are kept out: 0 free, 1 never.",
        least=0.0,
        most=1.0,
    )
    styles: float = option(
        1.0,
        "How firmly styles and mediums that it does not name are kept out: 0 free, 1 never.",
        least=0.0,
        most=1.0,
    )
    length: str = option(
        ANY, "How much is added; any leaves it to the model.", choices=(ANY, *LENGTHS)
    )
    max_prompt_tokens: int = option(
        CLIP_BUDGET,
        "Tokens that the prompt may have with its additions; 75 stands for what the picture model "
        "reads, and more is for tools that chain chunks.",
        least=1,
        most=MOST_TOKENS,
    )
    variant: int = option(
        0, "Another result for the same seed, counted from 0.", least=0, most=MOST_VARIANTS - 1
    )
    form: str = option(
        ANY,
        "any: what the picture model reads best; tags: phrases after your words; paragraph: "
        "sentences; json: what FLUX.2 and Ideogram 4 read.",
        choices=(ANY, *FORMS, "json"),
    )
    picture_model: str = option(
        DEFAULT,
        "Picture model that the prompt is for, which sets form, limit and quality tags.",
        choices=NAMES,
    )

    def __post_init__(self) -> None:
        wrong = [
            f"{name} is {value!r} and must be a whole number from {least} to {most}"
            for name, value, least, most in (
                ("max_prompt_tokens", self.max_prompt_tokens, 1, MOST_TOKENS),
                ("variant", self.variant, 0, MOST_VARIANTS - 1),
            )
            if value not in range(least, most + 1)
        ]
        if wrong:
            raise ConfigError("; ".join(wrong))

    def given(self) -> dict[str, Any]:
        """The options as `Improver.improve` takes them."""
        given = {
            "n": int(self.variant) + 1,  # as many as are needed to have this one
            "mode": self.mode,
            "artists": self.artists,
            "styles": self.styles,
            "picture_model": self.picture_model,
            "length": self.length,
            "max_prompt_tokens": int(self.max_prompt_tokens),
            "form": self.form,
        }
        # What these leave open, the picture model or the writing model decides.
        opened = {"length": ANY, "form": ANY, "max_prompt_tokens": CLIP_BUDGET}
        return {name: value for name, value in given.items() if value != opened.get(name)}


def improve_in_tool(
    prompts: Sequence[str], seeds: Sequence[int], options: ToolOptions
) -> list[Improvement | None]:
    """Improve the prompt of each picture with the bundled model, on the processor.

    Args:
        prompts: one for each picture.
        seeds: of the pictures: each prompt is improved with its own.
        options: of the plug-in.

    Returns:
        An improvement for each picture, None where the prompt is blank.

    Raises:
        PromptliftError: an option or a prompt cannot be used.
    """
    improver, given = bundled_improver(), options.given()
    pictures = [(prompt, int(seed)) for prompt, seed in zip(prompts, seeds, strict=True)]
    found = {
        (prompt, seed): improver.improve(prompt, seed=seed, **given)[-1]
        for prompt, seed in dict.fromkeys(pictures)
        if prompt.strip()
    }
    return [found.get(picture) for picture in pictures]


@cache
def bundled_improver() -> Improver:
    """The bundled model, loaded when it is first needed."""
    return Improver.load()


def infotext(improvement: Improvement) -> Mapping[str, str]:
    """Entries of A1111's parameters that say how a prompt was improved."""
    return {
        "promptlift source": improvement.source,
        "promptlift model": improvement.model,
        "promptlift result": (
            f"{improvement.mode} seed {improvement.seed} variant {improvement.variant}"
        ),
    }
