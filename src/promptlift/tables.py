"""Rows of files: JSONL, JSON, CSV, TSV, plain text and Parquet, one at a time."""

import csv
import json
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

from promptlift.delimited import read_records
from promptlift.errors import ConfigError, InputError, MissingExtraError
from promptlift.files import atomic_path
from promptlift.text_files import STDIN, broken_text, open_text

_BATCH_ROWS = 4096
_OnHeader = Callable[[Sequence[str]], None]
# `{red|blue} cat` is a prompt with wildcards, not an object.
_JSON_OBJECT = re.compile(r"\s*\{\s*[\"}]")


@dataclass(frozen=True)
class Row:
    """A row of a file.

    Attributes:
        number: line of the file, or number of the row in JSON and Parquet, from 1.
        value: text of a plain line or a JSON string, otherwise fields by column.
        json: the text of a JSON value that stood alone, on a line or in a file.
    """

    number: int
    value: str | Mapping[str, Any]
    json: str | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Fault:
    """A row that cannot be read, so that the others still can."""

    number: int
    message: str


def read_rows(path: Path, *, on_header: _OnHeader = lambda names: None) -> Iterator[Row | Fault]:
    """The rows of a file, by its ending; `-` reads standard input.

    Text is UTF-8, or UTF-16 with a byte-order mark. Standard input holds a prompt a line, or a
    JSON object where a line begins as one does. Empty lines of text are skipped, but counted.

    Args:
        path: of the file.
        on_header: receives the column names of a CSV or TSV file before its first row.

    Raises:
        InputError: the file is missing, cannot be read, or its ending or header is unusable.
        MissingExtraError: Parquet without the extra `parquet`.
    """
    if path != STDIN and not path.is_file():
        raise InputError(f"{path} does not exist or is no file.")
    ending = path.suffix.lower()
    if path != STDIN and ending not in (*_TABLES, *_READERS):
        raise InputError(
            f"{path}: ending {path.suffix!r} is not known; "
            f"these are: {', '.join([*_READERS, *_TABLES])}"
        )
    try:
        if ending in _TABLES:
            yield from _read_delimited(path, _TABLES[ending], on_header)
        else:
            yield from _READERS.get(ending, _read_mixed)(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from error


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    """Write rows to `path` by its ending, atomically, in bounded memory.

    JSONL keeps nested values, CSV and TSV write them as JSON. Parquet takes a column's type
    from all of its values; a column without any holds text.

    Args:
        path: file to write; what stood there is replaced.
        rows: JSON types by column. JSONL writes each row's own fields, the others `columns`.
        columns: names of the columns, in their order.
    """
    writer = _WRITERS[check_output_ending(path)]
    with atomic_path(path) as temporary:
        writer(temporary, rows, columns)


def check_output_ending(path: Path) -> str:
    """The ending of an output file, if it can be written.

    Raises:
        ConfigError: it cannot.
        MissingExtraError: Parquet without the extra `parquet`.
    """
    ending = path.suffix.lower()
    if ending not in _WRITERS:
        raise ConfigError(
            f"{path}: ending {path.suffix!r} cannot be written; these can: {', '.join(_WRITERS)}"
        )
    if ending == ".parquet":
        _pyarrow()
    return ending


def _lines(path: Path) -> Iterator[Row | Fault]:
    """Lines without their end."""
    with open_text(path) as file:
        yield from _numbered(enumerate(file, 1))


def _numbered(lines: Iterable[tuple[int, str]]) -> Iterator[Row | Fault]:
    for number, line in lines:
        text = line.rstrip("\r\n")
        if problem := broken_text(text):
            yield Fault(number, problem)
        elif text.strip():
            yield Row(number, text)


def _json_row(line: Row) -> Row | Fault:
    text = str(line.value)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        return Fault(line.number, f"not valid JSON: {error}")
    return _json_value(line.number, value, text)


def _json_value(number: int, value: Any, text: str | None = None) -> Row | Fault:
    if isinstance(value, str | dict):
        return Row(number, value, text)
    return Fault(number, f"a {type(value).__name__}, neither an object nor a string")


def _read_jsonl(path: Path) -> Iterator[Row | Fault]:
    for line in _lines(path):
        yield line if isinstance(line, Fault) else _json_row(line)


def _read_text(path: Path) -> Iterator[Row | Fault]:
    return _lines(path)


def _read_mixed(path: Path) -> Iterator[Row | Fault]:
    for line in _lines(path):
        text = "" if isinstance(line, Fault) else str(line.value)
        if isinstance(line, Fault) or not _JSON_OBJECT.match(text) or _has_flags(text):
            yield line
        else:
            yield _json_row(line)


def _has_flags(text: str) -> bool:
    """Whether JSON is followed by flags: `{"subject": "a cat"} --ar 16:9` is a prompt."""
    if "--" not in text:
        return False
    try:
        _, end = json.JSONDecoder().raw_decode(text.lstrip())
    except (ValueError, RecursionError):
        return False
    return text.lstrip()[end:].lstrip().startswith("--")


def _read_json(path: Path) -> Iterator[Row | Fault]:
    """A list, an object, or an object a line: many data sets call their JSON lines `.json`."""
    with open_text(path) as file:
        lines = enumerate(file, 1)
        number, first = next(((number, line) for number, line in lines if line.strip()), (1, ""))
        if not first.lstrip().startswith("[") and isinstance(_parsed(first), str | dict):
            for row in _numbered(chain([(number, first)], lines)):
                yield row if isinstance(row, Fault) else _json_row(row)
            return
        text = first + file.read()
    if problem := broken_text(text):
        raise InputError(f"{path} is not valid JSON: {problem}")
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid JSON: {error}") from error
    if isinstance(values, dict):
        yield Row(number, values, text.strip())
        return
    if not isinstance(values, list):
        raise InputError(f"{path} must hold a list of objects or strings, or an object a line.")
    for place, value in enumerate(values, 1):
        yield _json_value(place, value)


def _parsed(line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _read_delimited(path: Path, usual: str, on_header: _OnHeader) -> Iterator[Row | Fault]:
    with open_text(path) as text:
        records = read_records(path, text, usual)
        number, header = next(records, (1, []))
        if isinstance(header, str):
            raise InputError(f"{path} line {number} is not valid CSV: {header}")
        if not any(header):
            raise InputError(f"{path} has no header line with the names of its columns.")
        if problem := _broken_cells(header):
            raise InputError(f"{path} line {number}: {problem}. Save the file as UTF-8.")
        _check_columns(path, header)
        on_header(header)
        for number, cells in records:
            if isinstance(cells, str):
                yield Fault(number, f"not valid CSV: {cells}")
            elif cells:
                yield _delimited_row(number, header, cells)


def _check_columns(path: Path, names: Sequence[str]) -> None:
    # Columns without a name are what spreadsheets leave at the edge; nobody asks for them.
    if doubled := [name for name, count in Counter(names).items() if name and count > 1]:
        raise InputError(
            f"{path} has more than one column {doubled[0]!r}. Rename or remove all but one."
        )


def _delimited_row(number: int, header: list[str], cells: list[str]) -> Row | Fault:
    if len(cells) != len(header):
        return Fault(number, f"{len(cells)} fields where the header has {len(header)}")
    if problem := _broken_cells(cells):
        return Fault(number, problem)
    return Row(number, dict(zip(header, cells, strict=True)))


def _broken_cells(cells: list[str]) -> str | None:
    problem = next(filter(None, map(broken_text, cells)), None)
    return problem and problem.split(":")[0]  # a place in the cell says nothing of the line


def _read_parquet(path: Path) -> Iterator[Row | Fault]:
    arrow, parquet = _pyarrow()
    try:
        with parquet.ParquetFile(path) as file:
            _check_columns(path, file.schema_arrow.names)
            first = 1
            for batch in file.iter_batches(_BATCH_ROWS):
                yield from parquet_rows(batch, first)
                first += batch.num_rows
    except arrow.ArrowException as error:
        raise InputError(f"{path} is no readable Parquet file: {error}") from error


def parquet_rows(batch: Any, first: int) -> Iterator[Row | Fault]:
    """The rows of a PyArrow record batch, of which the first has this number."""
    try:
        values = batch.to_pylist()
    except UnicodeDecodeError:
        if batch.num_rows == 1:
            yield Fault(first, "not valid UTF-8")
            return
        for index in range(batch.num_rows):
            yield from parquet_rows(batch.slice(index, 1), first + index)
        return
    yield from (Row(number, value) for number, value in enumerate(values, first))


def _write_jsonl(path: Path, rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(json.dumps(dict(row), ensure_ascii=False) + "\n")


def _write_delimited(
    delimiter: str,
) -> Callable[[Path, Iterable[Mapping[str, Any]], Sequence[str]], None]:
    def write(path: Path, rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
        with path.open("w", encoding="utf-8", newline="") as file:
            # All text is quoted: older versions of `csv` leave a lone carriage return bare.
            writer = csv.writer(
                file, delimiter=delimiter, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC
            )
            writer.writerow(columns)
            for row in rows:
                writer.writerow([_cell(row.get(column)) for column in columns])

    return write


def _cell(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else value


def _write_parquet(path: Path, rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> None:
    arrow, parquet = _pyarrow()
    schema = arrow.schema([(name, arrow.null()) for name in columns])
    # Rows wait on disk until every column's type is known: an `error` may come first in the
    # last row, and a Parquet file has its types from the start.
    with tempfile.TemporaryFile("w+", encoding="utf-8", dir=path.parent) as waiting:
        for batch in _batches({name: row.get(name) for name in columns} for row in rows):
            found = arrow.Table.from_pylist(batch).schema
            schema = arrow.unify_schemas([schema, found], promote_options="permissive")
            waiting.writelines(json.dumps(row) + "\n" for row in batch)
        schema = _without_nulls(arrow, schema)
        waiting.seek(0)
        with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
            for batch in _batches(map(json.loads, waiting)):
                writer.write_table(arrow.Table.from_pylist(batch, schema=schema))


def _batches(rows: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    iterator = iter(rows)
    while batch := list(islice(iterator, _BATCH_ROWS)):
        yield batch


def _without_nulls(arrow: Any, schema: Any) -> Any:
    """A column without any value holds text, or lists of text."""
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


_TABLES = {".csv": ",", ".tsv": "\t"}  # and their usual delimiters
_READERS: dict[str, Callable[[Path], Iterator[Row | Fault]]] = {
    ".jsonl": _read_jsonl,
    ".json": _read_json,
    ".txt": _read_text,
    ".parquet": _read_parquet,
}
_WRITERS: dict[str, Callable[[Path, Iterable[Mapping[str, Any]], Sequence[str]], None]] = {
    ".jsonl": _write_jsonl,
    ".csv": _write_delimited(","),
    ".tsv": _write_delimited("\t"),
    ".parquet": _write_parquet,
}
