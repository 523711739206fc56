"""What a picture carries: its prompt's receipt, extended by how it was drawn, and A1111's text.

The bytes of a picture depend on what was asked for, not on when it was drawn: a job that was
killed and went on leaves the same files as one that ran through.
"""

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from promptlift.errors import InputError
from promptlift.illustrating.inputs import clip_tokens
from promptlift.illustrating.records import DrawnPicture
from promptlift.improving.receipts import A1111_KEYWORD, KEYWORD, a1111_parameters
from promptlift.pictures import ORIGINAL, Picture
from promptlift.png_text import read_png_text, with_png_texts
from promptlift.records import SCHEMA_VERSION, Improvement

# Of an improvement's settings: `sha256` of what is drawn in place of its prompt, and `file` where
# it is kept beside the improvements; and how it was made.
EMBEDDING, STEERED = "embedding", "steered"
# Of nine levels the first: 11% larger files in 0.27 s instead of 0.46 at 1024x1024.
_COMPRESSION = 1
_VERSIONED = ("promptlift", "torch", "diffusers", "transformers")
_OF_SERVERS = ("promptlift",)
# A1111's names for settings.
_A1111 = {"num_inference_steps": "Steps", "scheduler": "Sampler", "guidance_scale": "CFG scale"}


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """How a picture of a run is drawn: everything that decides its pixels, and its place.

    Attributes:
        prompt_index: position of its prompt in the input.
        seed: of its noise.
        side: "original" or "improved".
        variant: which improvement, from 0; None for the original.
        improvement: whose prompt, or source, it shows.
        negative: the negative prompt, or None.
        settings: `Illustrator.settings()`.
        model: `Illustrator.describe_model()`.
    """

    prompt_index: int
    seed: int
    side: str
    variant: int | None
    improvement: Improvement
    negative: str | None
    settings: dict[str, Any]
    model: list[dict[str, str]]

    @property
    def file(self) -> str:
        """Name of its file."""
        variant = "" if self.variant is None else f"-v{self.variant}"
        return f"{self.prompt_index:06d}-s{self.seed}-{self.side}{variant}.png"

    @property
    def prompt(self) -> str:
        """What is drawn."""
        return self.improvement.source if self.side == ORIGINAL else self.improvement.prompt

    @property
    def embedding(self) -> Mapping[str, str] | None:
        """`sha256`, and perhaps `file`, of what is drawn in place of the prompt's words."""
        if self.side == ORIGINAL:
            return None
        found: Mapping[str, str] | None = self.improvement.settings.get(EMBEDDING)
        return found

    @property
    def key(self) -> str:
        """A hash of all that decides its pixels."""
        hashes = [part["sha256"] for part in self.model]
        decides = [self.prompt, self.seed, self.negative, self.settings, hashes]
        decides += [self.embedding["sha256"]] if self.embedding else []
        return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()[:16]

    def picture(self, folder: Path, **found: Any) -> Picture:
        """Its row of the index; `found` is what is known once it is drawn."""
        return Picture(
            prompt_index=self.prompt_index,
            seed=self.seed,
            side=self.side,
            variant=self.variant or 0,
            path=folder / self.file,
            prompt=self.prompt,
            source=self.improvement.source,
            negative=self.negative,
            settings=self.settings,
            model=self.model,
            **found,
        )


def png_bytes(drawing: Drawing, picture: DrawnPicture) -> bytes:
    """The picture as PNG, with the texts `promptlift` and `parameters`."""
    output = io.BytesIO()
    picture.image.save(output, "PNG", compress_level=_COMPRESSION)
    texts = {
        KEYWORD: json.dumps(_receipt(drawing, picture)),
        A1111_KEYWORD: a1111_parameters(_improvement(drawing), _a1111_settings(drawing, picture)),
    }
    return with_png_texts(output.getvalue(), texts, drawing.file)


def read_drawing(path: Path) -> dict[str, Any] | None:
    """The object `drawing` of a whole picture's receipt; None where it carries none.

    Raises:
        InputError: the file is damaged, cut short or no PNG.
        OSError: it cannot be read.
    """
    text = read_png_text(path).get(KEYWORD)
    if text is None:
        return None
    try:
        drawing = json.loads(text)["drawing"]
    except (ValueError, KeyError, TypeError):
        return None
    if not isinstance(drawing, dict):
        raise InputError(f"{path} carries a receipt that is damaged")
    return drawing


def _receipt(drawing: Drawing, picture: DrawnPicture) -> dict[str, Any]:
    width, height = picture.image.size
    versioned = _OF_SERVERS if "backend" in drawing.settings else _VERSIONED
    return {
        **_improvement(drawing).to_dict(),
        "schema_version": SCHEMA_VERSION,
        "drawing": {
            "prompt_index": drawing.prompt_index,
            "seed": drawing.seed,
            "side": drawing.side,
            "variant": drawing.variant,
            "width": width,
            "height": height,
            "settings": drawing.settings,
            "model": drawing.model,
            "cut": picture.cut,
            "cut_tokens": picture.cut_tokens,
            "notes": list(picture.notes),
            "versions": {name: version(name) for name in versioned},
            **({"told": dict(picture.told)} if picture.told else {}),
            "key": drawing.key,
        },
    }


def _improvement(drawing: Drawing) -> Improvement:
    """The improvement, or for an original a record that says that nothing was improved."""
    given = drawing.improvement
    found = unimproved(given.source) if drawing.side == ORIGINAL else given
    return replace(found, negative=drawing.negative)


def unimproved(prompt: str) -> Improvement:
    """A record that says that nothing was improved."""
    return Improvement(
        source=prompt,
        prompt=prompt,
        additions=(),
        clip_tokens=clip_tokens(prompt),
        seed=0,
        variant=0,
        mode="original",
        model="none",
    )


def _a1111_settings(drawing: Drawing, picture: DrawnPicture) -> dict[str, object]:
    settings = {**drawing.settings, **{k: v for k, v in picture.told.items() if v is not None}}
    found = {name: settings.get(key) for key, name in _A1111.items()}
    base, (width, height) = drawing.model[0], picture.image.size
    found |= {"Seed": drawing.seed, "Size": f"{width}x{height}"}
    known = base["sha256"] if "backend" not in settings else settings.get("model_hash") or ""
    found["Model hash"] = known[:10]
    found["Model"] = base["name"]
    if drawing.embedding is not None:
        found["Drawn from"] = _origin(drawing)
    return {name: value for name, value in found.items() if value not in (None, "")}


def _origin(drawing: Drawing) -> str:
    """Tells readers of a picture that its prompt is not what was drawn."""
    steered = drawing.improvement.settings.get(STEERED, {})
    if steered.get("towards") == drawing.prompt and "share" in steered:
        return f"an embedding {steered['share']:.0%} of the way to these words"
    return "an embedding instead of these words"
