"""What an answer says of its task instead of the picture: talk of prompts, and the instruction."""

import re

from promptlift.prompts.clauses import plain_words
from promptlift.prompts.units import Unit

# Words of the task. None of them is dropped where the prompt has it too.
_TASK = re.compile(
    r"\b(?:prompts?|additions? \d+|paragraphs?|phrases?|text-to-image"
    r"|(?:the|this|your) (?:sentences?|instructions?)"
    r"|image generat(?:ion|or)s?|second subject|styles? or mediums?|words? of praise|as requested"
    r"|as an? (?:ai|artificial intelligence|assistant|language model)"
    r"|(?:language|image|ai) models?|key elements?"
    r"|(?:descriptive|input|original|output) (?:text|words?)"
    r"|(?:image|file) (?:formats?|paths?|sizes?)|\d+ words|not mentioned"
    r"|(?:enhanced|expanded|improved|revised|rewritten) version|artist['’]s name"
    r"|you (?:can|could|may|should) (?:use|add|choose|create|write|describe))\b",
    re.IGNORECASE,
)
# The writer speaks of itself; within quotation marks somebody in the picture does.
_WRITER = re.compile(
    r"^\W*(?:(?:and|as|but|so) )?I\s"
    r"|\bI(?:['’](?:m|ve|ll|d)| (?:am|have|will|would|can|cannot|was|think|see))\b"
)
_ORDER = re.compile(
    r"\W*(?!use the\b)"  # the force, the light
    r"(?:add|answer|avoid|change|describes?|do not|don['’]t|includes?|keep|rewrite|use|write) "
    r"(?:an?|all|any|each|every|in|it|no|nothing|only|that|the|this|what)\b",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"[\"“”]")
_ECHO = 4  # words in succession
_BEGINNINGS = {"a", "an", "the", "its", "it", "and", "no", "or"}


def without_talk(text: str, source: str, unit: Unit, instruction: str) -> str:
    """The text without phrases, or sentences, about the task.

    Left out are those that speak of prompts, phrases or the writer, that give orders, that stand in
    the instruction, or that share four words in succession with it, unless the prompt says the
    same.

    Args:
        text: in units of the form.
        source: the prompt.
        unit: of the form.
        instruction: whose words are no picture; empty where they may be one.
    """
    units, told, own = unit.split(text), plain_words(instruction), plain_words(source)
    kept = [one for one in units if not (_is_talk(one, own) or _is_echo(one, told, own))]
    return text if len(kept) == len(units) else unit.between.join(kept)


def _is_talk(one: str, own: str) -> bool:
    if any(plain_words(found) not in own for found in _TASK.findall(one)):
        return True
    if _ORDER.match(one) and plain_words(one) not in own:
        return True
    return not _QUOTED.search(one) and _WRITER.search(one) is not None and " i " not in own


def _is_echo(one: str, told: str, own: str) -> bool:
    words = plain_words(one).split()
    while words and words[0] in _BEGINNINGS:
        words.pop(0)
    size = min(_ECHO, len(words))
    if not size or not told.strip():
        return False
    parts = [f" {' '.join(words[at : at + size])} " for at in range(len(words) - size + 1)]
    return any(part in told and part not in own for part in parts)
