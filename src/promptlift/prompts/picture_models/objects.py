"""A prompt as the JSON that a picture model reads, filled field by field from its parts.

No part is made up: a field that nothing in the prompt or its additions speaks of is left out, boxes
always. The prompt stands whole in the first field; each addition stands somewhere, word for word.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from promptlift.prompts.clauses import split_clauses
from promptlift.prompts.intent import Intent
from promptlift.prompts.lexicon.terms import LIGHT, find_terms, phrases
from promptlift.prompts.picture_models.table import schema

_HEX = re.compile(r"#[0-9a-fA-F]{6}(?![0-9a-fA-F])")
_PHOTO = re.compile(
    r"\b(?:photo\w*|dslr|polaroid|film still|snapshot|35 ?mm|analog film|hyperreal\w*)\b", re.I
)
_SETTING = re.compile(r"\b(?:background|backdrop|foreground|scenery|surroundings)\b", re.I)
_DEPTH = re.compile(r"\bbokeh\b|\bdepth of field\b|\bdof\b|\bf/?\d|\bblur", re.I)
_LENS = re.compile(r"\b\d+ ?mm\b|\blens\b|\bfish-?eye\b|\bmacro\b|\btelephoto\b", re.I)
_ANGLE = re.compile(r"\bangle\b|\bview\b|\bshot\b|\bperspective\b|\bpov\b", re.I)
_PLACE = re.compile(
    r"(?:across|against|amid|amidst|among|at|atop|beside|in|near|on|under|surrounded (?:by|in)) ",
    re.I,
)
_NEXT = re.compile(
    r" (?:across|against|among|at|beside|by|from|in|into|near|of|on|over|through|under|with) ",
    re.I,
)
# "moonlight on the sea" and "light streaming through a window" are of light, "light rain" is not.
_LIGHT = re.compile(rf"\b(?:{'|'.join(sorted(LIGHT))})(?: \w+ing)?$", re.I)
_COLOUR = re.compile(r"\b(?:colou?rs?|palette|shades|tones?|hues)$", re.I)
_STYLES = ("style", "medium", "painter")


@dataclass
class _Parts:
    """The clauses of a prompt and its additions by what they speak of."""

    subject: list[str] = field(default_factory=list)
    style: list[str] = field(default_factory=list)
    light: list[str] = field(default_factory=list)
    camera: list[str] = field(default_factory=list)
    colour: list[str] = field(default_factory=list)
    mood: list[str] = field(default_factory=list)
    filler: list[str] = field(default_factory=list)
    setting: list[str] = field(default_factory=list)
    detail: list[str] = field(default_factory=list)
    written: list[str] = field(default_factory=list)  # words to be seen in the picture
    palette: list[str] = field(default_factory=list)  # hexadecimal colours


def as_object(
    base: str, additions: Sequence[str], kind: str, *, style: str | None = None
) -> dict[str, Any]:
    """The object of a prompt.

    Args:
        base: the prompt, without markup.
        additions: phrases that were added to it.
        kind: "ideogram4" or "flux2".
        style: what one of the additions is that names the style that was asked for.
    """
    parts = _parts(base, additions, style)
    return _ideogram4(base, parts) if kind == "ideogram4" else _flux2(base, parts)


def as_json(found: dict[str, Any]) -> str:
    """An object as text, as short as it can be, in the letters of the prompt."""
    return json.dumps(found, ensure_ascii=False, separators=(",", ":"))


def is_object(prompt: str, kind: str) -> bool:
    """Whether a prompt is the JSON of this kind already: an object with one of its fields."""
    if not prompt.strip().startswith("{"):
        return False
    try:
        found = json.loads(prompt)
    except (ValueError, RecursionError):
        return False
    return isinstance(found, dict) and not found.keys().isdisjoint(schema(kind)["properties"])


def base_of(prompt: str, kind: str) -> str:
    """The prompt that an object was filled from."""
    return str(json.loads(prompt)[next(iter(schema(kind)["properties"]))])


def _parts(base: str, additions: Sequence[str], style: str | None) -> _Parts:
    parts = _Parts()
    for place, clause in enumerate(split_clauses(base)):
        kind = "subject" if place == 0 else _kind(clause)
        getattr(parts, "subject" if kind == "detail" else kind).append(clause)
    first = parts.subject[0] if parts.subject else base
    styles = [term.text for term in find_terms(first) if term.kind in _STYLES]
    # "an oil painting of a cat" names its style in the words for the subject.
    parts.style[:0] = [text for text in styles if text not in parts.style]
    for phrase in additions:
        getattr(parts, "style" if phrase == style else _kind_of_addition(phrase)).append(phrase)
    parts.written = [want.key[0] for want in Intent(base).wants if want.kind == "quoted"]
    whole = " ".join((base, *additions))
    parts.palette = list(dict.fromkeys(found.upper() for found in _HEX.findall(whole)))
    return parts


def _kind(clause: str) -> str:
    """What a clause speaks of, as a field of `_Parts`."""
    known = phrases().get(clause.lower())
    kind = known.kind if known else ""
    if not kind:
        terms = find_terms(clause)
        covered = sum(len(term.text.split()) for term in terms)
        if terms and 2 * covered >= len(clause.split()):
            kind = terms[-1].kind
    if kind in _STYLES:
        return "style"
    if kind in ("light", "camera", "colour", "mood", "filler", "setting"):
        return kind
    return "setting" if _SETTING.search(clause) else "detail"


def _kind_of_addition(phrase: str) -> str:
    """What an addition speaks of: its light and its setting too, which no list can have whole."""
    kind = _kind(phrase)
    # "white and red stripes" are a thing.
    is_thing = kind == "colour" and not (
        phrase.lower() in phrases()
        or _COLOUR.search(phrase)
        or find_terms(phrase)[-1].end == len(phrase)
    )
    if kind != "detail" and not is_thing:
        return kind
    place = _PLACE.match(phrase)
    head = _NEXT.split(phrase[place.end() :] if place else phrase, maxsplit=1)[0]
    if _LIGHT.search(head):
        return "light"
    return "setting" if place else "detail"


def _joined(*lists: Sequence[str]) -> str:
    return ", ".join(text for texts in lists for text in texts)


def _filled(**values: Any) -> dict[str, Any]:
    """The fields that have a value."""
    return {name: value for name, value in values.items() if value}


def _ideogram4(base: str, parts: _Parts) -> dict[str, Any]:
    """Fields in the order that Ideogram's own check of captions wants."""
    style: dict[str, Any] = {}
    manner = (parts.filler, parts.mood, parts.colour)
    behind = [parts.setting]
    if parts.style:
        named, is_photo = _joined(parts.style), bool(_PHOTO.search(_joined(parts.style)))
        aesthetics = _joined(*manner, [] if is_photo else parts.camera)
        style = _filled(aesthetics=aesthetics, lighting=_joined(parts.light))
        if is_photo:
            style |= {"photo": _joined(parts.style, parts.camera), "medium": "photograph"}
        else:
            style |= {"medium": parts.style[0], "art_style": named}
        style |= _filled(color_palette=parts.palette[:16])
    else:  # `style_description` must say photo or art, which nobody did
        behind += [parts.light, parts.camera, *manner]
    elements = [{"type": "obj", "desc": _joined(parts.subject, parts.detail) or base}]
    elements += [
        {"type": "text", "text": text, "desc": f"the words “{text}”"} for text in parts.written
    ]
    return {
        "high_level_description": base,
        **_filled(style_description=style),
        "compositional_deconstruction": {"background": _joined(*behind), "elements": elements},
    }


def _flux2(base: str, parts: _Parts) -> dict[str, Any]:
    depth = [text for text in parts.camera if _DEPTH.search(text)]
    lens = [text for text in parts.camera if _LENS.search(text) and text not in depth]
    angle = [t for t in parts.camera if _ANGLE.search(t) and t not in (*depth, *lens)]
    rest = [text for text in parts.camera if text not in (*depth, *lens, *angle)]
    camera = _filled(angle=_joined(angle), lens=_joined(lens), depth_of_field=_joined(depth))
    subjects = [{"description": _joined(parts.subject, parts.detail) or base}]
    subjects += [{"description": f'the text "{text}"'} for text in parts.written]
    return {
        "scene": base,
        "subjects": subjects,
        **_filled(
            style=_joined(parts.style, parts.filler),
            color_palette=[*parts.palette, *parts.colour],
            lighting=_joined(parts.light),
            mood=_joined(parts.mood),
            background=_joined(parts.setting),
            composition=_joined(rest),
            camera=camera,
        ),
    }
