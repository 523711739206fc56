"""The text that an answer is about, without all that language models put around it."""

import html
import json
import re
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from promptlift.llm.answers import QUOTES, is_refusal, tidy_answer
from promptlift.llm.talk import without_talk
from promptlift.prompts.language import foreign_language
from promptlift.prompts.units import CLAUSE, SENTENCE, is_finished

MOST_WORDS = 400  # of an answer; more is no prompt
UNSPOKEN = "its reasoning took all tokens of the answer"
_REASONING = "think|thinking|reasoning|thought|reflection|seed:think"
_THOUGHT = re.compile(rf"<({_REASONING})>.*?</\1>|\[THINK\].*?\[/THINK\]", re.DOTALL | re.I)
# Chat templates open the reasoning themselves, so that only its end is in the answer.
_THOUGHT_END = re.compile(rf"\A.*(?:</(?:{_REASONING})>|\[/THINK\])", re.DOTALL | re.I)
_THOUGHT_START = re.compile(rf"(?:<(?:{_REASONING})>|\[THINK\]).*", re.DOTALL | re.I)
# Harmony, the format of gpt-oss: what is no final message, and how it looks without its marks.
_ANALYSIS = re.compile(
    r"<\|channel\|>(?:analysis|commentary)\b.*?(?=<\|channel\|>final|\Z)"
    r"|\Aanalysis(?=[A-Z]).*assistantfinal",
    re.DOTALL,
)
_CHANNEL = re.compile(r"\A.*<\|channel\|>final(?:\s*<\|constrain\|>\w+)?<\|message\|>", re.DOTALL)
_TOKEN = re.compile(r"<\|[\w-]+\|>|</?s>|<end_of_turn>|<eos>")
# What is left of any of them, by itself or once others are gone, is no text of a prompt.
_MARK = re.compile(
    rf"</?(?:{_REASONING})>|\[/?THINK\]|<\|[\w-]*\|>|</?s>|<end_of_turn>|<eos>|`+", re.I
)
_FENCE = re.compile(r"```[\w-]*[ \t]*\n?(.*?)(?:```|\Z)", re.DOTALL)
# "Here is the improved prompt:", "Sure!", "Prompt:" at the beginning, on a line of its own or not.
_LEAD = re.compile(
    r"(?:(?:sure|certainly|of course|absolutely|okay|ok|great|yes)\b[^\n:]{0,60}[!.:,]\s+(?=\S))?"
    r"(?:(?:here(?: is|'s|’s| are)|below (?:is|are)|this is|i(?:'ve| have))[^\n:]{0,100}:\s*"
    r"|(?:\*\*|#+ *)?(?:[\w-]+ ){0,4}(?:prompt|version|phrases|additions|answer|output|"
    r"paragraph|details|rewrite|option|tags|description)(?: ?\d+)?:?(?:\*\*)?:\s*)?",
    re.IGNORECASE,
)
# What follows an answer: offers to go on, and explanations.
_TRAIL = re.compile(
    r"\n\s*(?:[*_(#>-]*\s*)?(?:let me know|i hope|hope this|feel free|would you like|notes?\b|"
    r"explanation\b|this (?:prompt|version)|these (?:phrases|details|additions)|why this|"
    r"changes\b|key (?:changes|improvements)|negative prompt|if you)\b.*",
    re.DOTALL | re.IGNORECASE,
)
_ITEM = re.compile(
    r"^\s*(?:[-*•–]|\(?\d{1,2}[.):]|(?:option|phrase|addition) \d+[.:)]|#+ *option \d+:?)(?:\s+|$)",
    re.I,
)
_HEADING = re.compile(r"\s*#")
_TALKS = (":", "!", "?")  # ends of lines that are no phrases
_QUOTED = "|".join(f"{start}[^{end}]*{end}" for start, end in QUOTES.items() if start != "*")
_EACH_QUOTED = re.compile(rf"(?:{_QUOTED})(?:\s*[,;.]?\s*(?:{_QUOTED}))+[,;.]?")
_LONG_ITEM = 9  # words; a list of such items is one of whole candidates, not of phrases
_BLANKS = re.compile(r"\s+")
# As far as the last phrase or sentence that is whole.
_WHOLE = {
    False: re.compile(r".*(?:[,;，；、。\n]|[.!?](?=\s))", re.DOTALL),
    True: re.compile(r".*(?:[。！？\n]|[.!?…][\"”’)]*(?=\s|\Z))", re.DOTALL),
}
_CLOSINGS = ("]}", '"]}', '"}', "}")  # of JSON that was cut off


@dataclass(frozen=True)
class Cleaned:
    """What is left of an answer.

    Attributes:
        text: on one line; None where nothing can be used.
        notes: what was taken off, or why nothing can be used.
    """

    text: str | None
    notes: tuple[str, ...] = ()


def cleaned(
    answer: str,
    source: str,
    *,
    field: str,
    prose: bool,
    ended: bool = True,
    instruction: str = "",
) -> Cleaned:
    """The text that an answer is about.

    Taken off are reasoning, closed or not, marks of chat templates, fences, JSON around it,
    prefaces, headings, explanations after it, marks of lists, further candidates, quotation marks,
    and phrases or sentences about the task. What was cut off is used as far as its last whole
    phrase or sentence. Nothing is left of a refusal, an answer in another language than the source,
    one that is empty or has more than `MOST_WORDS` words.

    Args:
        answer: as the server gave it.
        source: the prompt.
        field: of the JSON object that was asked for, whose value is a text or a list of texts.
        prose: whether the text has sentences; otherwise lines are phrases.
        ended: whether the model ended the answer; otherwise it was cut off.
        instruction: whose words are not used as an answer; empty where they may be.
    """
    notes: list[str] = []

    def tell(name: str, before: str, after: str) -> str:
        if after.strip() != before.strip():
            notes.append(name)
        return after.strip()

    text = tell("reasoning", answer, _without_reasoning(answer))
    is_silent = not _MARK.sub("", text).strip()
    if is_silent and not ended:
        return Cleaned(None, (UNSPOKEN,))
    if is_silent and answer.strip():
        return Cleaned(None, ("the answer holds reasoning alone",))
    text = tell("marks of a chat", text, _TOKEN.sub("", text))
    text = tell("a fence", text, _within_fence(text))
    if not ended:
        text = _whole_part(text, prose=prose)
    found = _from_json(text, field, ended=ended)
    if found is None and text[:1] in ("{", "["):
        return Cleaned(None, ("the answer is JSON that cannot be read",))
    if found is not None:
        text = html.unescape(found)
    else:
        text = html.unescape(text)
        if is_refusal(text):
            return Cleaned(None, ("the model declines",))
        text = tell("what follows the answer", text, _TRAIL.sub("", text))
        text = tell("a preface", text, _LEAD.sub("", text, count=1))
        text = tell("headings", text, _without_headings(text))
        if text[:1] == "{":
            text = _from_json(text, field, ended=ended) or text
        text = _one_of_list(text, tell, prose=prose)
    text = _BLANKS.sub(" ", _printable(text)).strip()
    if not prose and _EACH_QUOTED.fullmatch(text):
        phrases = (one[1:-1].strip().rstrip(",;.") for one in re.findall(_QUOTED, text))
        text = tell("quotation marks", text, ", ".join(filter(None, phrases)))
    if not ended:
        text = _without_half_quote(text)
    ending = text.rstrip('"”’)')[-1:] if prose and is_finished(text) else ""
    tidied = tidy_answer(text)
    if tidied + "." != text:
        tell("quotation marks or a label", text, tidied)
    text = tidied + (ending if tidied and not is_finished(tidied) else "")
    while text != (
        bare := _BLANKS.sub(" ", _MARK.sub("", text)).strip()
    ):  # taking one out may join the halves of another
        text = tell("stray marks", text, bare)
    if reason := _unusable(text, source):
        return Cleaned(None, (reason,))
    rest = without_talk(text, source, SENTENCE if prose else CLAUSE, instruction)
    if not any(char.isalnum() for char in rest):
        return Cleaned(None, ("the answer speaks of its task alone",))
    text = tell("talk of the task", text, rest)
    taken = (f"taken off the answer: {', '.join(notes)}",) if notes else ()
    return Cleaned(text, taken)


def _whole_part(text: str, *, prose: bool) -> str:
    """What was cut off, as far as its last whole phrase or sentence."""
    whole = _WHOLE[prose].match(text)
    return whole[0].strip().rstrip(",;，；、 \n") if whole else ""


def _without_half_quote(text: str) -> str:
    """Without a quotation mark at the begin whose other half was cut off."""
    first, rest = text[:1], text[1:]
    return rest if first in QUOTES and QUOTES[first] not in rest else text


def _unusable(text: str, source: str) -> str | None:
    """Why a text is no prompt."""
    if not any(char.isalnum() for char in text):
        return "the answer is empty"
    if is_refusal(text):
        return "the model declines"
    if (count := len(text.split())) > MOST_WORDS:
        return f"the answer has {count} words, more than {MOST_WORDS}"
    language = foreign_language(text)
    if language and foreign_language(source) is None:
        return f"the answer looks like {language}"
    return None


def _without_reasoning(text: str) -> str:
    text = _ANALYSIS.sub("", _CHANNEL.sub("", text))
    text = _THOUGHT.sub("", text)
    text = _THOUGHT_END.sub("", text)
    return _THOUGHT_START.sub("", text)


def _printable(text: str) -> str:
    """Without control characters and halves of surrogate pairs, which no file could keep."""
    kinds = ("Cc", "Cs")
    return "".join(c for c in text if c.isspace() or unicodedata.category(c) not in kinds)


def _within_fence(text: str) -> str:
    """What the first fence holds, where there is one."""
    found = _FENCE.search(text)
    return found[1] if found and found[1].strip() else text


def _without_headings(text: str) -> str:
    """The text without lines that begin with #, unless they are all that there is."""
    rest = "\n".join(
        line for line in text.split("\n") if not _HEADING.match(line) or _ITEM.sub("", line) != line
    )
    return rest if rest.strip() else text


def _from_json(text: str, field: str, *, ended: bool) -> str | None:
    """The text in a JSON object or list; None where there is none."""
    start = min((at for at in (text.find("{"), text.find("[")) if at >= 0), default=-1)
    if start != 0:
        return None
    for closing in ("",) if ended else ("", *_CLOSINGS):
        whole = text.rstrip(", \n") + closing if closing else text
        with suppress(ValueError, RecursionError):
            value, _ = json.JSONDecoder().raw_decode(whole)
            return _text_of(value, field)
    return None


def _text_of(value: Any, field: str) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        found = [_ITEM.sub("", part) for item in value if (part := _text_of(item, field))]
        parts = [bare for part in found if (bare := part.strip().rstrip(","))]
        marked = [part if part.endswith((".", "!", "?")) else f"{part}," for part in parts]
        return " ".join(marked).rstrip(",")
    if isinstance(value, dict):
        if field in value:
            return _text_of(value[field], field)
        texts: list[Any] = [item for item in value.values() if isinstance(item, str | list)]
        return _text_of(texts[0], field) if len(value) == 1 and texts else None
    return None


def _one_of_list(text: str, tell: Callable[[str, str, str], str], *, prose: bool) -> str:
    """One text out of several lines: the phrases of a list, or its first candidate."""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    items = [rest for line in lines if _ITEM.match(line) and (rest := _ITEM.sub("", line))]
    if len(items) < 2:
        if len(lines) < 2:
            return _ITEM.sub("", text)
        if prose:
            return text
        if all(line.endswith(",") for line in lines[:-1]):
            return " ".join(lines)
        phrases = [line.rstrip(",;.") for line in lines]
        if all(_is_phrase(line) for line in phrases):
            return ", ".join(phrases)
        # Later lines are another candidate, or talk.
        return tell("further lines", text, lines[0])
    if prose or sum(len(item.split()) for item in items) > _LONG_ITEM * len(items):
        return tell("further candidates", text, items[0])
    return tell("marks of a list", text, ", ".join(item.rstrip(",;.") for item in items))


def _is_phrase(line: str) -> bool:
    return "," not in line and not line.endswith(_TALKS) and len(line.split()) <= _LONG_ITEM
