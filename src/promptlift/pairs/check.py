"""What is wrong with a pair, or with one text of it."""

import re

# The bytes 0x80 to 0xbf, which continue a character of UTF-8, read as Windows-1252 or Latin-1.
_NEXT = "[\x80-\xbf" + bytes(range(0x80, 0xC0)).decode("cp1252", "ignore") + "]"
# A character of UTF-8 so read: its first byte tells how many follow.
_MISREAD = f"(?:[Â-ß]{_NEXT}|[à-ï]{_NEXT}{{2}}|[ð-ô]{_NEXT}{{3}})"
# What looks like one, and is a letter before a closing mark ("Spaß“", "café »"), a Czech or
# Slovak capital ("VÝŠKA") or a measure ("Ø½"). Read as UTF-8 it is a letter hardly ever alone.
_CLOSING = "[\xa0«»‘’“”…–—®]"
_REAL = f"[ÇÈÉÊËÌÍÒÓÔÕÖØÙÚÛÜÝÞß]{_CLOSING}|[àáã-ï]{_CLOSING}{{2}}|[ÉÍÓÚÝ][ŠŽ]|[×Ø][¼-¾]"
_ASCII_BEFORE, _ASCII_AFTER = r"(?<![^\x00-\x7f])", r"(?![^\x00-\x7f])"
_DAMAGE = re.compile(
    # What could not be read at all, and control characters that no prompt has.
    "[\N{REPLACEMENT CHARACTER}\ud800-\udfff\x00\x80-\x9f]"
    # "cafÃ©", "donâ€™t": no text has these pairs, whatever stands around them.
    f"|Ã(?!{_CLOSING}){_NEXT}|â€|Â[\xa0-\xbf]"
    f"|{_MISREAD}{{2}}"
    # A single one must be the whole run of characters beyond ASCII.
    f"|{_ASCII_BEFORE}(?!(?:{_REAL}){_ASCII_AFTER}){_MISREAD}{_ASCII_AFTER}"
)
_SURROGATE = re.compile("[\ud800-\udfff]")
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


def check_encodable(text: str) -> str | None:
    """Why no file could hold a text, or None: JSON can name half a surrogate, UTF-8 cannot."""
    if half := _SURROGATE.search(text):
        place = f"at character {half.start() + 1}: {half[0]!a}"
        return f"is no valid Unicode: half a surrogate pair {place}"
    return None


def same_text(source: str, target: str) -> bool:
    """Whether two texts differ in letter case, blanks and closing punctuation at most."""
    return _core(source) == _core(target)


def _core(text: str) -> str:
    return " ".join(text.lower().split()).rstrip(" .,;!?")
