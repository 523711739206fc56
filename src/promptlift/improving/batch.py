"""Improving rows of a file: faults do not stop the rest, and a stopped job goes on."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

from promptlift.errors import ConfigError, InputError, PromptliftError
from promptlift.files import sha256_of_file
from promptlift.improving.improver import Improver
from promptlift.pairs.load import load_prompts
from promptlift.prompts.reading import check_prompt
from promptlift.records import SCHEMA_VERSION
from promptlift.tables import STDIN, Fault, check_output_ending, write_rows

COLUMNS = (
    "index", "source", "prompt", "additions", "clip_tokens", "seed", "variant", "mode", "model",
    "dropped", "notes", "negative", "checks", "settings", "line", "error", "schema_version",
)  # fmt: skip
_WINDOW = 256  # rows between two writes of the journal


@dataclass(frozen=True)
class Item:
    """A row to improve.

    Attributes:
        index: position in the input, from 0; faulty rows count.
        line: line of the file, None for a prompt that was given directly.
        prompt: its text, None where the row cannot be read.
        error: why it cannot be read.
    """

    index: int
    line: int | None
    prompt: str | None
    error: str | None = None


def read_items(prompts: list[str], files: list[Path], column: str | None) -> Iterator[Item]:
    """Prompts given directly, then those of the files."""
    index = 0
    for prompt in prompts:
        yield Item(index, None, prompt)
        index += 1
    for path in files:
        for row in load_prompts(path, column=column):
            if isinstance(row, Fault):
                yield Item(index, row.number, None, row.message)
            else:
                yield Item(index, row.number, str(row.value))
            index += 1


def improve_items(
    improver: Improver, items: Iterable[Item], **options: Any
) -> Iterator[list[dict[str, Any]]]:
    """For each item its `n` records as JSON objects with `index`, or one object with `error`.

    Args:
        improver: the model.
        items: read a window at a time.
        options: those of `Improver.improve_stream`; give a seed, else each window draws one.
    """
    iterator = iter(items)
    while window := [_checked(item) for item in islice(iterator, _WINDOW)]:
        sound = [item.prompt for item in window if item.error is None and item.prompt is not None]
        results = improver.improve_stream(sound, **options)
        for item in window:
            if item.error is not None:
                place = {"index": item.index, "line": item.line, "error": item.error}
                yield [{**place, "schema_version": SCHEMA_VERSION}]
            else:
                yield [
                    {"index": item.index, **record.to_dict(), "schema_version": SCHEMA_VERSION}
                    for record in next(results)
                ]


class Job:
    """Improving into a file, with a journal beside it from which a stopped job goes on.

    The journal, `OUTPUT.part`, is JSONL: a header with all that decides the results, then the
    objects of `improve_items`. When all rows are done it is turned into OUTPUT and removed.

    Args:
        output: result file; its ending says how it is written.
        header: options, seed, model and input; a journal with another header is refused.
        resume: go on from the journal.
        overwrite: replace an existing output.

    Raises:
        ConfigError: there is an output or a journal already, or the journal is of another job.
    """

    def __init__(
        self, output: Path, header: dict[str, Any], *, resume: bool, overwrite: bool
    ) -> None:
        check_output_ending(output)
        self.output, self.journal = output, journal_of(output)
        if output.exists() and not overwrite:
            raise ConfigError(f"{output} exists. Pass --overwrite to replace it, or name another.")
        self.done = self.failed = 0
        if self.journal.exists():
            if not resume:
                raise ConfigError(
                    f"{self.journal} holds an unfinished job. "
                    "Pass --resume to go on, or delete it to begin anew."
                )
            self._go_on(header)
        else:
            output.parent.mkdir(parents=True, exist_ok=True)
            self.journal.write_text(_line({"schema_version": SCHEMA_VERSION, **header}), "utf-8")

    def run(self, results: Iterable[list[dict[str, Any]]]) -> Iterator[int]:
        """Write results as they come, yielding how many rows are done, then make the output."""
        iterator = iter(results)
        try:
            first = list(islice(iterator, 1))
        except PromptliftError:
            if not self.done:  # nothing to go on from: the next attempt may differ
                self.journal.unlink()
            raise
        with self.journal.open("a", encoding="utf-8", newline="\n") as file:
            for count, objects in enumerate(chain(first, iterator), 1):
                file.write("".join(map(_line, objects)))
                self.failed += "error" in objects[0]
                if count % _WINDOW == 0:
                    _to_disk(file)
                self.done += 1
                yield self.done
            _to_disk(file)
        with self.journal.open(encoding="utf-8") as file:
            next(file)
            write_rows(self.output, map(json.loads, file), COLUMNS)
        self.journal.unlink()

    def _go_on(self, header: dict[str, Any]) -> None:
        """Check the header, count the rows that are whole, and cut off what follows them."""
        copies = header["options"].get("n", 1)
        with self.journal.open("rb") as file:
            earlier = _parse(file.readline())
            asked = {"schema_version": SCHEMA_VERSION, **header}
            for key in asked:
                if earlier is None or earlier.get(key) != asked[key]:
                    was = None if earlier is None else earlier.get(key)
                    raise ConfigError(
                        f"{self.journal} was begun with {key} {was!r}, now it is {asked[key]!r}. "
                        "Give the same to go on, or delete it to begin anew."
                    )
            whole = file.tell()
            place = whole
            for raw in file:
                place += len(raw)
                item = _parse(raw)
                if item is None:
                    break  # torn by a kill in the middle of a write
                if "error" in item or item["variant"] == copies - 1:
                    self.done += 1
                    self.failed += "error" in item
                    whole = place
        with self.journal.open("r+b") as file:
            file.truncate(whole)


def journal_of(output: Path) -> Path:
    """The journal of an output file."""
    return output.with_name(output.name + ".part")


def seed_of_journal(output: Path) -> int | None:
    """The seed that an unfinished job uses, if there is one."""
    try:
        with journal_of(output).open("rb") as file:
            header = _parse(file.readline()) or {}
    except FileNotFoundError:
        return None
    seed = header.get("seed")
    return seed if isinstance(seed, int) else None


def input_identity(
    prompts: list[str], files: list[Path], column: str | None, *, resume: bool = False
) -> dict[str, Any]:
    """What decides the rows: hashes of the prompts and files.

    Raises:
        InputError: a missing file, or standard input, of which no second reading can be had.
    """
    if STDIN in files and resume:
        raise ConfigError("standard input cannot be resumed. Save it to a file: --input FILE.")
    named = [path for path in files if path != STDIN]
    for path in named:
        if not path.is_file():
            raise InputError(f"{path} does not exist or is no file.")
    text = "\0".join(prompts).encode("utf-8", "surrogatepass")
    return {
        "prompts": hashlib.sha256(text).hexdigest() if prompts else None,
        # A list: files may share a name, and their order decides the rows.
        "files": [[path.name, sha256_of_file(path)] for path in named],
        "standard_input": STDIN in files,
        "column": column,
    }


def count_lines(files: list[Path]) -> int | None:
    """Number of lines of the files, to tell the time left; None where it is not known."""
    total = 0
    for path in files:
        if path == STDIN or path.suffix.lower() in (".json", ".parquet") or not path.is_file():
            return None
        with path.open("rb") as file:
            total += sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
    return total


def _checked(item: Item) -> Item:
    if item.error is not None:
        return item
    try:
        check_prompt(item.prompt, "the prompt")
    except InputError as error:
        return Item(item.index, item.line, item.prompt, str(error))
    return item


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
