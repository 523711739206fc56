"""Improving prompts into a file, with a journal from which a stopped job can resume.

The journal, `OUTPUT.part`, is JSONL: a header with everything that determines the results, then the
objects of `improve_items`. When all rows are done, the output is written from it and it is removed.
"""

import json
import os
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

from promptlift.errors import ConfigError, PromptliftError
from promptlift.files import check_new, writing
from promptlift.improving.batch import Item, improve_items
from promptlift.improving.session import Session
from promptlift.records import SCHEMA_VERSION
from promptlift.schema import upgraded_record
from promptlift.tables import check_output_ending, write_rows

COLUMNS = (
    "index", "source", "prompt", "additions", "clip_tokens", "seed", "variant", "mode", "model",
    "dropped", "notes", "negative", "checks", "settings", "line", "error", "schema_version",
)  # fmt: skip
_WINDOW = 256  # rows between two writes of the journal


@dataclass(frozen=True)
class Written:
    """How many rows a job wrote, and how many of them could not be improved."""

    rows: int
    failed: int


def improve_to_file(
    session: Session,
    items: Iterable[Item],
    output: Path,
    *,
    source: Mapping[str, Any],
    n: int = 1,
    seed: int | None = None,
    negative: str | None = None,
    resume: bool = False,
    overwrite: bool = False,
    progress: Callable[[int], None] = lambda done: None,
) -> Written:
    """Improve prompts into a file, or resume where an earlier call was stopped.

    Args:
        session: the model and its options.
        items: all prompts; those that are done already are skipped.
        output: the file; its ending says how it is written.
        source: identifies the items, as plain JSON types; a journal of another source is refused.
        n: number of variants of each prompt.
        seed: the same seed gives the same results; None takes the journal's, or draws one.
        negative: negative prompt, which each result carries unchanged.
        resume: continue from the journal, if there is one.
        overwrite: replace an existing output.
        progress: called with the number of rows done, first with those of an earlier call.

    Raises:
        ConfigError: there is an output or a journal already, or the journal is of another job.
    """
    if seed is None and resume:
        seed = _header(journal_of(output)).get("seed")
    seed = secrets.randbits(32) if seed is None else seed
    header = header_of(session, source, n=n, seed=seed, negative=negative)
    journal = _Journal(output, header, resume=resume, overwrite=overwrite)
    progress(journal.done)
    left = islice(items, journal.done, None)
    for done in journal.write(improve_items(session, left, n=n, seed=seed, negative=negative)):
        progress(done)
    return Written(journal.done, journal.failed)


def header_of(
    session: Session, source: Mapping[str, Any], *, n: int, seed: int, negative: str | None
) -> dict[str, Any]:
    """All that decides the results of a job, as plain JSON types."""
    card, form = session.model.card, session.control.form
    header = {
        "input": source,
        "model": session.model.model_id,
        "prefixes": {mode: card.prefix(mode, form) for mode in card.modes},
        **asdict(session.decoding),
        **asdict(session.control),
        "n": n,
        "seed": seed,
        "negative": negative,
        "schema_version": SCHEMA_VERSION,
    }
    return dict(json.loads(json.dumps(header)))


def check_same(path: Path | str, earlier: Mapping[str, Any], header: Mapping[str, Any]) -> None:
    """Refuse to go on with a job that was begun otherwise.

    Args:
        path: of what holds its header.
        earlier: the header; empty where it cannot be read.
        header: of the job now.

    Raises:
        ConfigError: they differ.
    """
    if not earlier:
        raise ConfigError(f"{path} has no header. Delete it to begin anew.")
    differing = [
        f"{name} {earlier.get(name)!r}, now it is {value!r}"
        for name, value in header.items()
        if earlier.get(name) != value
    ]
    if differing:
        raise ConfigError(
            f"{path} was begun with {'; '.join(differing)}. "
            "Give the same to go on, or delete it to begin anew."
        )


def journal_of(output: Path) -> Path:
    """The journal of an output file."""
    return output.with_name(output.name + ".part")


class _Journal:
    """The rows that are done, of them those that failed, and the file that holds them."""

    def __init__(
        self, output: Path, header: dict[str, Any], *, resume: bool, overwrite: bool
    ) -> None:
        check_output_ending(output)
        self.output, self.path = output, journal_of(output)
        self.done = self.failed = 0
        is_begun = self.path.exists() and not (resume and _is_torn(self.path))
        # A kill may have come between the output and the end of its journal.
        check_new([output], overwrite=overwrite or (resume and is_begun))
        if not is_begun:
            output.parent.mkdir(parents=True, exist_ok=True)
            with writing(self.path):
                self.path.write_text(_line(header), "utf-8")
        elif resume:
            check_same(self.path, _header(self.path), header)
            self._go_on(header["n"])
        else:
            raise ConfigError(
                f"{self.path} holds an unfinished job. "
                "Pass --resume to go on, or delete it to begin anew."
            )

    def write(self, results: Iterable[list[dict[str, Any]]]) -> Iterator[int]:
        """Write results as they come, yielding how many rows are done, then make the output."""
        iterator = iter(results)
        try:
            first = list(islice(iterator, 1))
        except PromptliftError:
            if not self.done:  # nothing to resume: the next attempt may differ
                self.path.unlink()
            raise
        with writing(self.path), self.path.open("a", encoding="utf-8", newline="\n") as file:
            for count, objects in enumerate(chain(first, iterator), 1):
                file.write("".join(map(_line, objects)))
                self.failed += "error" in objects[0]
                if count % _WINDOW == 0:
                    _to_disk(file)
                self.done += 1
                yield self.done
            _to_disk(file)
        with self.path.open(encoding="utf-8") as file:
            next(file)
            # Of a job that an older promptlift began, rows are of its version.
            rows = (upgraded_record(json.loads(line)) for line in file)
            write_rows(self.output, rows, COLUMNS)
        self.path.unlink()

    def _go_on(self, n: int) -> None:
        """Count the rows that are whole, and cut off what follows them."""
        with self.path.open("rb") as file:
            whole = place = len(file.readline())
            for raw in file:
                place += len(raw)
                item = _parse(raw)
                if item is None:
                    break  # torn by a kill in the middle of a write
                if "error" in item or item["variant"] == n - 1:
                    self.done += 1
                    self.failed += "error" in item
                    whole = place
        with self.path.open("r+b") as file:
            file.truncate(whole)


def _is_torn(journal: Path) -> bool:
    """Whether the disk was full, or a kill came, before the header was whole."""
    with journal.open("rb") as file:
        return not file.readline().endswith(b"\n")


def _header(journal: Path) -> dict[str, Any]:
    try:
        with journal.open("rb") as file:
            return upgraded_record(_parse(file.readline()) or {})
    except FileNotFoundError:
        return {}


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False) + "\n"


def _parse(raw: bytes) -> dict[str, Any] | None:
    if not raw.endswith(b"\n"):
        return None
    try:
        value = json.loads(raw)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _to_disk(file: IO[str]) -> None:
    file.flush()
    os.fsync(file.fileno())
