"""Markup of A1111 and its like, turned into what a picture model reads that takes prose.

diffusers and the makers' own services read brackets and weights as letters; ComfyUI and Forge
weigh T5's tokens by them, ComfyUI switches that off for Qwen and Mistral, and no maker of such a
model knows weights. So the words stay and their weights go.

What a tool takes out of a prompt before any encoder reads it stays, whatever the model: tags as
`<lora:name:1>`, which Forge, SD.Next and SwarmUI load for FLUX too (ComfyUI's own nodes never read
them, so whoever has one in a prompt uses a tool that does), wildcards and alternatives
`{red|blue}`.
"""

import re
from collections.abc import Sequence

from promptlift.prompts.reading import read
from promptlift.prompts.syntax import Span, parse

_PAIRS = {"(": ")", "[": "]", "{": "}", "<": ">"}
_WEIGHTS = ("weight", "share", "emphasis", "suffix")
_LEFT_OUT = {
    "flag": "no flags",
    "negative": "no negative part in a prompt",
    "settings": "no settings in a prompt",
    "comment": "no comments",
    "embedding": "no embeddings of CLIP",
}


def as_prose(prompt: str, title: str, *, keep_tags: bool = True) -> tuple[str, tuple[str, ...]]:
    """A prompt whose markup is turned into plain words, and notes of what was done or cannot be.

    Args:
        prompt: a prompt with any syntax.
        title: the picture model's name, for the notes.
        keep_tags: whether tags stay, as the tool handles them.

    Returns:
        The same text and no notes where it has no markup.
    """
    spans = parse(prompt)
    reading = read(prompt)
    if not reading.has_syntax:
        return prompt, ()
    if reading.frame == "call":
        return prompt, (f"kept as it is: {title} knows no functions of compel",)
    if reading.frame:
        return prompt, ()
    work = _Work(title, keep_tags)
    work.take(spans)
    text = _tidy("".join(work.kept)) if work.changed else prompt
    if not any(char.isalnum() for char in text):
        return prompt, (f"kept as it is: {title} reads no markup, and there is nothing else",)
    return text, tuple(work.notes())


class _Work:
    """What is kept of a prompt so far, and what was done to it."""

    def __init__(self, title: str, keep_tags: bool) -> None:
        self.title, self.keep_tags = title, keep_tags
        self.kept: list[str] = []
        self.changed = self.weights = self.parts = False
        self.left_out: dict[str, list[str]] = {}
        self.edits: list[str] = []
        self.tags: list[str] = []

    def take(self, spans: Sequence[Span]) -> None:
        """Keep what stays of some spans."""
        place = 0
        while place < len(spans):
            span = spans[place]
            end = _closing(spans, place)
            if span.kind == "mark" and end is not None:
                self._group(spans[place : end + 1])
                place = end + 1
            else:
                self._one(span)
                place += 1

    def _group(self, spans: Sequence[Span]) -> None:
        """What stands in a pair of brackets."""
        opener, inner = spans[0].text[0], spans[1:-1]
        text = "".join(span.text for span in spans)
        signs = {span.text for span in inner if span.kind == "mark"}
        if opener == "<" or (opener == "{" and ("|" in signs or "$$" in text)):
            self.kept.append(text)
            return
        self.changed = True
        if opener == "[" and any(span.text and not span.seen for span in inner if _is_word(span)):
            self.edits.append(text)
            self.kept.append("".join(span.seen for span in inner))
            return
        self.weights = True
        self.take(inner)

    def _one(self, span: Span) -> None:
        if span.kind == "tag":
            self.tags.append(span.text.strip())
            self.changed |= not self.keep_tags
            self.kept += [span.text] if self.keep_tags else []
        elif span.kind in _LEFT_OUT:
            self.changed = True
            self.left_out.setdefault(span.kind, []).append(span.text.strip())
        elif span.kind in _WEIGHTS or (span.kind == "mark" and span.text in "()[]{}"):
            self.changed = self.weights = True
            self.kept.append(" " if span.kind in ("share", "emphasis") else "")
        elif span.kind in ("break", "and"):
            self.changed = self.parts = True
            self.kept.append(", ")
        elif span.kind == "escape":
            self.changed = True
            self.kept.append(span.seen)
        else:
            self.kept.append(span.text)

    def notes(self) -> list[str]:
        """What was done, and what cannot be."""
        found = []
        if self.weights:
            found.append(f"weights became plain words: {self.title} reads none")
        if self.parts:
            found.append(f"BREAK and AND became commas: {self.title} reads one part")
        for edit in self.edits:
            found.append(f"{edit} cannot be for {self.title}: its longest words stay")
        for kind, texts in self.left_out.items():
            found.append(f"left out {', '.join(texts)}: {self.title} reads {_LEFT_OUT[kind]}")
        if self.tags:
            named = ", ".join(self.tags)
            found.append(
                f"kept {named} for the tool that loads it; is it made for {self.title}?"
                if self.keep_tags
                else f"left out {named}: JSON has no place for it"
            )
        return found


def _is_word(span: Span) -> bool:
    return span.kind == "text" and bool(span.text.strip())


def _closing(spans: Sequence[Span], place: int) -> int | None:
    """The place of the bracket that closes the one at a place; None where it opens none."""
    opener = spans[place].text[:1]
    if spans[place].kind != "mark" or opener not in _PAIRS:
        return None
    depth = 0
    for index in range(place, len(spans)):
        if spans[index].kind == "mark":
            depth += spans[index].text[:1] == opener
            depth -= spans[index].text == _PAIRS[opener]
            if depth == 0:
                return index
    return None


def _tidy(text: str) -> str:
    """A text without the gaps that markup leaves."""
    text = re.sub(r"[^\S\n]{2,}", " ", text)
    text = re.sub(r"\s+([,;.!?])", r"\1", text)
    text = re.sub(r"(?:,\s*){2,}", ", ", text)
    return text.strip(" ,\n")
