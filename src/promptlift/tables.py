"""Rows of files: JSONL, JSON, CSV, TSV, plain text and Parquet, one at a time."""

import csv
import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from promptlift.errors import InputError, MissingExtraError
from promptlift.files import atomic_path

STDIN = Path("-")
_BATCH_ROWS = 1024


@dataclass(frozen=True)
class Row:
    """A row of a file.

    Attributes:
        number: line of the file, or number of the row in JSON and Parquet, from 1.
        value: text of a plain line or a JSON string, otherwise fields by column.
    """

    number: int
    value: str | Mapping[str, Any]


@dataclass(frozen=True)
class Fault:
    """A row that cannot be read, so that the others still can."""

    number: int
    message: str


def read_rows(path: Path) -> Iterator[Row | Fault]:
    """The rows of a file, by its ending; `-` reads standard input.

    Standard input, and files without one of the known endings, hold a prompt a line, or a JSON
    object a line where a line begins with `{`. Empty lines of text are skipped, not counted out.

    Raises:
        InputError: the file is missing, cannot be read, or its ending or header is unusable.
        MissingExtraError: Parquet without the extra `parquet`.
    """
    if path != STDIN and not path.is_file():
        raise InputError(f"{path} does not exist or is no file.")
    reader = _READERS.get(path.suffix.lower())
    if reader is None and path != STDIN:
        raise InputError(
            f"{path}: ending {path.suffix!r} is not known; these are: {', '.join(_READERS)}"
        )
    try:
        yield from (reader or _read_mixed)(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Write rows to `path` by its ending, atomically, in bounded memory.

    JSONL keeps nested values; CSV and TSV write lists as JSON; Parquet takes its types from
    the first rows.
    """
    writer = _WRITERS[check_output_ending(path)]
    with atomic_path(path) as temporary:
        writer(temporary, rows, columns)


def check_output_ending(path: Path) -> str:
    """The ending of an output file, if it can be written.

    Raises:
        InputError: it cannot.
        MissingExtraError: Parquet without the extra `parquet`.
    """
    ending = path.suffix.lower()
    if ending not in _WRITERS:
        raise InputError(
            f"{path}: ending {path.suffix!r} cannot be written; these can: {', '.join(_WRITERS)}"
        )
    if ending == ".parquet":
        _pyarrow()
    return ending


@contextmanager
def _open(path: Path) -> Iterator[BinaryIO]:
    if path == STDIN:
        yield sys.stdin.buffer
        return
    with path.open("rb") as file:
        yield file


def _lines(path: Path) -> Iterator[Row | Fault]:
    """Lines without their end; the byte-order mark that some editors write is dropped."""
    with _open(path) as file:
        for number, raw in enumerate(file, 1):
            raw = raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw
            try:
                text = raw.decode("utf-8").rstrip("\r\n")
            except UnicodeDecodeError as error:
                byte = raw[error.start]
                yield Fault(number, f"not valid UTF-8: byte 0x{byte:02x} at {error.start}")
                continue
            if text.strip():
                yield Row(number, text)


def _json_row(number: int, text: str) -> Row | Fault:
    try:
        value = json.loads(text)
    except ValueError as error:
        return Fault(number, f"not valid JSON: {error}")
    return _json_value(number, value)


def _json_value(number: int, value: Any) -> Row | Fault:
    if isinstance(value, str | dict):
        return Row(number, value)
    return Fault(number, f"a {type(value).__name__}, neither an object nor a string")


def _read_jsonl(path: Path) -> Iterator[Row | Fault]:
    for line in _lines(path):
        yield line if isinstance(line, Fault) else _json_row(line.number, str(line.value))


def _read_text(path: Path) -> Iterator[Row | Fault]:
    return _lines(path)


def _read_mixed(path: Path) -> Iterator[Row | Fault]:
    for line in _lines(path):
        text = "" if isinstance(line, Fault) else str(line.value)
        yield _json_row(line.number, text) if text.lstrip().startswith("{") else line


def _read_json(path: Path) -> Iterator[Row | Fault]:
    with _open(path) as file:
        try:
            values = json.loads(file.read().decode("utf-8-sig"))
        except ValueError as error:
            raise InputError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(values, list):
        raise InputError(f"{path} must hold a list of objects or strings.")
    for number, value in enumerate(values, 1):
        yield _json_value(number, value)


def _read_delimited(delimiter: str) -> Callable[[Path], Iterator[Row | Fault]]:
    def read(path: Path) -> Iterator[Row | Fault]:
        csv.field_size_limit(2**31 - 1)
        with _open(path) as binary:
            # Bytes that are no UTF-8 are kept as surrogates, so that only their row is at fault.
            text = io.TextIOWrapper(
                binary, encoding="utf-8-sig", errors="surrogateescape", newline=""
            )
            reader = csv.reader(text, delimiter=delimiter)
            header = next(reader, None)
            if not header or not any(header):
                raise InputError(f"{path} has no header line with the names of its columns.")
            while True:
                try:
                    cells = next(reader)
                except StopIteration:
                    return
                except csv.Error as error:
                    yield Fault(reader.line_num, f"not valid CSV: {error}")
                    continue
                if cells:
                    yield _delimited_row(reader.line_num, header, cells)

    return read


def _delimited_row(number: int, header: list[str], cells: list[str]) -> Row | Fault:
    if len(cells) != len(header):
        return Fault(number, f"{len(cells)} fields where the header has {len(header)}")
    if any("\udc80" <= char <= "\udcff" for cell in cells for char in cell):
        return Fault(number, "not valid UTF-8")
    return Row(number, dict(zip(header, cells, strict=True)))


def _read_parquet(path: Path) -> Iterator[Row | Fault]:
    arrow, parquet = _pyarrow()
    try:
        file = parquet.ParquetFile(path)
        number = 0
        for batch in file.iter_batches(_BATCH_ROWS):
            for value in batch.to_pylist():
                number += 1
                yield Row(number, value)
    except arrow.ArrowException as error:
        raise InputError(f"{path} is no readable Parquet file: {error}") from error


def _write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(json.dumps(dict(row), ensure_ascii=False) + "\n")


def _write_delimited(
    delimiter: str,
) -> Callable[[Path, Iterable[Mapping[str, Any]], Sequence[str]], None]:
    def write(path: Path, rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, delimiter=delimiter, lineterminator="\n")
            writer.writerow(columns)
            for row in rows:
                writer.writerow([_cell(row.get(column)) for column in columns])

    return write


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value


def _write_parquet(path: Path, rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    arrow, parquet = _pyarrow()
    iterator = iter(rows)
    writer = None
    try:
        while True:
            batch = [{name: row.get(name) for name in columns} for row in islice(iterator, 8192)]
            if not batch and writer is not None:
                return
            table = arrow.Table.from_pylist(batch, schema=writer.schema if writer else None)
            if not batch:
                table = arrow.table({name: arrow.array([], arrow.string()) for name in columns})
            if writer is None:
                schema = _without_nulls(arrow, table.schema)
                table = table.cast(schema)
                writer = parquet.ParquetWriter(path, schema, compression="zstd")
            writer.write_table(table)
            if not batch:
                return
    finally:
        if writer is not None:
            writer.close()


def _without_nulls(arrow: Any, schema: Any) -> Any:
    """A column that is empty in the first rows holds text, or lists of text, later on."""
    text = arrow.string()
    fields = [
        field.with_type(text)
        if field.type == arrow.null()
        else field.with_type(arrow.list_(text))
        if field.type == arrow.list_(arrow.null())
        else field
        for field in schema
    ]
    return arrow.schema(fields)


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise MissingExtraError("Parquet", "parquet") from error
    return pyarrow, pyarrow.parquet


_READERS: dict[str, Callable[[Path], Iterator[Row | Fault]]] = {
    ".jsonl": _read_jsonl,
    ".json": _read_json,
    ".csv": _read_delimited(","),
    ".tsv": _read_delimited("\t"),
    ".txt": _read_text,
    ".parquet": _read_parquet,
}
_WRITERS: dict[str, Callable[[Path, Iterable[Mapping[str, Any]], Sequence[str]], None]] = {
    ".jsonl": _write_jsonl,
    ".csv": _write_delimited(","),
    ".tsv": _write_delimited("\t"),
    ".parquet": _write_parquet,
}
