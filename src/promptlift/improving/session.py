"""One call of improving: prompts and options in, improvements out, a window at a time."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from importlib.metadata import version

from promptlift.errors import ConfigError
from promptlift.improving.checks import check_result
from promptlift.improving.config import ControlConfig, DecodingConfig
from promptlift.improving.decoding.loop import random_stream
from promptlift.improving.generation import Generator, Source
from promptlift.improving.model import LoadedModel
from promptlift.improving.repair import ATTEMPTS, mend, other_clauses, rewriting
from promptlift.improving.selection import fit, select
from promptlift.prompts.clauses import new_clauses, split_clauses
from promptlift.prompts.reading import Reading, check_prompt, read
from promptlift.records import Dropped, Improvement

# Prompts that are sorted by length together, in batches: more makes fuller batches.
WINDOW_BATCHES = 16


@dataclass(frozen=True, kw_only=True)
class Ask:
    """A prompt to improve, with what its neighbours in a batch need not share.

    Attributes:
        prompt: its text.
        seed: of its random numbers.
        mode: "extend" or "rewrite".
        n: variants of it; variant i is the same whatever n is.
        negative: negative prompt, given back with every variant.
    """

    prompt: str
    seed: int
    mode: str = "extend"
    n: int = 1
    negative: str | None = None

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ConfigError(f"n is {self.n} and must be 1 or more")


@dataclass
class _Row:
    """A variant of a prompt on its way."""

    ask: Ask
    reading: Reading
    variant: int
    attempt: int = 0
    used: tuple[str, ...] = ()  # phrases of earlier variants
    notes: list[str] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)


class Session:
    """What prompts that are improved together have in common.

    Args:
        model: the model that improves them.
        decoding: how tokens are chosen.
        control: what is asked of the results.
        batch_size: results that are decoded together.
        given_up: asked before each token whether to stop, which raises `GivenUp`.
    """

    def __init__(
        self,
        model: LoadedModel,
        *,
        decoding: DecodingConfig,
        control: ControlConfig,
        batch_size: int,
        given_up: Callable[[], bool] | None = None,
    ) -> None:
        if batch_size < 1:
            raise ConfigError(f"batch_size is {batch_size} and must be 1 or more")
        self.model, self.batch_size = model, batch_size
        self.decoding, self.control = decoding, control
        self.generator = Generator(
            model, decoding, control, batch_size=batch_size, given_up=given_up
        )
        self.settings = {
            "versions": _versions(model.engine.libraries),
            **asdict(decoding),
            **{k: list(v) if isinstance(v, tuple) else v for k, v in asdict(control).items()},
        }

    def improve(self, asks: Iterable[Ask]) -> Iterator[list[Improvement]]:
        """The variants of each prompt, in order.

        Raises:
            InputError: a prompt is empty or no text.
            ConfigError: the model has not learned a prompt's mode.
        """
        first = 0
        for window in self._windows(asks):
            for index, ask in enumerate(window, first):
                check_prompt(ask.prompt, f"prompt {index}")
                self.model.card.prefix(ask.mode)
            first += len(window)
            yield from self._window(window)

    def _windows(self, asks: Iterable[Ask]) -> Iterator[list[Ask]]:
        window: list[Ask] = []
        rows = 0
        for ask in asks:
            window.append(ask)
            rows += ask.n
            if rows >= WINDOW_BATCHES * self.batch_size:
                yield window
                window, rows = [], 0
        if window:
            yield window

    def _window(self, asks: Sequence[Ask]) -> list[list[Improvement]]:
        readings = [read(ask.prompt) for ask in asks]
        results: list[list[Improvement]] = [[] for _ in asks]
        waiting = []
        for index, (ask, reading) in enumerate(zip(asks, readings, strict=True)):
            if reason := reading.reason_to_leave(
                limit=self.control.max_tokens, force=self.control.force
            ):
                results[index] = [self._left(ask, reading, v, reason) for v in range(ask.n)]
            else:
                waiting.append(index)
        # With variety a variant avoids what the ones before it said, so they come in turn.
        most = max(ask.n for ask in asks)
        turns = [[v] for v in range(most)] if self.control.variety > 0 else [list(range(most))]
        for turn in turns:
            by_mode: dict[str, list[tuple[int, _Row]]] = {}
            for index in waiting:
                ask = asks[index]
                used = tuple(p for result in results[index] for p in result.additions)
                by_mode.setdefault(ask.mode, []).extend(
                    (index, _Row(ask, readings[index], v, used=used)) for v in turn if v < ask.n
                )
            for mode, places in by_mode.items():
                rows = [row for _, row in places]
                done = self._rewrite(rows) if mode == "rewrite" else self._extend(rows, mode)
                for (index, _), result in zip(places, done, strict=True):
                    results[index].append(result)
        return results

    def _extend(self, rows: list[_Row], mode: str) -> list[Improvement]:
        """The prompt of each row, and after it what the model writes in some mode."""
        results = []
        for row, text, ended in self._write(rows, mode):
            clauses = split_clauses(text)
            used = row.used if self.control.variety >= 1 else ()
            if mode == "rewrite":  # the text may repeat the prompt in other words
                clauses, used = other_clauses(new_clauses(text, row.reading.words), row.reading), ()
            chosen = select(clauses, row.reading, self.control, ended=ended, used=used)
            chosen = fit(chosen, row.reading, self.control.max_tokens)
            row.dropped += chosen.dropped
            results.append(self._result(row, row.reading.extended(chosen.kept), chosen.kept))
        return results

    def _rewrite(self, rows: list[_Row]) -> list[Improvement]:
        """Draw; what lost something is mended, drawn again, or extended instead."""
        results: dict[int, Improvement] = {}
        left = list(range(len(rows)))
        for attempt in range(ATTEMPTS if self.control.lock else 1):
            if self.control.lock and not attempt:  # a rewriting has no place for markup
                left = [place for place in left if not rows[place].reading.has_syntax]
            drawn = [replace(rows[place], attempt=attempt, dropped=[]) for place in left]
            written = self._write(drawn, "rewrite")
            for place, (row, text, ended) in zip(list(left), written, strict=True):
                text, chosen = rewriting(text, ended, row.reading, self.control)
                row.dropped = chosen.dropped
                lost = row.reading.intent.lost(text) if self.control.lock else ()
                if lost and (mended := mend(text, row.reading, self.control)):
                    text, note = mended
                    row.notes = [*row.notes, note]
                    lost = ()
                if lost:
                    what = ", ".join(want.text for want in lost)
                    rows[place].notes.append(f"drawn again: a rewriting lost {what}")
                    continue
                if self.control.style and self.control.style.lower() not in text.lower():
                    text = f"{text}, {self.control.style}"
                results[place] = self._result(row, text, new_clauses(text, row.reading.words))
                left.remove(place)
        given_up = [place for place in range(len(rows)) if place not in results]
        for place, result in zip(
            given_up, self._extend_instead([rows[place] for place in given_up]), strict=True
        ):
            results[place] = result
        return [results[place] for place in range(len(rows))]

    def _extend_instead(self, rows: list[_Row]) -> list[Improvement]:
        for row in rows:
            why = "it has prompt syntax" if row.reading.has_syntax else "every rewriting lost words"
            row.notes.append(f"extended instead of rewritten: {why}")
        return self._extend(rows, "extend" if "extend" in self.model.card.modes else "rewrite")

    def _write(self, rows: list[_Row], mode: str) -> list[tuple[_Row, str, bool]]:
        """Each row with what the model writes for it, and whether the model ended the text."""
        sources = [
            Source(
                row.reading.words,
                row.reading.terms,
                row.used,
                random_stream(row.ask.seed, row.variant, row.ask.prompt, row.attempt),
            )
            for row in rows
        ]
        written = self.generator.write(sources, mode)
        return [(row, *found) for row, found in zip(rows, written, strict=True)]

    def _left(self, ask: Ask, reading: Reading, variant: int, reason: str) -> Improvement:
        row = _Row(ask, reading, variant, notes=[reason])
        return self._result(row, ask.prompt, [])

    def _result(self, row: _Row, prompt: str, additions: list[str]) -> Improvement:
        reading = row.reading
        tokens, checks = check_result(reading, prompt, additions, self.control.max_tokens)
        return Improvement(
            source=reading.prompt,
            prompt=prompt,
            additions=tuple(additions),
            clip_tokens=tokens,
            seed=row.ask.seed,
            variant=row.variant,
            mode=row.ask.mode,
            model=self.model.model_id,
            dropped=tuple(row.dropped),
            notes=tuple(row.notes),
            negative=row.ask.negative,
            checks=checks,
            settings=self.settings,
        )


@lru_cache
def _versions(libraries: tuple[str, ...]) -> Mapping[str, str]:
    return {name: version(name) for name in ("promptlift", "numpy", "tokenizers", *libraries)}
