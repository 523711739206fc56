"""A prompt as the user wrote it, read once: its syntax, its tokens, what it asks for."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from promptlift.errors import InputError
from promptlift.prompts.clip_tokens import count_clip_tokens, count_parts
from promptlift.prompts.intent import Intent, Want
from promptlift.prompts.language import foreign_language
from promptlift.prompts.lexicon.terms import Term, find_terms
from promptlift.prompts.parts import Part, insert, main_part, parts_of
from promptlift.prompts.syntax import parse
from promptlift.prompts.units import CLAUSE, Unit, continuation, openness

# A prompt that names so many of these is detailed; nine in ten real heads name none.
_DETAIL = ("style", "medium", "filler", "light", "camera")
DETAILED = 5
_NO_PLACE = {
    "": "it has no words",
    "frame": "no text in it is known to describe the picture, or it is not quite JSON",
    "call": "its function takes additions only in quotation marks",
}


@dataclass(frozen=True)
class Reading:
    """A prompt and what was read in it.

    Attributes:
        prompt: as it was given.
        parts: what is encoded by itself, see `syntax.Part`.
        part: the one that is improved, None where the prompt has no words.
        has_syntax: whether anything in it is more than words.
        frame: what its words stand in, within quotation marks: "frame" for JSON and the like,
            "call" for a function of compel, "" for nothing.
        asked: terms that count as named though the prompt does not have them, in lower case.
    """

    prompt: str
    parts: tuple[Part, ...]
    part: Part | None
    has_syntax: bool
    frame: str = ""
    asked: frozenset[str] = frozenset()

    @property
    def words(self) -> str:
        """The words of the part that is improved."""
        return ", ".join(part.words for part in self.improved)

    @cached_property
    def intent(self) -> Intent:
        """What the whole prompt asks for."""
        return Intent(", ".join(part.words for part in self.parts))

    @cached_property
    def _found(self) -> list[Term]:
        return list(find_terms(", ".join(part.words for part in self.parts)))

    @cached_property
    def terms(self) -> frozenset[str]:
        """Painters, styles and mediums that it names or that are asked for, in lower case."""
        return self.asked | named_terms(self._found)

    def new_terms(self, phrases: Iterable[str], kinds: Collection[str]) -> list[str]:
        """Terms of some kinds in phrases that the prompt does not name, in lower case."""
        found = (term for phrase in phrases for term in _terms(phrase) if term.kind in kinds)
        return [term.text.lower() for term in found if term.text.lower() not in self.terms]

    def lost(
        self, result: str, parts: Iterable[Part] | None = None, *, prose: bool = False
    ) -> tuple[Want, ...]:
        """What the prompt asks for and a result no longer says.

        Args:
            result: with its syntax.
            parts: of the result, where they are known.
            prose: whether it is a paragraph.
        """
        end = self.part.end if self.part and self.part.end is not None else len(self.prompt)
        if result.startswith(self.prompt[:end]) and result.endswith(self.prompt[end:]):
            return ()  # word for word
        parts = parts_of(parse(result)) if parts is None else parts
        return self.intent.lost(", ".join(part.words for part in parts), prose=prose)

    @property
    def improved(self) -> tuple[Part, ...]:
        """The parts that phrases are added to: one, or all that a function of compel mixes."""
        if self.part is None:
            return ()
        if self.part.kind != "call":
            return (self.part,)
        return tuple(part for part in self.parts if part.words and part.end is not None)

    def extended(self, phrases: Sequence[str], unit: Unit = CLAUSE) -> str:
        """The prompt with phrases, or other units, after the words that are improved."""
        prompt = self.prompt
        for part in reversed(self.improved):
            prompt = insert(prompt, part, phrases, unit)
        return prompt

    @cached_property
    def _before(self) -> str:
        """The words that a paragraph goes on from; of several those that end least."""
        heads = ("." if part.before else self.prompt[: part.end] for part in self.improved)
        return min(heads, key=openness, default=".")

    def continued(self, text: str) -> list[str]:
        """The units of a paragraph that goes on from the words that are improved."""
        return continuation(text, self._before)

    def fitted(self, units: Sequence[str], unit: Unit) -> list[str]:
        """Units as they stand after the words that are improved."""
        return unit.fitted(self._before, units)

    def tokens_with(self, phrases: list[str]) -> int:
        """CLIP tokens of the part that is improved, with phrases after its words."""
        return max(
            (
                count_clip_tokens(CLAUSE.append(part.seen.rstrip(), phrases)) + part.embeddings
                for part in self.improved
            ),
            default=0,
        )

    def reason_to_leave(self, *, limit: int | None, force: bool) -> str | None:
        """Why the prompt is better left as it is.

        Args:
            limit: CLIP tokens that it may have with its additions; None for any number.
            force: improve it even if it is detailed already or not in English.
        """
        if self.part is None:
            return f"left alone: {_NO_PLACE[self.frame]}"
        own = self.tokens_with([])
        if limit is not None and own >= limit:
            return f"left alone: it has {own} CLIP tokens by itself, of {limit}"
        if force:
            return None
        if language := foreign_language(self.words):
            return f"left alone: it looks like {language}, and the model reads English"
        detail = sum(term.kind in _DETAIL for term in self._found)
        if detail >= DETAILED:
            return f"left alone: it is detailed already, with {detail} terms of manner"
        return None


def named_terms(terms: Iterable[Term]) -> frozenset[str]:
    """Those that are painters, styles or mediums, in lower case."""
    return frozenset(
        term.text.lower() for term in terms if term.kind in ("painter", "style", "medium")
    )


def read(prompt: str, asked: frozenset[str] = frozenset()) -> Reading:
    """Read a prompt; `asked` are terms that count as named."""
    spans = parse(prompt)
    parts = tuple(parts_of(spans))
    kinds = {span.kind for span in spans}
    return Reading(
        prompt,
        parts,
        main_part(parts),
        has_syntax=not kinds <= {"text", "doubt"},
        frame=next((kind for kind in ("call", "frame") if kind in kinds), ""),
        asked=asked,
    )


def longest_part(prompt: str) -> int:
    """CLIP tokens of the longest part of a prompt."""
    return max(count_parts(parts_of(parse(prompt))))


def check_prompt(prompt: object, name: str) -> None:
    """Raise InputError unless this is text that can be improved."""
    if not isinstance(prompt, str):
        raise InputError(f"{name} is {type(prompt).__name__}, not text.")
    if not prompt.strip():
        raise InputError(f"{name} is empty. Give it at least one word.")
    try:
        prompt.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InputError(f"{name} is not valid Unicode: {error.reason}.") from error


@lru_cache(20_000)  # models say the same phrases over and over
def _terms(phrase: str) -> tuple[Term, ...]:
    return tuple(find_terms(phrase))
