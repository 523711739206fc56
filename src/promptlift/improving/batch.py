"""Improving many prompts, given or in files: a faulty row does not stop the rest."""

import hashlib
import logging
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from promptlift.errors import ConfigError, InputError
from promptlift.files import sha256_of_file
from promptlift.improving.session import Ask, Session
from promptlift.pairs.load import load_prompts
from promptlift.prompts.reading import check_prompt
from promptlift.records import SCHEMA_VERSION, Improvement
from promptlift.shards import Shard
from promptlift.tables import Fault
from promptlift.text_files import STDIN

_log = logging.getLogger(__name__)
_WINDOW = 256  # rows that are read before they are improved


@dataclass(frozen=True, kw_only=True)
class Item:
    """A row to improve.

    Attributes:
        index: position in the input, from 0; faulty rows count.
        prompt: its text, None where the row cannot be read.
        mode: "extend" or "rewrite"; None for what the model has learned.
        line: line of the file, None for a prompt that was given directly.
        error: why the row cannot be improved.
    """

    index: int
    prompt: str | None
    mode: str | None = None
    line: int | None = None
    error: str | None = None

    def checked(self) -> "Item":
        """The item, with an error where its prompt cannot be improved."""
        try:
            if self.error is None:
                check_prompt(self.prompt, "the prompt")
        except InputError as error:
            return replace(self, error=str(error))
        return self


@dataclass(frozen=True, kw_only=True)
class PromptSource:
    """Prompts given directly, then those of files.

    Attributes:
        prompts: given directly.
        files: text, JSONL, JSON, CSV, TSV, Parquet, or `-` for standard input.
        column: of the prompts in the files; where None, as `load_prompts` finds it.
        mode: "extend" or "rewrite", for all of them; None for what the model has learned.
        shard: the part of the prompts that is taken; all where None. Each keeps its `index`.
        report: receives a line that names the column of the prompts.
    """

    prompts: Sequence[str] = ()
    files: Sequence[Path] = ()
    column: str | None = None
    mode: str | None = None
    shard: Shard | None = None
    report: Callable[[str], None] = field(default=_log.info, compare=False, repr=False)

    def items(self) -> Iterator[Item]:
        """The prompts, one at a time.

        Raises:
            InputError: there is none.
        """
        shard = self.shard
        return (
            self._all()
            if shard is None
            else (item for item in self._all() if shard.holds(item.index))
        )

    def _all(self) -> Iterator[Item]:
        index = 0
        for prompt in self.prompts:
            yield Item(index=index, prompt=prompt, mode=self.mode)
            index += 1
        for path in self.files:
            for row in load_prompts(path, column=self.column, report=self.report):
                if isinstance(row, Fault):
                    yield Item(index=index, prompt=None, line=row.number, error=row.message)
                else:
                    text = str(row.value)
                    yield Item(index=index, prompt=text, mode=self.mode, line=row.number)
                index += 1
        if not index:
            names = ("standard input" if path == STDIN else str(path) for path in self.files)
            raise InputError(f"{', '.join(names) or 'the input'} holds no prompt")

    def identity(self, *, resume: bool = False) -> dict[str, Any]:
        """Hashes of the prompts and files, which identify the input of a job.

        Raises:
            InputError: a file is missing.
            ConfigError: a stopped job would have to read standard input a second time.
        """
        if STDIN in self.files and resume:
            raise ConfigError("standard input cannot be resumed. Save it to a file: --input FILE.")
        named = [path for path in self.files if path != STDIN]
        for path in named:
            if not path.is_file():
                raise InputError(f"{path} does not exist or is no file.")
        text = "\0".join(self.prompts).encode("utf-8", "surrogatepass")
        return {
            "prompts": hashlib.sha256(text).hexdigest() if self.prompts else None,
            # A list: files may share a name, and their order decides the rows.
            "files": [[path.name, sha256_of_file(path)] for path in named],
            "standard_input": STDIN in self.files,
            "column": self.column,
            "mode": self.mode,
            **({"shard": str(self.shard)} if self.shard else {}),
        }

    def count(self) -> int | None:
        """About how many prompts there are, for an estimate of the time left; None if unknown."""
        total = len(self.prompts)
        for path in self.files:
            if path == STDIN or path.suffix.lower() in (".json", ".parquet") or not path.is_file():
                return None
            counts = Counter[str]()
            with path.open("rb") as file:
                for block in iter(lambda: file.read(1 << 20), b""):
                    counts.update({end: block.count(end.encode()) for end in "\r\n"})
            total += counts["\n"] or counts["\r"]
        return total if self.shard is None else total // self.shard.count


def improve_items(
    session: Session,
    items: Iterable[Item],
    *,
    n: int = 1,
    seed: int | None = None,
    negative: str | None = None,
) -> Iterator[list[dict[str, Any]]]:
    """For each item its `n` records as JSON objects with `index`, or one object with `error`.

    Args:
        session: the model and its options.
        items: read a window at a time.
        n: number of variants of each.
        seed: the same seed gives the same results; None draws one.
        negative: negative prompt, which each result carries unchanged.

    Raises:
        ConfigError: `n` is below 1, or the model has not learned an item's mode.
    """
    ask = Ask(
        prompt="", seed=secrets.randbits(32) if seed is None else seed, n=n, negative=negative
    )
    iterator = iter(items)
    try:
        while window := [item.checked() for item in islice(iterator, _WINDOW)]:
            results = session.improve(
                replace(ask, prompt=item.prompt, mode=item.mode)
                for item in window
                if item.error is None and item.prompt is not None
            )
            for item in window:
                if item.error is not None:
                    place = {"index": item.index, "line": item.line, "error": item.error}
                    yield [{**place, "schema_version": SCHEMA_VERSION}]
                else:
                    yield [row_of(item.index, improvement) for improvement in next(results)]
    finally:
        session.model.close()


def row_of(index: int, improvement: Improvement) -> dict[str, Any]:
    """An improvement as a row of a file: its receipt, and its prompt's place in the input."""
    return {"index": index, **improvement.to_dict(), "schema_version": SCHEMA_VERSION}
