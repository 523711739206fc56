"""What a language model says in place of an answer, or around it.

`is_refusal` and `is_preface` judge training data too, and leave alone what a prompt may say.
"""

import re

_CANNOT = r"\bi (?:can't|cannot|can not|won't|will not|don't|do not)\b"
_AS_AN_AI = r"\bas an? (?:ai|artificial intelligence|assistant|(?:large )?language model)\b"
REFUSAL = re.compile(rf"\bsorry\b|\bapologi[sz]e|{_AS_AN_AI}|\bunable to\b|{_CANNOT}")
_TASK = (
    r"(?:help(?! but)|assist|create|generate|provide|comply|fulfil|write|produce|continue|describe"
    r"|depict|engage|support|process|improve|rewrite|expand"
    r"|(?:see|view|open|access) (?:\w+ )?(?:image|picture|photo|file|link))"
)
# A refusal begins so. "A sorry sight" and "I cannot see the stars" may stand in a prompt.
_REFUSES = re.compile(
    rf"i(?:'m| am) (?:\w+ )?sorry(?:[,.;:!]| but\b| i\b|$)|sorry[,.!]|sorry,? (?:but|i)\b"
    rf"|(?:my |please accept my )?apologies\b|i apologi[sz]e\b|{_AS_AN_AI}"
    rf"|(?:unfortunately,? )?i(?:'m| am) (?:unable|not able) to\b|unfortunately,? i\b"
    rf"|(?:[^.\n]{{0,80}}[,.] (?:but )?)?{_CANNOT} {_TASK}"
)
_KIND = (
    r"(?:(?:short|shortened|plain|simple|improved|enhanced|better|detailed|expanded|extended|refined"
    r"|revised|rewritten|optimi[sz]ed|upgraded|final|new|updated|original|more|highly) )*"
    r"(?:(?:image|text-to-image|stable diffusion|midjourney|flux|sdxl|positive) )?"
)
_LABEL = re.compile(
    rf"(?:here(?: is|'s) )?(?:the |an? |your )?{_KIND}"
    r"(?:prompt|paraphrase|subject|answer|caption|output)\s*:\s*",
    re.IGNORECASE,
)
_PREFACE = re.compile(
    r"(?:sure|sure thing|certainly|of course|absolutely|okay|happy to help)[!,.:]"
    r"|here(?: is|'s| are) [^:\n]{0,80}:"
    rf"|(?:the |an? |your |my )?{_KIND}(?:prompt|version|paraphrase|answer|output|rewrite)"
    r"(?: \d+)?\s*:"
)
_THOUGHTS = re.compile(r"<think>.*?</think>", re.DOTALL)
_APOSTROPHE = re.compile(r"\b['’]\b")
QUOTES = {'"': '"', "'": "'", "`": "`", "*": "*", "“": "”", "‘": "’", "«": "»"}


def is_refusal(text: str) -> bool:
    """Whether a text refuses a request: "I'm sorry, but I can't", "As an AI"."""
    return _REFUSES.match(_bare(text)) is not None


def is_preface(text: str) -> bool:
    """Whether a text begins as answers do: "Sure!", "Here is an improved prompt:", thoughts."""
    return text.lstrip().startswith("<think>") or _PREFACE.match(_bare(text)) is not None


def _bare(text: str) -> str:
    """Small letters and straight quotes, without marks of Markdown and quotes around them."""
    return text.lower().replace("’", "'").replace("**", "").lstrip(" \t\r\n#>*_`\"'“‘-")


def tidy_answer(answer: str) -> str:
    """The answer without harmless wrapping: thoughts, "Prompt:", quotes, a final full stop."""
    before = None
    while answer != before:
        before, answer = answer, _THOUGHTS.sub("", answer, count=1).replace("**", "").strip()
        if label := _LABEL.match(answer):
            answer = answer[label.end() :]
        answer = answer.removesuffix(".").strip()
        first, inner, last = answer[:1], answer[1:-1], answer[1:][-1:]
        # Of `"a" and "b"` the outer quotes are no pair.
        paired = bool(last) and QUOTES.get(first) == last
        if paired and not {first, last} & set(_APOSTROPHE.sub("", inner)):
            answer = inner
    return answer
