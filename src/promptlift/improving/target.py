"""What a result is made for: the picture model's form, quality tags, markup and token limit."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import takewhile
from typing import Any

from promptlift.improving.config import ControlConfig
from promptlift.improving.manifest import ModelCard
from promptlift.prompts.clauses import plain_words
from promptlift.prompts.intent import Text
from promptlift.prompts.parts import parts_of
from promptlift.prompts.picture_models.encoders import (
    TITLES,
    TOKENIZERS_VARIABLE,
    Count,
    count_tokens,
    read_by_tools,
)
from promptlift.prompts.picture_models.markup import as_prose
from promptlift.prompts.picture_models.objects import as_json, as_object, base_of, is_object
from promptlift.prompts.picture_models.table import CLIP, DEFAULT, PictureModel, picture_models
from promptlift.prompts.reading import Reading, read
from promptlift.prompts.syntax import Span, parse
from promptlift.prompts.units import CLAUSE, Unit
from promptlift.records import Dropped


@dataclass(frozen=True)
class Made:
    """A result as the picture model reads it.

    Attributes:
        prompt: its text.
        words: the same before it took its form: without quality tags, and no JSON.
        additions: those that are in it.
        dropped: those that had no room.
        notes: what was done.
        checks: encoder, tokens and quality tags, for the record's `checks`.
    """

    prompt: str
    words: str
    additions: list[str]
    dropped: tuple[Dropped, ...] = ()
    notes: tuple[str, ...] = ()
    checks: Mapping[str, Any] | None = None


class Target:
    """A picture model and a form that results are made for.

    SDXL's tags are what `selection` makes already: for them this changes nothing.
    """

    def __init__(self, control: ControlConfig) -> None:
        self.control = control
        self.model: PictureModel = picture_models()[control.picture_model]
        self.is_json = control.form == "json"
        self.is_plain = control.picture_model == DEFAULT and not self.is_json

    @cached_property
    def writing(self) -> ControlConfig:
        """The options for what writes: JSON is filled from tags."""
        given = {
            plain_words(phrase) for phrase in (*self.control.include, self.control.style or "")
        }
        never = tuple(word for word in self.model.never if plain_words(word) not in given)
        if self.is_plain or not (never or self.is_json):
            return self.control
        return replace(
            self.control, form=self.control.written_form, avoid=(*self.control.avoid, *never)
        )

    def general_notes(self, card: ModelCard, negative: str | None) -> list[str]:
        """What is to be said of any result."""
        notes = []
        title = self.model.title
        if self.model.form == "paragraph" and "paragraph" not in card.forms:
            notes.append(f"in tags: {title} reads paragraphs best, and {card.name} writes none")
        if negative and not self.model.negatives:
            notes.append(f"{title} reads no negative prompt; it is given back unused")
        return notes

    def source(self, prompt: str) -> tuple[str, tuple[str, ...]]:
        """A prompt without markup that the picture model does not read, and notes of it."""
        if self.model.markup:
            return prompt, ()
        if self.is_json and not is_object(prompt, self.model.object):
            reading = read(prompt)
            if reading.frame:  # JSON of another kind: what in it describes the picture
                return reading.words or prompt, ("its words were taken out of their frame",)
        return as_prose(prompt, self.model.title, keep_tags=not self.is_json)

    def reason_to_leave(self, prompt: str) -> str | None:
        """Why a prompt is better left as it is: it is an object already, or fills the encoder."""
        if self.is_plain:
            return None
        if self.is_json and is_object(prompt, self.model.object):
            return f"left alone: it is JSON of {self.model.title} already"
        limit = self._limit
        if limit is None or self.model.encoder == CLIP:  # which a reading counts itself
            return None
        if (own := self._count(prompt).tokens) >= limit:
            encoder = TITLES[self.model.encoder]
            return f"left alone: it has {own} {encoder} tokens by itself, of {limit}"
        return None

    def made(self, reading: Reading, text: str, additions: Sequence[str]) -> Made:
        """A result in the form of the picture model, within its limit.

        Quality tags go for which the prompt alone leaves no room, then additions from the end until
        it fits; what the prompt says always stays.

        Args:
            reading: the prompt, as `source` gives it.
            text: the prompt with its additions, or a rewriting of it.
            additions: those.
        """
        kept = list(additions)
        if self.is_plain:
            return Made(text, text, kept)
        unit = self.control.unit
        is_extended = text == reading.extended(additions, unit)
        quality, left_out = self._quality(reading.prompt if is_extended else text, reading), []
        while quality and not self._fits(self._formed(reading, reading.prompt, [], quality)):
            left_out.append(quality.pop())
        words, dropped = text, []
        while True:
            tags = [tag for tag in quality if not _has(words, tag)]
            prompt = self._formed(reading, words, kept if is_extended else None, tags)
            spare = kept if is_extended else _others(kept, reading)
            if not spare or self._fits(prompt):
                break
            last = spare[-1]
            kept.remove(last)
            dropped.append(Dropped(last, "budget"))
            gone = [item.phrase for item in dropped]
            words = reading.extended(kept, unit) if is_extended else cut(text, gone, unit)
        notes = []
        if tags:
            notes.append(f"quality tags of {self.model.title}: {', '.join(tags)}")
        if left_out:
            notes.append(f"no room for quality tags: {', '.join(reversed(left_out))}")
        count = self._count(prompt)
        if count.estimated:
            notes.append(
                f"{TITLES[self.model.encoder]} tokens are estimated: the tokenizer is not here; to "
                f"count them, put its tokenizer.json as {self.model.encoder}.json into the folder "
                f"that {TOKENIZERS_VARIABLE} names"
            )
        limit = self._limit
        checks = {
            "encoder": self.model.encoder,
            "encoder_tokens": count.tokens,
            "encoder_limit": limit,
            "estimated": count.estimated,
            "quality_tags": tags,
            "over_budget": limit is not None and count.tokens > limit,
        }
        return Made(prompt, words, kept, tuple(dropped), tuple(notes), checks)

    def edited(
        self, reading: Reading, prompt: str, additions: Sequence[str], kept: Sequence[str]
    ) -> Made:
        """A result that was made here, with other additions: some of its own, and some more."""
        text = reading.extended(additions, self.control.unit)
        if self.made(reading, text, additions).prompt == prompt:
            kept = reading.fitted(kept, self.control.unit)
            return self.made(reading, reading.extended(kept, self.control.unit), kept)
        unit = self.control.unit
        text = base_of(prompt, self.model.object) if self.is_json else prompt
        text = cut(text, [one for one in additions if one not in kept], unit)
        text = unit.append(text, [one for one in kept if one not in additions])
        return self.made(reading, text, kept)

    @property
    def _limit(self) -> int | None:
        return self.control.encoder_tokens

    def _fits(self, prompt: str) -> bool:
        return self._limit is None or self._count(prompt).tokens <= self._limit

    def _count(self, prompt: str) -> Count:
        text = prompt if self.is_json or self.model.markup else read_by_tools(prompt)
        return count_tokens(text, self.model.encoder, markup=self.model.markup)

    def _quality(self, text: str, reading: Reading) -> list[str]:
        """The quality tags that a text lacks; none where it stands in a frame or names bad ones."""
        if self.control.form != "tags" or reading.part is None or reading.frame:
            return []
        if any(_has(text, tag) for tag in self.model.quality_unless):
            return []
        return [tag for tag in self.model.quality if not _has(text, tag)]

    def _formed(
        self, reading: Reading, words: str, kept: Sequence[str] | None, quality: Sequence[str]
    ) -> str:
        """The form of words: JSON of them, or quality tags before or after them.

        Args:
            reading: the prompt.
            words: what is to be formed.
            kept: additions that extend the prompt to these words; None for a rewriting.
            quality: tags.
        """
        if self.is_json:
            kind, style = self.model.object, self.control.style
            if is_object(words, kind):
                return words
            base, added = (words, ()) if kept is None else (reading.prompt, kept)
            return as_json(as_object(base, added, kind, style=style))
        if not quality:
            return words
        if self.model.quality_at == "end":
            if kept is None:
                return CLAUSE.append(words, quality)
            return reading.extended([*kept, *quality], CLAUSE)
        start = 0
        for span in takewhile(_before_words, parse(words)):
            start += len(span.text)
        start += len(words[start:]) - len(words[start:].lstrip())
        return f"{words[:start]}{', '.join(quality)}, {words[start:]}"


def _before_words(span: Span) -> bool:
    return span.role == "comment" or not span.text.strip()


def _others(additions: Sequence[str], reading: Reading) -> list[str]:
    """The additions of a rewriting that say nothing of what the prompt says."""
    own = reading.intent.text.stem_set
    return [phrase for phrase in additions if not own & Text(phrase).stem_set]


def cut(text: str, phrases: Collection[str], unit: Unit) -> str:
    """A rewriting without some of its clauses or sentences; the last one stays."""
    units = unit.split(text)
    for phrase in phrases:
        if phrase in units and len(units) > 1:
            units.remove(phrase)
    return unit.between.join(units)


def _has(text: str, tag: str) -> bool:
    """Whether a text has a tag as a clause, weighed or not."""
    clauses = (clause for part in parts_of(parse(text)) for clause in CLAUSE.split(part.words))
    return any(_plain(clause) == _plain(tag) for clause in clauses)


def _plain(clause: str) -> str:
    return plain_words(clause.replace("_", " "))
