"""The table of picture models: form, encoder, limit, quality tags and the rest of each."""

import json
import sys
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

DEFAULT = "sdxl"
CLIP = "clip"  # an encoder
_FOLDER = files("promptlift.prompts.picture_models")


@dataclass(frozen=True, kw_only=True)
class PictureModel:
    """What a picture model reads; `models.toml` says where that is from.

    Attributes:
        name: as `--for` has it.
        title: its name.
        form: "tags", "paragraph" or "json".
        encoders: all its text encoders.
        encoder: a key of `encoders.ENCODERS`, the one whose limit counts.
        limit: tokens of that encoder.
        reserved: those of them that its template and its end token take.
        markup: whether weights and brackets of A1111 are read.
        negatives: whether a negative prompt is read.
        quality: tags that are added by rule.
        quality_at: "start" or "end" of the prompt.
        quality_unless: tags beside which none of them is added.
        never: words that are kept out of additions.
        avoid: what else is better avoided, as advice.
        words: the fewest and the most words that are recommended.
        object: name of the schema of its JSON, "" where it reads none.
    """

    name: str
    title: str
    form: str
    encoders: tuple[str, ...]
    encoder: str
    limit: int
    reserved: int = 0
    markup: bool
    negatives: bool
    quality: tuple[str, ...] = ()
    quality_at: str = "start"
    quality_unless: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    avoid: tuple[str, ...] = ()
    words: tuple[int, ...]
    object: str = ""

    @property
    def room(self) -> int:
        """Tokens that a prompt may have."""
        return self.limit - self.reserved


@cache
def picture_models() -> dict[str, PictureModel]:
    """The picture models by name."""
    values: dict[str, dict[str, Any]] = tomllib.loads(
        (_FOLDER / "models.toml").read_text(encoding="utf-8")
    )
    found = {}
    for name, value in values.items():
        fields: dict[str, Any] = {
            key: tuple(item) if isinstance(item, list) else item for key, item in value.items()
        }
        found[name] = PictureModel(name=name, **fields)
    return found


NAMES = tuple(picture_models())


@cache
def schema(name: str) -> dict[str, Any]:
    """The JSON Schema of a picture model's prompts, by the `object` of `PictureModel`."""
    text = (_FOLDER / f"{name}.schema.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    return found
