"""Prompt syntax, without loss: which characters of a prompt are words and which are markup.

The marks of A1111, Forge, SD.Next, ComfyUI, SwarmUI, InvokeAI, NovelAI, Dynamic Prompts and
Midjourney are in `dialects.py`, prompts inside JSON and the like in `frames.py`; here is how marks
nest. What is no syntax is text: parsing never fails, and the spans together are the prompt.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby, pairwise

from promptlift.prompts.dialects import BREAKS, CHOICES, HINTS, MARKS, NUMBER, PLAIN, ROLES
from promptlift.prompts.frames import pieces_of

_FORMS = [*(mark.form for mark in MARKS), r"[()\[\]{}|:>]", r"[^\W_]+|\n|[^\S\n]+|_+|."]
_KINDS = [*(mark.kind for mark in MARKS), "sign", "text"]
_TOKEN = re.compile("|".join(f"(?P<m{i}>{form})" for i, form in enumerate(_FORMS)), re.DOTALL)
_PLAIN = re.compile(PLAIN)
_SYNTAX = re.compile(HINTS)
# After "{": how many options are drawn and what joins them; before an option: its odds.
_DRAWN = re.compile(r"[~@!]?(?:\d+(?:-\d*)?|-\d+)\$\$(?:[^|{}$]*\$\$)?|[~@!]")
_ODDS = re.compile(r"\s*\d+(?:\.\d+)?::")
_OPENER = {")": "(", "]": "[", "}": "{", ">": "<"}
_AND = re.compile(r"\bAND\b")
_SPLIT = re.compile(f"{BREAKS}|AND")
# Words, but not those of a tag, a flag or a function.
_LETTERS = re.compile(r"[^\W\d_]+(?![^\W\d_]|\()")
_NEXT_LETTERS = re.compile(r"[^<—-]*?([^\W\d_]+)(?![^\W\d_]|\()")
_NEAR = 40  # characters in which a neighbouring word is looked for
# How a weight of NovelAI, `1.2::`, ends; the weight of Midjourney, `a dog::2`, has a number there.
_CLOSED = re.compile(rf"::(?!{NUMBER}(?![\w:.]))")
_CHOICE = re.compile(rf"<(?:{CHOICES})\b")
_SEVERAL = re.compile(r"<(?:random|wildcard|wc)\[\d")


@dataclass(frozen=True)
class Span:
    """A run of characters of a prompt.

    Attributes:
        kind: a key of `dialects.ROLES`: "text", "escape", "mark" (brackets and signs), "weight",
            "tag", "wildcard", "break", "flag", "comment", "negative" and others.
        text: the characters.
        seen: what a text encoder reads in their place: nothing for markup, the name of a
            wildcard, and of alternatives only the longest.
    """

    kind: str
    text: str
    seen: str

    @property
    def role(self) -> str:
        """What its kind does to the text, a value of `dialects.ROLES`."""
        return ROLES[self.kind]


@dataclass
class _Group:
    """An open bracket.

    Attributes:
        sign: the bracket, "" around the whole prompt.
        first: its place among the spans.
        length: characters that are seen in it.
        cuts: by sign, "|", ":" or ",", the place and the length before each.
        all_drawn: whether more than one of its alternatives is drawn.
    """

    sign: str
    first: int
    length: int = 0
    cuts: dict[str, list[tuple[int, int]]] = field(
        default_factory=lambda: {"|": [], ":": [], ",": []}
    )
    all_drawn: bool = False


def parse(prompt: str) -> tuple[Span, ...]:
    """The spans of a prompt; their texts joined are the prompt."""
    if prompt and not _SYNTAX.search(prompt):
        return (Span("text", prompt, prompt),)
    pieces = pieces_of(prompt)
    if pieces is None:
        return _Parser(prompt).parse()
    spans: list[Span] = []
    for piece in pieces:
        if piece.kind == "prompt":
            spans += _Parser(piece.text).parse()
        else:
            spans.append(Span(piece.kind, piece.text, piece.seen))
    return tuple(spans)


def render(spans: Iterable[Span]) -> str:
    """The prompt that `spans` were parsed from."""
    return "".join(span.text for span in spans)


class _Parser:
    """The state of one parse: spans so far, and the brackets that are open."""

    def __init__(self, prompt: str) -> None:
        self.prompt = prompt
        self.spans: list[list[str]] = []  # kind, text, seen
        self.groups = [_Group("", -1)]
        self.open: Counter[str] = Counter()
        self.hidden: list[tuple[int, int]] = []
        self.emphasised = False
        self.last_block = prompt.rfind("*/")
        self.weighed = any(not self._is_shouted(found) for found in _AND.finditer(prompt))

    def parse(self) -> tuple[Span, ...]:
        place = 0
        while place < len(self.prompt):
            # A comma parts the alternatives of <random:a,b>, so there each is a token.
            if self.groups[-1].sign != "<" and (plain := _PLAIN.match(self.prompt, place)):
                self._add("text", plain[0], plain[0])
                place = plain.end()
                continue
            found = _TOKEN.match(self.prompt, place)
            assert found is not None and found.lastindex is not None
            place = self._token(_KINDS[found.lastindex - 1], found)
        return self._spans()

    def _token(self, kind: str, found: re.Match[str]) -> int:
        """Take a token, and return where to go on."""
        text, place = found[0], found.end()
        kind, text = self._in_context(kind, text, found)
        place = found.start() + len(text)
        if kind in ("sign", "open"):
            return self._sign(text, place)
        if kind in ("text", "doubt"):
            seen = text
        elif kind == "escape":
            seen = text[1:]
        elif kind == "wildcard":
            seen = _name(text)
        else:
            seen = ""
        self._add(kind, text, seen)
        if text == "," and self.groups[-1].sign == "<":
            self.groups[-1].cuts[","].append((len(self.spans) - 1, self.groups[-1].length - 1))
        return place

    def _in_context(self, kind: str, text: str, found: re.Match[str]) -> tuple[str, str]:
        """The kind and the text of a token where it stands."""
        group = self.groups[-1]
        if kind == "block":
            if self.last_block < found.end():
                return "doubt", text
            end = self.prompt.index("*/", found.end()) + 2
            return "comment", self.prompt[found.start() : end]
        if kind in ("share", "emphasis") and group.sign == "[":
            return ("sign", ":") if kind == "share" else ("text", text[:-2])  # [from:0.5] edits
        if kind == "share" and self.emphasised:
            self.emphasised = False
            return "emphasis", "::"
        if kind == "emphasis":
            self.emphasised = self._opens_emphasis(found)
            return ("emphasis", text) if self.emphasised else ("text", text[:-2])
        if kind in ("break", "and") and self._is_shouted(found):
            return "text", text
        if kind == "weight" and not (group.sign == "(" or (self.weighed and not group.sign)):
            return "text", text
        if kind == "suffix" and self.prompt[found.start() - 1] == ")" and text[0] != ".":
            closes = bool(self.spans) and self.spans[-1][:2] == ["mark", ")"]
            return ("suffix" if closes else "text"), text
        return kind, text

    def _opens_emphasis(self, found: re.Match[str]) -> bool:
        """Whether a number before `::` is NovelAI's weight of what follows, up to `::`."""
        following = self.prompt[found.end() : found.end() + 1]
        end = self.prompt.find("::", found.end())
        if end >= 0:
            return _CLOSED.match(self.prompt, end) is not None
        return not following.isdigit()

    def _is_shouted(self, split: re.Match[str]) -> bool:
        """Whether words in capitals stand on both sides: A CAT AND A DOG."""
        before = _LETTERS.findall(self.prompt[max(0, split.start() - _NEAR) : split.start()])
        after = _NEXT_LETTERS.match(self.prompt, split.end(), split.end() + _NEAR)
        sides = [*before[-1:], *(after.groups() if after else ())]
        return len(sides) == 2 and all(
            side.isupper() and not _SPLIT.fullmatch(side) for side in sides
        )

    def _add(self, kind: str, text: str, seen: str) -> None:
        self.spans.append([kind, text, seen])
        self.groups[-1].length += len(seen)

    def _sign(self, sign: str, place: int) -> int:
        """Take a bracket, "|" or ":", and return where to go on."""
        group = self.groups[-1]
        if sign in _OPENER:
            self._close(sign)
        elif sign in "|:":
            group.cuts[sign].append((len(self.spans), group.length))
            self._add("text", sign, sign)
            if sign == "|" and group.sign == "{":
                place = self._take(_ODDS, place)
        else:
            self._add("text", sign, sign)
            self.groups.append(_Group(sign[0], len(self.spans) - 1))
            self.open[sign[0]] += 1
            self.groups[-1].all_drawn = bool(_SEVERAL.match(sign))
            if sign == "{":
                drawn = _DRAWN.match(self.prompt, place)
                self.groups[-1].all_drawn = drawn is not None and "$$" in drawn[0]
                place = self._take(_ODDS, self._take(_DRAWN, place))
        return place

    def _take(self, form: re.Pattern[str], place: int) -> int:
        if found := form.match(self.prompt, place):
            self._add("mark", found[0], "")
            return found.end()
        return place

    def _close(self, sign: str) -> None:
        opener = _OPENER[sign]
        if not self.open[opener]:
            self._add("text", sign, sign)
            return
        while self.groups[-1].sign != opener:  # brackets that are never closed are text
            self._leave()
        group = self.groups[-1]
        cuts = self._cuts(group)
        for place in (group.first, *(place for place, _ in cuts)):
            joined = place != group.first and group.all_drawn
            self.spans[place][0], self.spans[place][2] = "mark", ", " if joined else ""
        self._leave()
        self._add("mark", sign, "")
        if cuts and not group.all_drawn:
            self._hide_all_but_longest(group, cuts)
        elif sign == ">" and not _CHOICE.match(self.spans[group.first][1]):
            self.hidden.append((group.first + 1, len(self.spans) - 1))

    def _cuts(self, group: _Group) -> list[tuple[int, int]]:
        """What parts the alternatives in a bracket; nothing where there are none."""
        if group.sign == "<":
            is_choice = _CHOICE.match(self.spans[group.first][1])
            return (group.cuts["|"] or group.cuts[","]) if is_choice else []
        if group.sign == "(":
            return []
        return group.cuts["|"] or (self._edit(group) if group.sign == "[" else [])

    def _edit(self, group: _Group) -> list[tuple[int, int]]:
        """The colons of [from:to:when] or [to:when]; none where this is attention."""
        colons = group.cuts[":"]
        if not 1 <= len(colons) <= 2:
            return []
        when = "".join(span[1] for span in self.spans[colons[-1][0] + 1 :])
        return colons if re.fullmatch(rf"\s*{NUMBER}\s*", when) else []

    def _hide_all_but_longest(self, group: _Group, cuts: list[tuple[int, int]]) -> None:
        places = [group.first, *(place for place, _ in cuts), len(self.spans) - 1]
        # From after one sign to before the next; each sign is counted as a character seen.
        totals = [-1, *(length for _, length in cuts), group.length]
        lengths = [end - start - 1 for start, end in pairwise(totals)]
        if self.spans[cuts[-1][0]][1] == ":":
            lengths[-1] = -1  # the time of an edit is never read
        best = lengths.index(max(lengths))
        for index, (start, end) in enumerate(pairwise(places)):
            if index != best:
                self.hidden.append((start + 1, end))

    def _leave(self) -> None:
        """Close the innermost group; what is seen in it is seen in the one around it."""
        group = self.groups.pop()
        self.open[group.sign] -= 1
        self.groups[-1].length += group.length

    def _spans(self) -> tuple[Span, ...]:
        changes = Counter[int]()
        for start, end in self.hidden:
            changes[start] += 1
            changes[end] -= 1
        depth = 0
        found: list[Span] = []
        for place, (kind, text, seen) in enumerate(self.spans):
            depth += changes[place]
            found.append(Span(kind, text, "" if depth else seen))
        result: list[Span] = []
        for (kind, is_seen), run in groupby(found, lambda span: (span.kind, span.seen != "")):
            if kind == "text":
                text = "".join(span.text for span in run)
                result.append(Span("text", text, text if is_seen else ""))
            else:
                result.extend(run)
        return tuple(result)


def _name(wildcard: str) -> str:
    """The words of a wildcard's name: `__a/b__`, `<wildcard:a/b>`, `<var[a]>`."""
    if wildcard.startswith("<"):
        name = wildcard[wildcard.index(":" if ":" in wildcard else "[") + 1 :].split(",")[0]
    else:
        name = wildcard.strip("_").lstrip("~@!").split("(")[0]
    return " ".join(word for word in re.split(r"[\W_]+", name) if word)
