"""An improved prompt with what was added marked, and what was lost struck out."""

import re
from difflib import SequenceMatcher

from promptlift.reporting.page import Html, escape

_WORD = re.compile(r"\w+(?:['’]\w+)*")


def marked_prompt(source: str, prompt: str) -> Html:
    """The prompt as markup, compared with its source word by word, whatever their case.

    Added words are in `<mark>`, with what stands between them. Words of the source that the
    prompt lacks at that place are in `<del>`, which holds the spaces that they need too: without
    it, the text is the prompt's own.
    """
    had, has = list(_WORD.finditer(source)), list(_WORD.finditer(prompt))
    matcher = SequenceMatcher(
        None, [word[0].casefold() for word in had], [word[0].casefold() for word in has],
        autojunk=False,
    )  # fmt: skip
    parts: list[Html] = []
    at = 0
    for kind, first, last, begin, end in matcher.get_opcodes():
        if kind == "equal":
            continue
        # Words lost at the end stand after the last word.
        start = has[begin].start() if begin < len(has) else (has[-1].end() if has else len(prompt))
        start = max(start, at)
        parts.append(escape(prompt[at:start]))
        at = start
        if first < last:
            lost = escape(source[had[first].start() : had[last - 1].end()])
            before = " " if start and not prompt[start - 1].isspace() else ""
            after = " " if start < len(prompt) and prompt[start].isalnum() else ""
            parts.append(Html(f"<del>{before}{lost}{after}</del>"))
        if begin < end:
            at = has[end - 1].end()
            parts.append(Html(f"<mark>{escape(prompt[start:at])}</mark>"))
    parts.append(escape(prompt[at:]))
    return Html("".join(parts))
