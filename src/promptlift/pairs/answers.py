"""What a language model answers in place of a prompt, or around it.

`check_answer` refuses whatever is in doubt, since another prompt can be asked for. `is_refusal` and
`is_preface` judge training data, and leave alone what a prompt may say.
"""

import re

from promptlift.prompts.lexicon.terms import KINDS, Term, find_terms

_STOP_WORDS = {
    "am", "an", "and", "are", "as", "at", "be", "but", "by", "for", "has", "he", "her", "him",
    "his", "in", "is", "it", "its", "of", "off", "on", "one", "or", "our", "out", "she", "so",
    "the", "to", "two", "up", "was", "we", "who",
    "about", "above", "across", "along", "among", "around", "behind", "below", "beneath", "beside",
    "between", "from", "have", "having", "here", "inside", "into", "near", "onto", "outside",
    "over", "some", "than", "that", "their", "them", "there", "these", "they", "this", "those",
    "through", "toward", "towards", "under", "upon", "very", "were", "what", "when", "where",
    "which", "while", "whose", "with", "within",
}  # fmt: skip
_WORD = re.compile(r"[^\W\d_]+")
_PRAISE = {"art", "beautiful", "highly", "style", "super"}
_MANNER = set(KINDS) - {"colour"}  # a colour may be all there is to see
_ENDING = re.compile(r"(?:[bdgklmnprt]?(?:ing|ed|ers?|y)|ies|e?s|al|en|ly|[denry])?")
# Behind three letters "e" or "d" makes another word: car, care, card.
_SHORT_ENDING = re.compile(r"(?:[bdgklmnprt]?(?:ing|ed|ers?|y)|e?s)?")
_CANNOT = r"\bi (?:can't|cannot|can not|won't|will not|don't|do not)\b"
_AS_AN_AI = r"\bas an? (?:ai|artificial intelligence|assistant|(?:large )?language model)\b"
_REFUSAL = re.compile(rf"\bsorry\b|\bapologi[sz]e|{_AS_AN_AI}|\bunable to\b|{_CANNOT}")
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
_OTHER_LABEL = re.compile(r"\w[\w ']{0,40}:(?:\s|$)")
_THOUGHTS = re.compile(r"<think>.*?</think>", re.DOTALL)
_APOSTROPHE = re.compile(r"\b['’]\b")
_QUOTES = {'"': '"', "'": "'", "`": "`", "*": "*", "“": "”", "‘": "’", "«": "»"}


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
        paired = bool(last) and _QUOTES.get(first) == last
        if paired and not {first, last} & set(_APOSTROPHE.sub("", inner)):
            answer = inner
    return answer


def check_answer(prompt: str, answer: str, max_words: int) -> str | None:
    """Why a tidied answer is no plain form of its prompt, or None where it is one.

    Refused are answers that are empty, of several lines, longer than `max_words` words or not
    shorter than the prompt; refusals, quotes and labels; words of two letters or more, stop words
    aside, that do not stand in the prompt in some inflection, since they are invented; painters;
    and answers that say how something looks but not what.
    """
    plain = answer.lower().replace("’", "'")
    if not answer.strip():
        return "it is empty"
    if not answer.isprintable():
        return "it has several lines or control characters"
    if _REFUSAL.search(plain):
        return "the model declines"
    if answer != tidy_answer(answer) or answer[0] in _QUOTES or _OTHER_LABEL.match(plain):
        return "it has quotes or a label"
    if (count := len(answer.split())) > max_words:
        return f"it has {count} words, more than {max_words}"
    if len(answer) >= len(prompt.strip()):
        return "it is not shorter than the prompt"
    words = _WORD.findall(plain)
    if 2 * len(re.findall("[a-z]", plain)) <= len("".join(words)):
        return "it is not English"
    known = set(_WORD.findall(prompt.lower()))
    content = [word for word in words if len(word) > 1 and word not in _STOP_WORDS]
    if invented := [word for word in content if not any(_inflects(word, one) for one in known)]:
        return f"not in the prompt: {', '.join(invented)}"
    terms = find_terms(answer)
    if painters := [term.text for term in terms if term.kind == "painter"]:
        return f"it names a painter: {', '.join(painters)}"
    return "it names nothing to be seen" if _only_manner(answer, terms) else None


def _only_manner(answer: str, terms: list[Term]) -> bool:
    """Whether terms of manner are in an answer, and no content beside them."""
    # "Castle lights" are things, "castle light" is a manner.
    manner = [
        term for term in terms if term.kind in _MANNER and not term.text.lower().endswith("lights")
    ]
    left = answer
    for term in reversed(manner):
        left = f"{left[: term.start]} {left[term.end :]}"
    content = {word for word in _WORD.findall(left.lower()) if len(word) > 1}
    return bool(manner) and content <= _STOP_WORDS | _PRAISE


def _inflects(word: str, other: str) -> bool:
    """Whether two words share their beginning and differ in common endings only."""
    short = min(len(word), len(other))
    shared = next((i for i in range(short) if word[i] != other[i]), short)
    endings = {word[shared:], other[shared:]}
    if word == other:
        return True
    if endings == {"y", "ies"}:
        return shared > 1
    if shared == short and short < 4:
        return short == 3 and all(_SHORT_ENDING.fullmatch(ending) for ending in endings)
    return shared > 3 and all(_ENDING.fullmatch(ending) for ending in endings)
