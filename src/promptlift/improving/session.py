"""From prompts and options to improvements, a window of prompts at a time."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from importlib.metadata import version
from typing import Any

from promptlift.errors import ConfigError
from promptlift.improving.checks import check_result
from promptlift.improving.config import ControlConfig, DecodingConfig
from promptlift.improving.decoding.loop import random_stream
from promptlift.improving.repair import ATTEMPTS, others, repair, rewriting
from promptlift.improving.selection import fit, select
from promptlift.improving.target import Target
from promptlift.improving.writing import Model, Source, Written
from promptlift.prompts.clauses import new_clauses, plain_words
from promptlift.prompts.intent import Intent
from promptlift.prompts.reading import Reading, check_prompt, longest_part, read
from promptlift.prompts.units import CLAUSE, SENTENCE, capitalized
from promptlift.records import Dropped, Improvement

MOST_VARIANTS = 10_000  # of a prompt, all of which are held until the last one is there
MOST_SEED = 2**64 - 1  # the largest of ComfyUI, whose seeds are the largest


@dataclass(frozen=True, kw_only=True)
class Ask:
    """A prompt to improve, with the settings that may differ within a batch.

    Attributes:
        prompt: its text.
        seed: seed of its random numbers, from 0.
        mode: "extend" or "rewrite"; None for what the model has learned, extend before rewrite.
        n: number of variants; variant i does not depend on n.
        negative: negative prompt, which every variant carries unchanged.
    """

    prompt: str
    seed: int
    mode: str | None = None
    n: int = 1
    negative: str | None = None

    def __post_init__(self) -> None:
        for name, value, least, most in (
            ("n", self.n, 1, MOST_VARIANTS),
            ("seed", self.seed, 0, MOST_SEED),
        ):
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise ConfigError(
                    f"{name} is {value!r} and must be a whole number from {least} to {most}"
                )


@dataclass
class _Row:
    """A variant of a prompt on its way to its result."""

    ask: Ask
    reading: Reading
    mode: str
    variant: int
    used: tuple[str, ...] = ()  # phrases or sentences of earlier variants
    notes: list[str] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)
    record: dict[str, Any] = field(default_factory=dict)  # of what was written
    result: Improvement | None = None


class Session:
    """A model and options, ready to improve any number of prompts.

    Args:
        model: the model that improves them.
        decoding: how tokens are chosen.
        control: constraints on the results.
        batch_size: results that are decoded together.
        given_up: called before each token; if it returns true, `GivenUp` is raised.

    Raises:
        ConfigError: the batch size is below 1, or the model has not learned the form.
    """

    def __init__(
        self,
        model: Model,
        *,
        decoding: DecodingConfig,
        control: ControlConfig,
        batch_size: int,
        given_up: Callable[[], bool] | None = None,
    ) -> None:
        if batch_size < 1:
            raise ConfigError(f"batch_size is {batch_size} and must be 1 or more")
        self.model, self.batch_size = model, batch_size
        self.target = Target(control)
        self.decoding, self.control = decoding, self.target.writing
        model.card.prefix(model.card.mode(None), self.control.form)
        self.writer = model.writer(decoding, self.control, batch_size=batch_size, given_up=given_up)
        self.settings = {
            "versions": _versions(model.libraries),
            **model.about,
            **asdict(decoding),
            **{k: list(v) if isinstance(v, tuple) else v for k, v in asdict(control).items()},
        }

    def improve(self, asks: Iterable[Ask]) -> Iterator[list[Improvement]]:
        """The variants of each prompt, in order.

        Raises:
            InputError: a prompt is empty or not text.
            ConfigError: the model has not learned a prompt's mode.
        """
        first = 0
        for window in self._windows(asks):
            for index, ask in enumerate(window, first):
                check_prompt(ask.prompt, f"prompt {index}")
                self.model.card.mode(ask.mode)
            first += len(window)
            yield from self._window(window)

    def _windows(self, asks: Iterable[Ask]) -> Iterator[list[Ask]]:
        window: list[Ask] = []
        rows = 0
        for ask in asks:
            window.append(ask)
            rows += ask.n
            if rows >= self.writer.window:
                yield window
                window, rows = [], 0
        if window:
            yield window

    def _window(self, asks: Sequence[Ask]) -> Iterator[list[Improvement]]:
        groups = [self._rows_of(ask) for ask in asks]
        if self.control.diversity == 0:
            self._improve([row for rows in groups for row in rows])
        else:  # a variant avoids the phrases of earlier variants, so they are improved in turn
            for variant in range(max(map(len, groups))):
                turn = [rows for rows in groups if variant < len(rows)]
                for rows in turn:
                    earlier = [row.result for row in rows[:variant] if row.result]
                    rows[variant].used = tuple(p for one in earlier for p in one.additions)
                self._improve([rows[variant] for rows in turn])
        for rows in groups:
            yield [row.result for row in rows if row.result]

    def _rows_of(self, ask: Ask) -> list[_Row]:
        """The variants of a prompt; if it is better left alone, they have their results already."""
        prompt, notes = self.target.source(ask.prompt)
        notes = (*self.target.general_notes(self.model.card, ask.negative), *notes)
        reading = read(prompt, self.writer.asked)
        reason = self.target.reason_to_leave(prompt) or reading.reason_to_leave(
            limit=self.control.max_tokens, force=self.control.force
        )
        mode = self.model.card.mode(ask.mode)
        rows = [_Row(ask, reading, mode, i, notes=[*notes]) for i in range(ask.n)]
        if reason:
            for row in rows:
                row.notes.append(reason)
                self._finish(row, prompt, [], left=True)
        return rows

    def _improve(self, rows: list[_Row]) -> None:
        waiting = [row for row in rows if row.result is None]
        for mode in dict.fromkeys(row.mode for row in waiting):
            own = [row for row in waiting if row.mode == mode]
            if mode == "rewrite":
                self._rewrite(own)
            else:
                self._extend(own, mode)

    def _extend(self, rows: list[_Row], mode: str) -> None:
        """Add to each prompt what the model writes in a mode; draw again where nothing can be."""
        left = rows
        for attempt in range(self.writer.attempts):
            last = attempt + 1 == self.writer.attempts
            drawn, left = left, []
            for row, kept in self._extensions(drawn, mode, attempt, last=last):
                if kept or last:
                    self._finish(row, row.reading.extended(kept, self.control.unit), kept)
                else:
                    left.append(row)

    def _extensions(
        self, rows: list[_Row], mode: str, attempt: int, *, last: bool
    ) -> Iterator[tuple[_Row, list[str]]]:
        """Each row with what can be added to it of what the model writes."""
        for row, written in self._write(rows, mode, attempt, last=last):
            text = written.text
            if text is None:
                yield row, []
                continue
            unit, used = self.control.unit, row.used if self.control.diversity >= 1 else ()
            units = row.reading.continued(text) if unit is SENTENCE else unit.split(text)
            if mode == "rewrite":  # the text may repeat the prompt in other words
                new = new_clauses(text, row.reading.words, unit.split)
                units, used = others(new, row.reading, unit), ()
            chosen = select(
                units,
                row.reading,
                self.control,
                ended=written.ended,
                used=used,
                most=written.most,
            )
            chosen = fit(chosen, row.reading, self.control.max_tokens)
            row.dropped += chosen.dropped
            if not chosen.kept and not last:
                row.notes.append("drawn again: nothing could be added")
            yield row, row.reading.fitted(chosen.kept, unit)

    def _rewrite(self, rows: list[_Row]) -> None:
        """Rewrite; repair a rewriting that lost something, draw it again, or extend instead.

        One that says nothing new is drawn again too where the writer draws extensions again.
        """
        control, prose = self.control, self.control.unit is SENTENCE
        # A rewriting has no place for markup.
        left = [row for row in rows if not (control.keep_intent and row.reading.has_syntax)]
        tries = ATTEMPTS if control.keep_intent else 1
        for attempt in range(tries):
            may_be_bare = attempt + 1 >= min(tries, self.writer.attempts)
            drawn, left = left, []
            for row, written in self._write(drawn, "rewrite", attempt, last=False):
                if written.text is None:
                    left.append(row)
                    continue
                text, chosen = rewriting(written.text, written.ended, row.reading, control)
                lost = row.reading.intent.lost(text, prose=prose) if control.keep_intent else ()
                repaired = repair(text, lost, row.reading, control) if lost else None
                if repaired:
                    text, note = repaired
                    row.notes.append(note)
                elif lost:
                    what = ", ".join(want.text for want in lost)
                    row.notes.append(f"drawn again: a rewriting lost {what}")
                    left.append(row)
                    continue
                if not (may_be_bare or Intent(text).lost(row.reading.words, prose=prose)):
                    row.notes.append("drawn again: a rewriting said nothing new")
                    left.append(row)
                    continue
                row.dropped += chosen.dropped
                if control.style and control.style.lower() not in text.lower():
                    text = _with_style(text, control)
                added = new_clauses(text, row.reading.words, control.unit.split)
                self._finish(row, text, added)
        failed = [row for row in rows if row.result is None]
        for row in failed:
            why = "every rewriting lost words or said nothing new"
            if row.reading.has_syntax:
                why = "it has prompt syntax"
            elif "drawn again: a rewriting said nothing new" not in row.notes:
                why = "every rewriting lost words"
            row.notes.append(f"extended instead of rewritten: {why}")
        self._extend(failed, "extend" if "extend" in self.model.card.modes else "rewrite")

    def _write(
        self, rows: list[_Row], mode: str, attempt: int = 0, *, last: bool = True
    ) -> list[tuple[_Row, Written]]:
        """Each row with what the model writes for it.

        The text is None where another try may bring one; rows for which it writes nothing the last
        time are left as they are, with the reason.
        """
        sources = [
            Source(
                row.reading.words,
                row.reading.terms,
                row.used if self.control.unit is CLAUSE else _things(row.used, row.reading),
                random_stream(row.ask.seed, row.variant, row.ask.prompt, attempt),
                row.variant,
            )
            for row in rows
        ]
        found = []
        for row, written in zip(rows, self.writer.write(sources, mode), strict=True):
            row.record.update(written.record)
            gone = written.text is None and (last or not written.again)
            told = "" if written.text else "left as it is: " if gone else "drawn again: "
            row.notes += [told + note for note in written.notes]
            if gone:
                self._finish(row, row.reading.prompt, [], left=True)
            else:
                found.append((row, written))
        return found

    def _finish(self, row: _Row, prompt: str, additions: list[str], *, left: bool = False) -> None:
        """Give a row its result, with a note of what it lacks of what the options ask for.

        Args:
            row: the row.
            prompt: its text.
            additions: those that are in it.
            left: whether the prompt is left as it is, for a reason that the notes have.
        """
        control = self.control
        made = self.target.made(row.reading, prompt, additions)
        reading, prose = row.reading, control.unit is SENTENCE
        tokens, checks = check_result(
            reading, made.words, made.additions, control.max_tokens, prose=prose
        )
        if made.checks is not None:
            tokens, checks = longest_part(made.prompt), {**checks, **made.checks}
        if reading.prompt != row.ask.prompt:  # without its markup; its words are to be there
            lost = read(row.ask.prompt).lost(made.words, prose=prose)
            checks["lost"] = [want.text for want in lost]
        row.result = Improvement(
            source=row.ask.prompt,
            prompt=made.prompt,
            additions=tuple(made.additions),
            clip_tokens=tokens,
            seed=row.ask.seed,
            variant=row.variant,
            mode=row.mode,
            model=self.model.model_id,
            dropped=(*row.dropped, *made.dropped),
            notes=(*row.notes, *made.notes, *(() if left else self._missing(row, made.words))),
            negative=row.ask.negative,
            checks=checks,
            settings={**self.settings, **row.record},
        )

    def _missing(self, row: _Row, text: str) -> list[str]:
        """A note of each wish that a text does not say, nor a variant that it is to differ from."""
        elsewhere = [item.phrase for item in row.dropped if item.reason == "in another variant"]
        said = "|".join(map(plain_words, (text, *elsewhere)))
        wishes = (*self.control.include, *filter(None, [self.control.style]))
        return [f"not added: {wish}" for wish in wishes if plain_words(wish) not in said]


def _with_style(text: str, control: ControlConfig) -> str:
    """A rewriting that ends with the style that was asked for."""
    if control.unit is SENTENCE:
        return SENTENCE.append(text, [f"{capitalized(str(control.style))}."])
    return f"{text}, {control.style}"


def _things(sentences: Sequence[str], reading: Reading) -> tuple[str, ...]:
    """The words for what sentences speak of beside the prompt."""
    wants = Intent(" ".join(sentences)).lost(reading.words)
    return tuple(want.text for want in wants if want.kind == "content")


@lru_cache
def _versions(libraries: tuple[str, ...]) -> Mapping[str, str]:
    return {name: version(name) for name in ("promptlift", "numpy", *libraries)}
