"""Options of improving: how tokens are drawn, and what is asked of the result."""

from dataclasses import dataclass, fields
from typing import Any

from promptlift.errors import ConfigError
from promptlift.improving.manifest import ModelCard
from promptlift.options import check, option
from promptlift.prompts.clip_tokens import CLIP_BUDGET
from promptlift.prompts.picture_models.table import CLIP, DEFAULT, NAMES, picture_models
from promptlift.prompts.units import UNITS, Unit
from promptlift.records import FORMS

STRENGTHS = {"free": 0.0, "never": 1.0}

# In tokens of the model. A phrase has two or three.
LENGTHS: dict[str, dict[str, Any]] = {
    "short": {"min_new_tokens": 3, "max_new_tokens": 12},
    "medium": {"min_new_tokens": 16, "max_new_tokens": 32},
    "long": {"min_new_tokens": 40, "max_new_tokens": 72},
}
# A word of prose has 1.35: 25 to 45 words, 45 to 80, and 80 to 130; without a length 30 to 110.
PARAGRAPH_LENGTHS: dict[str, dict[str, Any]] = {
    "short": {"min_new_tokens": 34, "max_new_tokens": 60},
    "medium": {"min_new_tokens": 60, "max_new_tokens": 108},
    "long": {"min_new_tokens": 108, "max_new_tokens": 176},
}
PARAGRAPH = {"min_new_tokens": 40, "max_new_tokens": 150}
# Tags that `style`, `reference` and `include` ask for come beside the model's own, not in their
# place: a writer that ends after two phrases added "ink drawing, low angle" and nothing else.
WISHED_TOKENS = 16
MOST_DRAFTS = 16


@dataclass(frozen=True, kw_only=True)
class DecodingConfig:
    """How tokens are chosen; named as in transformers."""

    do_sample: bool = option(
        True, "Draw tokens at random; otherwise take the likeliest (greedy).", off="--greedy"
    )
    temperature: float = option(
        1.0, "Below 1 keeps to likely tokens, above 1 strays.", least=0.01, most=100
    )
    top_k: int = option(50, "Draw from so many likeliest tokens; 0 for all.", least=0)
    top_p: float = option(
        1.0, "Draw from the fewest tokens that have this probability together.", above=0, most=1
    )
    min_new_tokens: int = option(0, "The result does not end before so many tokens.", least=0)
    max_new_tokens: int = option(64, "The result ends after so many tokens.", least=1)
    repetition_penalty: float = option(
        1.0, "Above 1, tokens that were used are less likely.", least=1, most=100
    )
    no_repeat_ngram_size: int = option(
        0, "No run of so many tokens occurs twice; 0 for no limit.", least=0
    )

    best_of: int = option(
        1,
        "Above 1, phrases are looked up for the prompt, and so many extensions in tags are drawn "
        "where these do not suffice; the phrases that belong best are kept. With 1 the model "
        "writes alone.",
        least=1,
        most=MOST_DRAFTS,
    )
    draft_temperature: float | None = option(
        None, "Temperature of these drafts; where none is given, that of all.", least=0.01, most=100
    )

    def __post_init__(self) -> None:
        shortest, longest = self.min_new_tokens, self.max_new_tokens
        check(
            self,
            f"min_new_tokens is {shortest} and must be at most max_new_tokens, {longest}"
            if shortest > longest
            else "",
        )


@dataclass(frozen=True, kw_only=True)
class ControlConfig:
    """What is asked of a result, whichever tokens the model would choose."""

    artists: float | str = option(
        "never", "Artists that the prompt does not name: free, never, or a strength from 0 to 1."
    )
    styles: float | str = option(
        "never", "Styles and mediums that it does not name: free, never, or a strength from 0 to 1."
    )
    avoid: tuple[str, ...] = option((), "Words or phrases that are never added.")
    include: tuple[str, ...] = option((), "Words or phrases that are added where they fit.")
    safe: bool = option(True, "Keep unsafe words out of the additions.")
    style: str | None = option(None, "Additions begin with this style, and the rest follows it.")
    reference: str | None = option(None, "Additions in the manner of this prompt.")
    length: str | None = option(None, "short, medium or long additions.", choices=tuple(LENGTHS))
    diversity: float = option(
        0.0,
        "From 0 to 1: how much a variant avoids the phrases of the ones before it.",
        least=0,
        most=1,
    )
    keep_intent: bool = option(True, "Check that the result keeps what the prompt asks for.")
    force: bool = option(False, "Improve prompts too that are detailed already or not in English.")
    guards: bool = option(True, "Drop repeated, unfinished and broken phrases from the result.")
    max_prompt_tokens: int | None = option(
        CLIP_BUDGET,
        "Tokens of the picture model's encoder that the prompt may have with its additions; a "
        "paragraph for a model that reads CLIP has a length of its own.",
        least=1,
        shown=f"{CLIP_BUDGET}, of CLIP, or what --for says",
    )
    chunks: int = option(
        1, "Chunks of so many tokens that the prompt may fill, for tools that chain them.", least=1
    )
    coherent: bool = option(
        True,
        "Drop additions that say again, in other words, what the prompt or an earlier one says, "
        "and those that exclude an earlier one.",
    )
    form: str = option(
        "tags",
        "tags: phrases after your words; paragraph: sentences, which CLIP's tokens do not limit; "
        "json: what FLUX.2 and Ideogram 4 read.",
        choices=(*FORMS, "json"),
        shown="that of --for, or what the model has learned",  # so `resolve_options` decides
    )
    picture_model: str = option(
        DEFAULT,
        f"Picture model that the prompt is for, which sets form, limit and quality tags: "
        f"{', '.join(NAMES)}.",
        choices=NAMES,
        typed="for",
    )

    def __post_init__(self) -> None:
        wrong = [
            f"{name} is {value!r} and must be free, never or from 0 to 1"
            for name in ("artists", "styles")
            for value in (getattr(self, name),)
            if value not in STRENGTHS and not (_is_number(value) and 0 <= value <= 1)
        ]
        for name in ("avoid", "include"):
            given = getattr(self, name)
            if isinstance(given, str) or not all(str(phrase).strip() for phrase in given):
                wrong.append(f"{name} is {given!r} and must be a list of phrases")
        wrong += [
            f"{name} is empty"
            for name, given in (("style", self.style), ("reference", self.reference))
            if given is not None and not str(given).strip()
        ]
        if self.form == "json" and self.picture_model in NAMES:
            read_json = [name for name, model in picture_models().items() if model.object]
            if self.picture_model not in read_json:
                wrong.append(
                    f"form is 'json', which {self.picture_model} does not read; "
                    f"these do: {', '.join(read_json)} (--for)"
                )
        check(self, *wrong)

    @property
    def artist_strength(self) -> float:
        """From 0, free, to 1, never."""
        return _strength(self.artists)

    @property
    def style_strength(self) -> float:
        """From 0, free, to 1, never."""
        return _strength(self.styles)

    @property
    def max_tokens(self) -> int | None:
        """CLIP tokens of all chunks together; None for any number, as in a paragraph."""
        of_clip = picture_models()[self.picture_model].encoder == CLIP
        return self.encoder_tokens if of_clip else None

    @property
    def encoder_tokens(self) -> int | None:
        """Tokens of the picture model's encoder; CLIP's are those of all chunks together."""
        if picture_models()[self.picture_model].encoder != CLIP:
            return self.max_prompt_tokens
        if self.form == "paragraph" or self.max_prompt_tokens is None:
            return None
        return self.max_prompt_tokens * self.chunks

    @property
    def written_form(self) -> str:
        """What is written: JSON is filled from tags, whose phrases speak of one thing each."""
        return "tags" if self.form == "json" else self.form

    @property
    def unit(self) -> Unit:
        """The units of the form."""
        return UNITS[self.written_form]


def resolve_options(
    card: ModelCard, preset: str | None, options: dict[str, Any]
) -> tuple[DecodingConfig, ControlConfig]:
    """The model's defaults, or a preset in their place, overridden by what the caller gave.

    Where no form is named, it is the picture model's, if the model writes it, and otherwise the
    model's own (`ModelCard.form`). The token limit is the picture model's.

    Raises:
        ConfigError: an option or preset is unknown, or a value cannot be used.
    """
    decoding = [item.name for item in fields(DecodingConfig)]
    control = [item.name for item in fields(ControlConfig)]
    for name in options:
        if name not in (*decoding, *control):
            known = ", ".join((*decoding, *control))
            raise ConfigError(f"unknown option {name!r}; there is: {known}")
    if preset is not None and preset not in PRESETS:
        raise ConfigError(f"unknown preset {preset!r}; there is: {', '.join(PRESETS)}")
    base = card.decoding if preset is None else PRESETS[preset]
    asked = {name: value for name, value in {**base, **options}.items() if name in control}
    for name in ("avoid", "include"):
        if isinstance(asked.get(name), list):  # as JSON has it
            asked[name] = tuple(asked[name])
    _suit(asked, card)
    wanted = ControlConfig(**asked)
    given = {name: value for name, value in options.items() if name in decoding}
    if "temperature" in given:
        given.setdefault("draft_temperature", given["temperature"])
    prose = wanted.form == "paragraph"
    if wanted.length is not None:
        given = {**(PARAGRAPH_LENGTHS if prose else LENGTHS)[wanted.length], **given}
    values = {name: value for name, value in base.items() if name in decoding}
    if prose and preset is None:  # a card's lengths are those of its tags
        values |= PARAGRAPH
    elif preset is None and (wanted.style or wanted.reference or wanted.include):
        values["min_new_tokens"] = max(values.get("min_new_tokens", 0), WISHED_TOKENS)
    values |= given
    # Of two bounds that exclude each other, a default gives way to the one that was given.
    shortest, longest = values.get("min_new_tokens", 0), values.get("max_new_tokens")
    if longest is not None and shortest > longest:
        if "min_new_tokens" not in given:
            values["min_new_tokens"] = longest
        elif "max_new_tokens" not in given:
            values["max_new_tokens"] = shortest
    return DecodingConfig(**values), wanted


def _suit(asked: dict[str, Any], card: ModelCard) -> None:
    """Fill in form and limit where they were not given."""
    target = picture_models().get(asked.get("picture_model", DEFAULT))
    if asked.get("form") is None:
        # A form that the model has not learned is refused only where it was asked for by name.
        fits = target is not None and (target.form == "json" or target.form in card.forms)
        asked["form"] = target.form if target is not None and fits else card.form(None)
    if target is not None:
        asked.setdefault("max_prompt_tokens", target.room)


# "paper": min_length=40, max_length=1000 and repetition_penalty=1.4. Lengths there count the
# token that starts the decoder, new tokens do not; top_k 50 is transformers' default.
PRESETS: dict[str, dict[str, Any]] = {
    "paper": {
        "min_new_tokens": 39,
        "max_new_tokens": 999,
        "repetition_penalty": 1.4,
        "artists": "free",
        "styles": "free",
        "safe": False,
        "keep_intent": False,
        "coherent": False,
        "guards": False,
        "max_prompt_tokens": None,
    }
}


def _strength(value: float | str) -> float:
    return STRENGTHS[value] if isinstance(value, str) else float(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
