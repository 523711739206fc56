"""The parts of a prompt that are encoded by themselves, and where additions go in each."""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from promptlift.prompts.syntax import Span
from promptlift.prompts.units import CLAUSE, Unit

# Additions go before these where they close a part.
_BEFORE = frozenset(("tag", "weight", "flag", "negative", "comment", "frame", "aside"))
_SEPARATORS = ("\n", ",", ";", "|")
_WHOLE = re.compile(r".+", re.DOTALL)
_GAPS = ("comment", "share", "emphasis")  # the words around them stay two
_FOLLOWS = ("", '"', "'", ",", ";", "|")  # what stands right after a phrase
_CLAUSES = re.compile(r"[\n,;|]|[^\n,;|]+")


@dataclass(frozen=True)
class Part:
    """What is encoded by itself: a prompt, or what stands between `BREAK` and `AND`.

    Attributes:
        seen: what the text encoder reads.
        words: the same as a model should read it, without the gaps that markup leaves.
        embeddings: number of embeddings in it, each of one token or more.
        end: where additions go, as an index into the prompt: after the words, before weights,
            tags, flags, comments and white space. None where there are no words, or in an open
            bracket.
        before: whether `end` is the start of a clause: one that some tools take for a comment, or
            whose weight would hold for what follows it.
        kind: kind of the span before it, "" for the first part.
    """

    seen: str
    words: str
    embeddings: int
    end: int | None
    before: bool = False
    kind: str = ""


@dataclass
class _Stretch:
    """The spans of a part with their places, and what is open before them and after.

    Attributes:
        kind, opener: of the span before it, and its text.
        depth: number of brackets that are open.
        doubted: whether a tool may have seen a comment begin in its line.
        weighed: whether a weight holds that comes before what it weighs.
    """

    kind: str = ""
    opener: str = ""
    depth: int = 0
    doubted: bool = False
    weighed: bool = False
    spans: list[tuple[int, Span]] = field(default_factory=list)
    depth_after: int = 0

    def is_free(self, start: int) -> bool:
        """Whether a blank or nothing stands before a place, so that a mark there stays one."""
        ends = {place + len(span.text): span.text for place, span in self.spans}
        before = ends.get(start, self.opener if self.spans[0][0] == start else " ")
        return not before or before[-1].isspace()


def parts_of(spans: Sequence[Span]) -> list[Part]:
    """The parts of a prompt, at least one."""
    if len(spans) == 1 and spans[0].kind == "text":  # most prompts
        seen = spans[0].seen
        return [Part(seen, " ".join(seen.split()), 0, len(seen.rstrip()) or None)]
    return [_part(stretch) for stretch in _stretches(spans)]


def main_part(parts: Sequence[Part]) -> Part | None:
    """The part that is improved: the first that has words and a place for more."""
    return next((part for part in parts if part.end is not None and _has_words(part.words)), None)


def insert(prompt: str, part: Part, phrases: Sequence[str], unit: Unit = CLAUSE) -> str:
    """The prompt with phrases, or other units, in a part, joined as one would write them."""
    if not phrases or part.end is None:
        return prompt
    head, tail = prompt[: part.end], prompt[part.end :]
    if part.before:
        added = unit.between.join((*phrases, tail))
        return head + " " * (head[-1:].strip() != "") + added
    added = unit.append(head, phrases)
    if tail.startswith(_SEPARATORS[1:]):
        added = added.rstrip(unit.ends)
    return added + " " * (tail[:1].strip() not in _FOLLOWS) + tail


def _has_words(text: str) -> bool:
    return any(unicodedata.category(char)[0] in "LN" or ord(char) > 0x2000 for char in text)


def _stretches(spans: Sequence[Span]) -> Iterator[_Stretch]:
    stretch = _Stretch()
    place = depth = 0
    doubted = weighed = False
    for span in spans:
        if span.role == "part":
            stretch.depth_after = depth
            yield stretch
            stretch = _Stretch(span.kind, span.text, depth, doubted, weighed)
        else:
            depth += _opens(span)
            doubted = _doubts(span, doubted)
            weighed = span.text != "::" if span.kind == "emphasis" else weighed
            stretch.spans.append((place, span))
        place += len(span.text)
    stretch.depth_after = depth
    yield stretch


def _doubts(span: Span, before: bool = False) -> bool:
    """Whether a tool may see a comment that begins in a span's last line, or began before it."""
    _, newline, line = span.text.rpartition("\n")
    begun = span.kind == "doubt" or "#" in line or "//" in line
    return begun or (before and not newline)


def _opens(span: Span) -> int:
    """How many brackets a span opens, or -1 where it closes one."""
    if span.kind != "mark":
        return 0
    return (span.text in ("(", "[", "{") or span.text[0] == "<") - (
        span.text in (")", "]", "}", ">")
    )


def _part(stretch: _Stretch) -> Part:
    spans = [span for _, span in stretch.spans]
    seen = "".join(span.seen for span in spans)
    parted = (" " if span.kind in _GAPS else span.seen for span in spans)
    words = " ".join("".join(parted).split())
    if any(span.kind != "text" for span in spans):
        words = re.sub(r"\s+([,;.!?:])", r"\1", words)
        words = re.sub(r"(?:,\s*){2,}", ", ", words).strip(" ,")
    end, before = _end(stretch)
    return Part(
        seen, words, sum(span.kind == "embedding" for span in spans), end, before, stretch.kind
    )


def _end(stretch: _Stretch) -> tuple[int | None, bool]:
    if stretch.depth_after:
        return None, False
    unsafe = stretch.doubted or stretch.weighed
    if unsafe or any(span.kind == "emphasis" or _doubts(span) for _, span in stretch.spans):
        return _safe_end(stretch)
    ends = (
        place + len(kept)
        for place, span in reversed(stretch.spans)
        if span.role not in _BEFORE and (kept := span.text.rstrip())
    )
    return next(ends, None), False


def _safe_end(stretch: _Stretch) -> tuple[int | None, bool]:
    """The end of the last clause up to which no tool sees a comment begin in its line.

    Nor is it within a clause that has a weight of its own. Without such a clause, the start of
    the first one.
    """
    first = end = best = None
    doubted, weighed, safe = stretch.doubted, stretch.weighed, False
    depth = stretch.depth
    for place, span in stretch.spans:
        if span.role in _BEFORE:
            doubted = _doubts(span, doubted)
            continue
        if first is None and span.text.strip() and not (depth or doubted or weighed):
            first = place + len(span.text) - len(span.text.lstrip())
        depth += _opens(span)
        doubted = doubted or _doubts(span)
        if span.kind == "emphasis":
            weighed = span.text != "::"
        for piece in (_CLAUSES if span.kind == "text" else _WHOLE).finditer(span.text):
            if piece[0] in _SEPARATORS and not depth:
                best = end if safe else best
            elif piece[0].strip():
                end = place + piece.start() + len(piece[0].rstrip())
                safe = not (doubted or weighed or depth)
            doubted &= piece[0] != "\n"
    best = end if safe else best
    if best is not None or first is None:
        return best, False
    return (first, True) if stretch.is_free(first) else (None, False)
