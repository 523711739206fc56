"""Attention weights: a prompt's `(a:1.3)`, `[a]` and `BREAK` as runs of text with one weight."""

from dataclasses import dataclass
from itertools import groupby, pairwise

from promptlift.prompts.syntax import Span, parse

_STRONGER = 1.1  # what a pair of round brackets multiplies by, and square ones divide by
_BRACKETS = {"(": _STRONGER, "[": 1 / _STRONGER, "{": 1.0, "<": 1.0}
# Syntax without effect on the picture, and what a note adds to it.
_IGNORED = {
    "tag": "",
    "variable": "",
    "flag": "",
    "negative": "",
    "share": "",
    "and": "",
    "section": "",
    "call": "",
    "settings": "",
    "emphasis": "",
    "suffix": "",
    "embedding": "",
    "wildcard": " (not filled in)",
    "weight": "",  # of a prompt joined by AND
}


@dataclass(frozen=True)
class Reading:
    """A prompt's syntax, resolved.

    Attributes:
        parts: what stands between `BREAK`s, each as runs of text with one weight.
        not_applied: syntax that the encoders cannot follow, as it was written.
    """

    parts: tuple[tuple[tuple[str, float], ...], ...]
    not_applied: tuple[str, ...]


@dataclass
class _Run:
    """A run of text and its weight, which changes when a bracket around it closes."""

    text: str
    weight: float = 1.0


@dataclass
class _Group:
    """A bracket that is open: its sign, the first run in it, its weight, whether it has options."""

    sign: str
    first: int
    weight: float
    options: bool = False


def read_weights(prompt: str) -> Reading:
    """Resolve a prompt's attention: runs of text with their weights, part by part.

    `(a)` weighs 1.1, `(a:1.3)` 1.3, `[a]` 1/1.1, and brackets within brackets multiply. Of
    alternatives and edits, `{a|b}` and `[a:b:0.5]`, only the longest is read.
    """
    runs: list[_Run] = []
    breaks: list[int] = []
    groups: list[_Group] = []
    ignored: list[str] = []
    for span in parse(prompt):
        if span.kind == "mark":
            _mark(span, groups, runs, ignored)
        elif span.kind == "weight" and groups and groups[-1].sign == "(":
            groups[-1].weight = float(span.text.strip().lstrip(":"))
        elif span.kind in _IGNORED:
            ignored.append(span.text.strip() + _IGNORED[span.kind])
        if span.role == "part":
            breaks.append(len(runs))
        elif span.seen:
            runs.append(_Run(span.seen))
    parts = (
        tuple(
            ("".join(run.text for run in same), weight)
            for weight, same in groupby(runs[start:end], lambda run: run.weight)
        )
        for start, end in pairwise([0, *breaks, len(runs)])
    )
    return Reading(tuple(parts), tuple(dict.fromkeys(ignored)))


def _mark(span: Span, groups: list[_Group], runs: list[_Run], ignored: list[str]) -> None:
    sign = span.text if span.text[0] != "<" else "<"  # of <random:a,b>
    if sign in _BRACKETS:
        groups.append(_Group(sign, len(runs), _BRACKETS[sign]))
    elif span.text in (")", "]", "}", ">") and groups:
        group = groups.pop()
        if group.options:
            ignored.append("{a|b} or [a:b] (the longest is drawn)")
        elif group.weight != 1:
            for run in runs[group.first :]:
                run.weight *= group.weight
    elif groups:
        groups[-1].options = True
