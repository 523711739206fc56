"""Prompt syntax, without loss: which characters of a prompt are words and which are markup.

Read is what people write for A1111, Forge, SD.Next, ComfyUI, Dynamic Prompts and Midjourney:
attention `(word:1.2)` `[word]`, prompt editing `[a:b:0.5]`, alternatives `[a|b]` `{a|b}`, tags
`<lora:name:0.8>`, embeddings, wildcards `__name__`, `BREAK`, `AND` and flags `--ar 16:9`.
What is no syntax is text: parsing never fails, and the spans together are the prompt.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import groupby, pairwise

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)"
# Flags of Midjourney that take a value; others are taken to stand alone.
_VALUED = (
    "ar|aspect|v|version|q|quality|s|stylize|c|chaos|seed|sameseed|stop|niji|style|iw|w|weird|r|"
    "repeat|sref|sw|sv|cref|cw|oref|ow|p|profile|personalize|exp|steps|cfg|width|height"
)
_FORMS = {
    "negative": r"(?:\A|(?<=\n))[^\S\n]*Negative prompt:[\s\S]*",
    "escape": r"\\[()\[\]{}<>|:\\]",
    "tag": r"<[A-Za-z]\w*:[^<>\n]*>",
    "embedding": r"<[A-Za-z0-9_][^<>\s:|]*>|(?<!\w)embedding:[\w./\\-]*\w",
    "wildcard": r"__[~@!]?(?!_)[\w/*.-]+?(?:\([^()\n]*\))?__(?!_)",
    "variable": r"\$\{[^{}$\n]*\}",
    "break": r"\b(?:BREAK|ADDCOMM|ADDBASE|ADDCOL|ADDROW)\b",
    "and": r"\bAND\b",
    "flag": r"(?<!\S)(?:"
    r"--no(?!\S)(?:(?!\s--\w).)*"
    rf"|--(?:{_VALUED})(?![\w-])(?:[ =]+(?!--)[^\s,]+)?"
    r"|--[a-z][\w-]*"
    r"|—(?:ar|v|s|q|niji|style)(?!\w)(?:[ =]+[^\s,]+)?)",  # a dash that phones make of two
    "weight": rf":\s*{_NUMBER}\s*(?=\))|\s+:\s*{_NUMBER}(?=\s*(?:\bAND\b|\Z))",
    "share": rf"::(?:{_NUMBER})?",  # Midjourney's weights, hot::2 dog
    "sign": r"[()\[\]{}|:]",
    "text": r"[^\W_]+|\s+|_+|.",
}
_TOKEN = re.compile("|".join(f"(?P<{name}>{form})" for name, form in _FORMS.items()), re.DOTALL)
# No form but text matches without one of these; most prompts have none.
_SYNTAX = re.compile(r"[()\[\]{}<>|:\\—]|__|--|BREAK|AND|ADD[CBR]")
# Behind "{": how many options are drawn and what joins them; before an option: its odds.
_DRAWN = re.compile(r"[~@!]?(?:\d+(?:-\d*)?|-\d+)\$\$(?:[^|{}$]*\$\$)?|[~@!]")
_ODDS = re.compile(r"\s*\d+(?:\.\d+)?::")
_OPENER = {")": "(", "]": "[", "}": "{"}
_AND = re.compile(_FORMS["and"])
_SPLIT = re.compile(f"{_FORMS['break']}|{_FORMS['and']}")
_LETTERS = re.compile(r"[^\W\d_]+")
_NEXT_LETTERS = re.compile(r"[^<—-]*?([^\W\d_]+)")  # not those of a tag or a flag
_NEAR = 40  # characters in which a neighbouring word is looked for
_SPLITS = ("break", "and")
_BEHIND = ("tag", "weight", "share", "flag", "negative")


@dataclass(frozen=True)
class Span:
    """A run of characters of a prompt.

    Attributes:
        kind: "text", "escape", "mark" (brackets and signs), "weight", "share", "tag",
            "embedding", "wildcard", "variable", "break", "and", "flag" or "negative".
        text: the characters.
        seen: what a text encoder reads in their place: nothing for markup, the name of a
            wildcard, and of alternatives only the longest.
    """

    kind: str
    text: str
    seen: str


@dataclass(frozen=True)
class Part:
    """What is encoded by itself: a prompt, or what stands between `BREAK` and `AND`.

    Attributes:
        seen: what the text encoder reads.
        words: the same as a model should read it, without the gaps that markup leaves.
        embeddings: number of embeddings in it, each of one token or more.
        end: where additions go, as an index into the prompt: behind the words, before weights,
            tags, flags and white space. None where there are no words, or in an open bracket.
    """

    seen: str
    words: str
    embeddings: int
    end: int | None


@dataclass
class _Group:
    """An open bracket.

    Attributes:
        sign: the bracket, "" around the whole prompt.
        first: its place among the spans.
        length: characters that are seen in it.
        cuts: by sign, "|" or ":", the place and the length before each.
        all_drawn: whether more than one of its alternatives is drawn.
    """

    sign: str
    first: int
    length: int = 0
    cuts: dict[str, list[tuple[int, int]]] = field(default_factory=lambda: {"|": [], ":": []})
    all_drawn: bool = False


def parse(prompt: str) -> tuple[Span, ...]:
    """The spans of a prompt; their texts joined are the prompt."""
    if prompt and not _SYNTAX.search(prompt):
        return (Span("text", prompt, prompt),)
    return _Parser(prompt).parse()


def render(spans: Iterable[Span]) -> str:
    """The prompt that `spans` were parsed from."""
    return "".join(span.text for span in spans)


def parts_of(spans: Sequence[Span]) -> list[Part]:
    """The parts of a prompt, at least one."""
    parts: list[Part] = []
    inside: list[Span] = []
    place = depth = 0
    end: int | None = None
    for span in spans:
        if span.kind in _SPLITS:
            parts.append(_part(inside, None if depth else end))
            inside, end = [], None
        elif span.kind == "mark":
            depth += (span.text in ("(", "[", "{")) - (span.text in _OPENER)
        kept = span.text.rstrip()
        if span.kind not in (*_BEHIND, *_SPLITS) and kept:
            end = place + len(kept)
        inside.append(span)
        place += len(span.text)
    return [*parts, _part(inside, end)]


def main_part(parts: Sequence[Part]) -> Part | None:
    """The part that is improved: the first that has words and a place for more."""
    return next((part for part in parts if part.end is not None and _has_words(part.words)), None)


def insert(prompt: str, end: int, phrases: Sequence[str]) -> str:
    """The prompt with phrases behind its first `end` characters, joined as one would write them."""
    if not phrases:
        return prompt
    head, tail = prompt[:end], prompt[end:]
    separator = " " if head[-1] in ",;:|.!?" else ", "
    return head + separator + ", ".join(phrases) + (" " * (tail[:1].strip() != "")) + tail


def _has_words(text: str) -> bool:
    return any(unicodedata.category(char)[0] in "LN" or ord(char) > 0x2000 for char in text)


def _part(spans: list[Span], end: int | None) -> Part:
    seen = "".join(span.seen for span in spans)
    words = " ".join(seen.split())
    if any(span.kind != "text" for span in spans):
        words = re.sub(r"\s+([,;.!?:])", r"\1", words)
        words = re.sub(r"(?:,\s*){2,}", ", ", words).strip(" ,")
    return Part(seen, words, sum(span.kind == "embedding" for span in spans), end)


class _Parser:
    """The state of one parse: spans so far, and the brackets that are open."""

    def __init__(self, prompt: str) -> None:
        self.prompt = prompt
        self.spans: list[list[str]] = []  # kind, text, seen
        self.groups = [_Group("", -1)]
        self.open: Counter[str] = Counter()
        self.hidden: list[tuple[int, int]] = []

    def parse(self) -> tuple[Span, ...]:
        weighed = any(not self._is_shouted(found) for found in _AND.finditer(self.prompt))
        place = 0
        while place < len(self.prompt):
            found = _TOKEN.match(self.prompt, place)
            assert found is not None and found.lastgroup is not None
            kind, text = found.lastgroup, found[0]
            group = self.groups[-1]
            if kind == "share" and group.sign == "[":
                kind, text = "sign", ":"  # [from::0.5] edits
            if (kind in _SPLITS and self._is_shouted(found)) or (
                kind == "weight" and not (group.sign == "(" or (weighed and not group.sign))
            ):
                kind = "text"
            place += len(text)
            if kind == "sign":
                place = self._sign(text, place)
            elif kind == "text":
                self._add("text", text, text)
            elif kind == "escape":
                self._add("escape", text, text[1:])
            elif kind == "wildcard":
                name = text.strip("_").lstrip("~@!").split("(")[0]
                self._add("wildcard", text, " ".join(re.split(r"[\W_]+", name)))
            else:
                self._add(kind, text, "")
        return self._spans()

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
            self.groups.append(_Group(sign, len(self.spans) - 1))
            self.open[sign] += 1
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
        cuts: list[tuple[int, int]] = []
        if sign != ")":
            cuts = group.cuts["|"]
        if sign == "]" and not cuts:
            cuts = self._edit(group)
        for place in (group.first, *(place for place, _ in cuts)):
            self.spans[place][0] = "mark"
            if self.spans[place][1] != "|" or not group.all_drawn:
                self.spans[place][2] = ""
            else:
                self.spans[place][2] = ", "
        self._leave()
        self._add("mark", sign, "")
        if cuts and not group.all_drawn:
            self._hide_all_but_longest(group, cuts)

    def _edit(self, group: _Group) -> list[tuple[int, int]]:
        """The colons of [from:to:when] or [to:when]; none where this is attention."""
        colons = group.cuts[":"]
        if not 1 <= len(colons) <= 2:
            return []
        when = "".join(span[1] for span in self.spans[colons[-1][0] + 1 :])
        return colons if re.fullmatch(rf"\s*{_NUMBER}\s*", when) else []

    def _hide_all_but_longest(self, group: _Group, cuts: list[tuple[int, int]]) -> None:
        places = [group.first, *(place for place, _ in cuts), len(self.spans) - 1]
        # From behind one sign to before the next; each sign is counted as a character seen.
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
