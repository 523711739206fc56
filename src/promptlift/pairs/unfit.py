"""Texts in training pairs that are no prompt: a model that learns them writes them."""

import json
from collections import Counter

from promptlift.llm.answers import is_preface, is_refusal
from promptlift.prompts.syntax import parse

# What spreadsheets and scripts write where there is no text.
_NO_TEXT = {
    "",
    "nan",
    "none",
    "null",
    "n/a",
    "na",
    "<na>",
    "nat",
    "undefined",
    "#n/a",
    "-",
    "[]",
    "{}",
}
# For each kind, the words for one such text in a message, and the plural in a summary.
KINDS = {
    "no text": ("holds no text", "no text"),
    "refusal": ("is a refusal", "refusals"),
    "preface": ("begins as an answer in a chat", "prefaces of a chat"),
    "code fence": ("has a code fence", "code fences"),
    "settings": ("has settings or a negative prompt", "settings or negative prompts"),
    "flag": ("has flags", "flags"),
    "tag": ("has tags", "tags"),
    "JSON": ("is JSON", "JSON"),
}
_ROLES = {"negative": "settings", "flag": "flag", "tag": "tag"}


def unfit(text: str, *, target: bool = True) -> str | None:
    """The kind of text that is no prompt to learn, a key of `KINDS`, or None.

    Args:
        text: of a pair.
        target: otherwise it is a source, which may hold whatever people type: only a text that is
            missing, refused or introduced as in a chat is unfit.
    """
    if text.strip().lower() in _NO_TEXT:
        return "no text"
    if is_refusal(text):
        return "refusal"
    if is_preface(text):
        return "preface"
    if not target:
        return None
    if "```" in text:
        return "code fence"
    if text.lstrip()[:1] in ("{", "[") and _is_json(text):
        return "JSON"
    roles = {_ROLES[span.role] for span in parse(text) if span.role in _ROLES}
    return next((kind for kind in KINDS if kind in roles), None)


def counted(kinds: Counter[str]) -> str:
    """How many there are of each kind, the commonest first: "refusals 3, flags 2"."""
    return ", ".join(f"{KINDS[kind][1]} {count}" for kind, count in kinds.most_common())


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict | list)
    except (ValueError, RecursionError):
        return False
