"""From decoded text to a prompt: which phrases are added, and where they go."""

from promptlift.improving.clip_tokens import count_clip_tokens
from promptlift.improving.config import DecodingConfig
from promptlift.pairs.cut import split_clauses

BROKEN = "\ufffd"  # what bytes that are no UTF-8 are decoded to


def extend(source: str, text: str, ended: bool, config: DecodingConfig) -> tuple[str, list[str]]:
    """The source word for word, with the phrases of `text` behind it.

    Args:
        source: the user's prompt; the result begins with it, whatever is in it.
        text: what the model wrote.
        ended: whether the model ended the text itself; otherwise its last phrase is unfinished.
        config: with `guards` unfinished, broken and repeated phrases are dropped.
    """
    phrases = _sound(split_clauses(text), source, ended) if config.guards else split_clauses(text)
    kept: list[str] = []
    for phrase in phrases:
        if config.clip_budget is not None:
            longer = _join(source, [*kept, phrase])
            if count_clip_tokens(longer) > config.clip_budget:
                continue  # a shorter phrase may still fit
        kept.append(phrase)
    return _join(source, kept), kept


def rewrite(source: str, text: str, ended: bool, config: DecodingConfig) -> tuple[str, list[str]]:
    """The model's text as a prompt of its own, and its phrases that the source lacks.

    With `guards` the prompt is put together from its sound phrases, at least the first, within
    the budget; a text without any gives the source back.
    """
    if config.guards:
        clauses = _sound(split_clauses(text), "", ended)
        kept: list[str] = []
        for clause in clauses:
            longer = ", ".join([*kept, clause])
            if kept and config.clip_budget and count_clip_tokens(longer) > config.clip_budget:
                break
            kept.append(clause)
        text = ", ".join(kept) or source
    said = _words(source)
    return text, [clause for clause in split_clauses(text) if _words(clause) not in said]


def _sound(phrases: list[str], source: str, ended: bool) -> list[str]:
    if not ended and len(phrases) > 1:
        phrases = phrases[:-1]
    said = _words(source)
    kept: list[str] = []
    for phrase in phrases:
        words = _words(phrase)
        if not phrase.isprintable() or BROKEN in phrase or not words.strip() or words in said:
            continue
        said += words
        kept.append(phrase)
    return kept


def _words(text: str) -> str:
    """The words in lower case between blanks, so that whole words are found in it."""
    letters = "".join(char if char.isalnum() else " " for char in text.lower())
    return f" {' '.join(letters.split())} "


def _join(source: str, phrases: list[str]) -> str:
    if not phrases:
        return source
    if not source.strip():
        return source + ", ".join(phrases)
    last = source.rstrip()[-1]
    blank = "" if source[-1].isspace() else " "
    separator = blank if last in ",;:|.!?" else ", "
    return source + separator + ", ".join(phrases)
