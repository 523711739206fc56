"""What is wrong with a pair, or with one text of it."""

import re

# UTF-8 read as Windows-1252 or Latin-1 ("cafÃ©", "donâ€™t"), and what could not be read at all.
_DAMAGE = re.compile(
    "\N{REPLACEMENT CHARACTER}|Ã[\x80-\xbf¡-¿]|â€|Â[\xa0-\xbf]|[\ud800-\udfff]|\x00"
)
MIN_CHARS, MAX_WORDS = 2, 400  # "4k" is a phrase


def check_text(text: str) -> str | None:
    """What is wrong with one text of a pair, which is not empty, or None."""
    if damage := _DAMAGE.search(text):
        return f"has encoding damage at character {damage.start() + 1}: {damage[0]!a}"
    if len(text.strip()) < MIN_CHARS:
        return f"is too short: {len(text.strip())} character, fewer than {MIN_CHARS}"
    if (words := len(text.split())) > MAX_WORDS:
        return f"is too long: {words} words, more than {MAX_WORDS}"
    return None


def same_text(source: str, target: str) -> bool:
    """Whether two texts differ in letter case, blanks and closing punctuation at most."""
    return _core(source) == _core(target)


def _core(text: str) -> str:
    return " ".join(text.lower().split()).rstrip(" .,;!?")
