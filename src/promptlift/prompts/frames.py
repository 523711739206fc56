"""Prompts inside something else: JSON, functions of compel, and lines of A1111's prompt files.

A frame is cut into pieces. "prompt" pieces are parsed as any prompt, the others become spans.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

# Fields that describe the picture: additions go into the first of them that there is, in this
# order; the others are read. From the guides of FLUX.2, Ideogram and Nano Banana.
FIELDS = (
    "prompt", "positive_prompt", "positive", "high_level_description", "scene", "scene_description",
    "overall_description", "description", "caption", "subject", "main_subject", "subjects",
    "style", "art_style", "photo", "style_description", "aesthetic", "aesthetics", "medium",
    "lighting", "light", "mood", "atmosphere", "composition", "background", "setting",
    "environment", "location", "action", "pose", "foreground", "midground", "clothing", "details",
    "desc",
)  # fmt: skip
_RANKS = {name: rank for rank, name in enumerate(FIELDS)}
# A label and a fence may come before the JSON; after it the end of the fence, flags, a comment, and
# lines that are left as they are.
_JSON = re.compile(
    r"(?:[^\n{}\[]{0,60}[:\n])?\s*(?:```\w*\s*)?(?=\[?\s*\{\s*[\"'][\w -]+[\"']\s*:)"
)
_AFTER_JSON = re.compile(r"[^\S\n]*(?:```|\n|---|--(?=[a-z])|#|//)[\s\S]*|\s*")
_FENCE = re.compile(r"\s*```\w*\n(?=([\s\S]*?)\n?```\s*\Z)")
_STRING = r'"(?:\\.|[^"\\])*"'
_PIECE = re.compile(rf"(?P<string>{_STRING})(?P<key>\s*:)?|[{{}}\[\]]")
_CALLED = re.compile(
    rf"\s*\(\s*{_STRING}(?:\s*,\s*{_STRING})*\s*\)\s*\.(?:blend|and|add)\([^()]*\)"
    r"(?:\s*(?:with|use)Lora\([^()]*\))*\s*(?:\s--[a-z][\s\S]*)?"
)
_CALL = re.compile(r"\)\s*\.(?:blend|and|add)\([^()]*\)")
_VALUE = r'"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'|(?:(?!\s--)[^\n])*'
_LINE = re.compile(rf"\s*(?:--(?!prompt\b)[\w-]+[ =]+(?:{_VALUE})\s+)*--prompt[ =]+")
_LINE_PROMPT = re.compile(
    r'"(?P<double>(?:\\.|[^"\\\n])*)"|\'(?P<single>[^\'\n]*)\'|(?P<bare>(?:(?!\s--)[^\n])*)'
)


@dataclass(frozen=True)
class Piece:
    """A piece of a framed prompt.

    Attributes:
        kind: "prompt", or the kind of the span that it becomes.
        text: its characters.
        seen: what a text encoder reads in their place.
    """

    kind: str
    text: str
    seen: str = ""


def pieces_of(prompt: str) -> list[Piece] | None:
    """The pieces of a framed prompt, which together are the prompt; None where it has no frame."""
    opened = _JSON.match(prompt)
    if opened and (pieces := _of_json(prompt, opened.end())) is not None:
        return pieces
    if _CALL.search(prompt):
        return _of_call(prompt)
    if fence := _FENCE.match(prompt):
        start, end = fence.span(1)
        inside = [Piece("prompt", prompt[start:end])] if start < end else []
        return [Piece("frame", prompt[:start]), *inside, Piece("frame", prompt[end:])]
    if "--prompt" in prompt and (found := _LINE.match(prompt)):
        return _of_line(prompt, found.end())
    return None


def is_json_prompt(text: str) -> bool:
    """Whether a text is a prompt in JSON."""
    pieces = pieces_of(text) if _JSON.match(text) else None
    return pieces is not None and any(piece.kind in ("text", "prompt") for piece in pieces)


def _of_json(prompt: str, start: int) -> list[Piece] | None:
    try:
        _, end = json.JSONDecoder().raw_decode(prompt, start)
    except (ValueError, RecursionError):
        return [Piece("frame", prompt)]  # almost JSON: nothing could be added safely
    if not _AFTER_JSON.fullmatch(prompt, end):
        return None
    found = list(_fields(prompt, start, end))
    best = min((rank for rank, _, _ in found), default=None)
    pieces: list[Piece] = []
    place = 0
    for rank, first, last in found:
        kind = "aside"
        if rank == best:
            kind, best = "text", None
        pieces.append(Piece("frame", prompt[place:first], ", " if pieces else ""))
        raw = prompt[first:last]
        if kind == "text" and "\\" not in raw:
            kind = "prompt"
        pieces.append(Piece(kind, raw, _decoded(f'"{raw}"')))
        place = last
    return [*pieces, Piece("frame", prompt[place:])]


def _fields(prompt: str, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Rank of the field, start and end of each text in it that is not blank."""
    keys = [""]  # of each bracket that is open, the field at hand
    for found in _PIECE.finditer(prompt, start, end):
        if found["key"]:
            keys[-1] = _decoded(found["string"])
        elif found["string"]:
            rank = _RANKS.get(keys[-1].lower().replace(" ", "_").replace("-", "_"))
            if rank is not None and found["string"][1:-1].strip():
                yield rank, found.start() + 1, found.end() - 1
        elif found[0] in "{[":
            keys.append(keys[-1])
        else:
            keys.pop()


def _decoded(string: str) -> str:
    # JSON can name half a surrogate pair, which no encoder takes.
    return str(json.loads(string, strict=False)).encode("utf-8", "replace").decode()


def _of_call(prompt: str) -> list[Piece]:
    """The quoted parts of `("a", "b").blend(1, 1)`; a call without quotes has none."""
    pieces: list[Piece] = []
    place = 0
    if _CALLED.fullmatch(prompt):
        for found in re.finditer(_STRING, prompt):
            pieces.append(Piece("call", prompt[place : found.start() + 1]))
            if len(found[0]) > 2:
                pieces.append(Piece("prompt", found[0][1:-1]))
            place = found.end() - 1
    return [*pieces, Piece("call", prompt[place:])]


def _of_line(prompt: str, start: int) -> list[Piece]:
    """The prompt of `--prompt "a cat" --steps 20`."""
    found = _LINE_PROMPT.match(prompt, start)
    assert found is not None
    first, last = found.span(str(found.lastgroup))
    pieces = [Piece("frame", prompt[:first])]
    if first < last:
        pieces.append(Piece("prompt", prompt[first:last]))
    if last < len(prompt):
        pieces.append(Piece("flag", prompt[last:]))
    return pieces
