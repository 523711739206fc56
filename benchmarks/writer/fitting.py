"""What the writer may learn to add: concrete things that belong to the scene.

Not: names, styles and mediums, fillers, what cannot be seen, a second subject, anything twice.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.writer.prose import PLACES
from promptlift.prompts.clip_tokens import count_clip_tokens
from promptlift.prompts.contradictions import contradiction
from promptlift.prompts.intent import Intent
from promptlift.prompts.lexicon.terms import find_terms
from promptlift.prompts.lexicon.terms import phrases as known_phrases
from promptlift.prompts.lexicon.words import may_be_taught, unsafe_words

MOST_CLIP_TOKENS = 68
_MANNER = {"painter", "style", "medium", "filler"}
_NOT_OFFERED = _MANNER | {"name", "mood", "detail"}


def _any_of(file: str) -> str:
    text = (Path(__file__).parent / "words" / file).read_text(encoding="utf-8")
    return f"(?:{'|'.join(text.splitlines())})"


# Heard, smelt or thought, not seen; or no thing at all.
_UNSEEN = re.compile(rf"\b{_any_of('unseen.txt')}\b")
# Without its sentence, "on the neck" says nothing. "in the rain" does.
_BARE_PLACE = re.compile(
    rf"(?:{'|'.join(sorted(PLACES))}|from|to|onto|into|over|around|of|for|with) "
    rf"(?:(?:an?|the|its|their|his|her|one) )?(?!{_any_of('surroundings.txt')}$)[\w-]+"
)
SOMEBODY = re.compile(
    r"(?:m[ae]n|boy|girl|child(?:ren)?|people|person|couple|lad(?:y|ies)|actor|actress|worker|"
    r"player|dancer|singer|teacher|student|farmer|soldier|warrior|wizard|witch|queen|king|prince|"
    r"princess|chef|baby|kid|family|bride|groom|model|monk|nun|friend|crowd|group|portrait|"
    r"\w+(?:er|or|ist|ian))s?\b",
    re.IGNORECASE,
)
_WORN = re.compile(rf"\b{_any_of('clothes.txt')}\b")
# Talk of the picture.
META = re.compile(
    r"\b(?:image|photo(?:graph)?|picture|viewers?|camera|composition|shot|scene|frame|"
    r"atmosphere|ambiance|overall|evok\w+|invit\w+|suggest\w+|sense of|touch of|"
    r"captur\w+|the essence|perspective|title|caption|text|word|reads?|letter\w*)\b",
    re.IGNORECASE,
)
_NAME = re.compile(r"(?<![.!?] )(?<!^)\b[A-Z][a-z]")


def manner(text: str) -> bool:
    """Whether a text names a painter, style, medium or filler."""
    return any(term.kind in _MANNER for term in find_terms(text))


def plain(text: str) -> bool:
    """Whether a sentence names no style, nobody, and nothing unsafe."""
    unsafe = unsafe_words() & {*re.findall("[a-z]+", text.lower())}
    return not unsafe and not _NAME.search(text) and not manner(text)


def sound(text: str) -> bool:
    """Whether a text ends, and holds plain characters alone."""
    return (
        text.endswith((".", "!", "?", '"'))
        and "  " not in text
        and not re.search(r"[^\x20-\x7e]", text)
    )


def one_subject(text: str, source: str) -> bool:
    """Whether a text brings no being that the source does not name, and nothing it rules out."""
    asked = Intent(source).text
    return not any(
        (contradiction(asked, part, prose=True) or "").startswith(
            ("a second subject", "the prompt says")
        )
        for part in re.split(r"[.,;] ", text)
    )


def may_be_added(phrase: str, asked: Intent, said: Sequence[str]) -> bool:
    """Whether a phrase is a concrete thing that goes with a source and the phrases before it."""
    if not may_be_taught(phrase) or unsafe_words() & {*phrase.lower().split()}:
        return False
    if _UNSEEN.search(phrase) or META.search(phrase) or manner(phrase):
        return False
    if _BARE_PLACE.fullmatch(phrase) or (
        _WORN.search(phrase) and not SOMEBODY.search(asked.text.text)
    ):
        return False
    known = known_phrases().get(phrase.lower())
    if (known and known.kind in _NOT_OFFERED) or phrase.endswith("'s") or len(phrase) < 4:
        return False
    source, own = asked.text.stem_set, Intent(phrase).text.stem_set
    if own & source and phrase.split()[0] not in PLACES:
        return False  # the subject again
    before = source.union(*(Intent(one).text.stem_set for one in said))
    if not own - before or len(own & before) >= len(own) / 2:
        return False
    return contradiction(asked.text, phrase, ", ".join(said)) is None


def fitting(found: Iterable[str], source: str, most: int) -> list[str]:
    """At most so many of the phrases that may be added, in their order, for CLIP's 75 tokens."""
    asked, kept = Intent(source), list[str]()
    for phrase in found:
        if len(kept) < most and may_be_added(phrase, asked, kept):
            if count_clip_tokens(", ".join([source, *kept, phrase])) > MOST_CLIP_TOKENS:
                break
            kept.append(phrase)
    return kept
