"""What requests and answers have in common; refusals are one line as JSON."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import Response
from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from promptlift.improving.receipts import parse_receipt
from promptlift.options import Option, kinds, options_of
from promptlift.prompts.reading import check_prompt
from promptlift.records import Improvement

_LONGEST = 500
# One mistake is enough: one for each item takes seconds and hundreds of megabytes.
FAIL_FAST = Field(fail_fast=True)
_Texts = Annotated[list[str], FAIL_FAST]


class Body(BaseModel):
    """What a request sends: known fields alone, nothing converted but 3.0 to 3."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _whole(cls, given: Any) -> Any:
        """JSON has one kind of number. Too many fields are one mistake, not one each."""
        if not isinstance(given, dict):
            return given
        if len(given) > (most := len(cls.model_fields)):
            raise PydanticCustomError(
                "too_many_fields",
                "it has {given} fields and may have {most}",
                {"given": len(given), "most": most},
            )
        return {
            name: int(value) if isinstance(value, float) and value.is_integer() else value
            for name, value in given.items()
        }


_MOST = 2**31 - 1
_Phrase = Annotated[str, Field(min_length=1, max_length=200)]
_Strength = Annotated[float, Field(ge=0, le=1)] | Literal["free", "never"]


def fields_of(config: type) -> dict[str, Any]:
    """The options of a config as fields of a request, for pydantic's `create_model`."""
    return {
        name: (_hint(item, known) | None, Field(None, description=known.help))
        for name, (item, known) in options_of(config).items()
    }


def _hint(item: "dataclasses.Field[Any]", known: Option) -> Any:
    types = set(kinds(item.type))
    if tuple in types:
        return Annotated[list[_Phrase], Field(max_length=64)]
    if {float, str} <= types:
        return _Strength
    if known.choices:
        return Literal[known.choices]
    [kind] = types
    if kind in (bool, str):
        return kind
    most = _MOST if known.most is None else known.most
    return Annotated[kind, Field(ge=known.least, gt=known.above, le=most, lt=known.below)]


class DroppedPhrase(BaseModel):
    """A phrase that the model wrote and that was left out."""

    phrase: str
    reason: str


class Receipt(BaseModel):
    """An improvement and all that is needed to make it again."""

    source: str
    prompt: str
    additions: _Texts
    clip_tokens: int
    seed: int
    variant: int
    mode: str
    model: str
    dropped: Annotated[list[DroppedPhrase], FAIL_FAST]
    notes: _Texts
    negative: str | None
    checks: dict[str, Any]
    settings: dict[str, Any]
    schema_version: int

    def improvement(self) -> Improvement:
        """It as the record; what it holds beside is left out.

        Raises:
            InputError: it is of another version, or one of its prompts is blank.
        """
        found = parse_receipt(json.dumps(self.model_dump()), "the receipt")
        check_prompt(found.source, "source")
        check_prompt(found.prompt, "prompt")
        return found


class Error(BaseModel):
    """Why a request was refused."""

    error: str


def refusal(status: int, line: str, headers: Mapping[str, str] | None = None) -> Response:
    """An answer with one line of text.

    ASCII, as a line may quote what was sent, and that need not be valid Unicode.
    """
    line = " ".join(line.split())
    line = line if len(line) <= _LONGEST else line[: _LONGEST - 1] + "…"
    return Response(
        json.dumps({"error": line}), status, dict(headers or {}), media_type="application/json"
    )


def errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """How a route may refuse, for its description."""
    return {status: {"model": Error} for status in (*statuses, 400, 401, 403, 408, 413, 421, 500)}


_Text = Annotated[str, Field(json_schema_extra={"pattern": r"\S"})]
# Described for tools; what is amiss is said by `check_prompt`, in plainer words.
Prompts = Annotated[
    _Text | Annotated[list[_Text], FAIL_FAST],
    Field(description="One prompt, or a list of them.", json_schema_extra={"minItems": 1}),
]
