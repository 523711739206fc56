"""Which clauses of a prompt may be taught: plain words, and no names of people.

A clause passes when every word of it stands in `data/target_words.txt` (dictionary words and
reviewed terms of picture making; names, brands and unsafe words are not in it) and it holds no
name made of such words (`data/names.txt`). A list of what is allowed catches the painter nobody
has heard of, and misspelt ones; a list of painters does not. `scripts/build_lexicon.py` makes both.
"""

import re
from functools import cache
from importlib.resources import files

# "by" after one of these says how something looks; elsewhere in a prompt it names an author.
_LOOKS_BY = {
    "accompanied", "adorned", "backed", "blown", "bordered", "caused", "covered", "created",
    "crowned", "day", "divided", "driven", "enclosed", "encircled", "engulfed", "fed", "filled",
    "flanked", "followed", "formed", "framed", "guarded", "hidden", "illuminated", "inhabited",
    "lighted", "lit", "made", "obscured", "overgrown", "passing", "powered", "pulled", "shaded",
    "side", "stand", "standing", "sun", "supported", "surrounded", "topped",
}  # fmt: skip
_PLAIN_CHARACTERS = re.compile(r"[A-Za-z0-9 '\-/&.%+]+")
_WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")
_NUMBER_WITH_UNIT = re.compile(r"\d[a-z]\b")
_BY = re.compile(r"(\w*) *\bby\b")
_STYLE_OF = re.compile(r"\b(?:style|styles|art|work|works|manner) (?:of|by)\b|\bstyle$.*\bby\b")


@cache
def target_words() -> frozenset[str]:
    """Lower-case words that a training target may hold."""
    return frozenset(_lines("target_words.txt"))


@cache
def names() -> frozenset[str]:
    """Names of people, in lower case, whose words are all in `target_words`."""
    return frozenset(_lines("names.txt"))


@cache
def unsafe_words() -> frozenset[str]:
    """Sexual, gory and hateful words and those near to them, in lower case."""
    return frozenset(_lines("unsafe_words.txt"))


def may_be_taught(clause: str) -> bool:
    """Whether a clause of a prompt may stand in a training target; any letter case."""
    if not _PLAIN_CHARACTERS.fullmatch(clause):
        return False
    lowered = clause.lower()
    words = _WORD.findall(lowered)
    if not any(len(word) > 1 for word in words) and not _NUMBER_WITH_UNIT.search(lowered):
        return False
    if not target_words().issuperset(words) or _STYLE_OF.search(lowered):
        return False
    if any(before not in _LOOKS_BY for before in _BY.findall(lowered)):
        return False
    joined = f" {' '.join(words)} "
    return not any(f" {name} " in joined for name in names())


def looks_by(word: str) -> bool:
    """Whether "by" after this word says how something looks ("lit by"), and names no author."""
    return word in _LOOKS_BY


def words_before_by() -> frozenset[str]:
    """The words after which "by" says how something looks."""
    return frozenset(_LOOKS_BY)


def _lines(name: str) -> list[str]:
    text = (files("promptlift.prompts.lexicon") / "data" / name).read_text(encoding="utf-8")
    return text.split("\n")[:-1]
