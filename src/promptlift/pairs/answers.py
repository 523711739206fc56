"""Whether an answer is a plain form of a prompt: refused is whatever is in doubt."""

import re

from promptlift.llm.answers import QUOTES, REFUSAL, tidy_answer
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
_OTHER_LABEL = re.compile(r"\w[\w ']{0,40}:(?:\s|$)")
# Behind three letters "e" or "d" makes another word: car, care, card.
_SHORT_ENDING = re.compile(r"(?:[bdgklmnprt]?(?:ing|ed|ers?|y)|e?s)?")


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
    if REFUSAL.search(plain):
        return "the model declines"
    if answer != tidy_answer(answer) or answer[0] in QUOTES or _OTHER_LABEL.match(plain):
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
