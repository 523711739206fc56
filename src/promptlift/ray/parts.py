"""Parquet files on any file system, cut into parts of a job that are done or not done."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from promptlift.errors import InputError, PromptliftError, first_line

if TYPE_CHECKING:
    import pyarrow
    from pyarrow.fs import FileSystem

# Stores where a file is there when it is whole, and renaming one copies it.
_WHOLE = ("s3", "gcs", "abfs")
_ENDING = ".parquet"
_END = 1 << 16  # bytes at the end of a file that tell whether it is another
_HIDDEN = "._"  # what names begin with that are left out of folders


@dataclass(frozen=True, kw_only=True)
class Part:
    """Rows of an input file.

    Attributes:
        number: of the part, from 0.
        store: an address by which the file system is found.
        file: path of the input file there.
        first: its first row in the file, from 0.
        index: its first row in the whole input, from 0.
        rows: how many.
    """

    number: int
    store: str
    file: str
    first: int
    index: int
    rows: int

    @property
    def name(self) -> str:
        """Of the output file."""
        return f"part-{self.number:06}{_ENDING}"

    def read(self) -> "pyarrow.Table":
        """Its rows; of the file, only the row groups that hold them are read.

        Raises:
            InputError: the file is gone or damaged.
        """
        from pyarrow import ArrowException

        try:
            return self._read()
        except (ArrowException, OSError, ValueError) as error:
            place = f"{self.file} rows {self.first} to {self.first + self.rows}"
            raise InputError(f"{place} cannot be read: {first_line(error)}") from error

    def _read(self) -> "pyarrow.Table":
        import pyarrow as pa
        from pyarrow import parquet

        system, _ = storage(self.store)
        found, last = [], self.first + self.rows
        with parquet.ParquetFile(system.open_input_file(self.file)) as file:
            sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
            starts = list(accumulate(sizes, initial=0))
            groups = [
                i
                for i, size in enumerate(sizes)
                if starts[i] < last and starts[i] + size > self.first
            ]
            row = starts[groups[0]]
            for batch in file.iter_batches(row_groups=groups):
                begin, end = max(self.first - row, 0), min(last - row, batch.num_rows)
                if begin < end:
                    found.append(batch.slice(begin, end - begin))
                row += batch.num_rows
                if row >= last:
                    break
        return pa.Table.from_batches(found)


@dataclass(frozen=True)
class File:
    """An input file.

    Attributes:
        store: an address by which the file system is found.
        path: of the file there.
        rows: how many it has.
        columns: their names.
        mark: SHA-256 of the file's size and end, which has the places, sizes and extremes of all
            columns. Of a large file it does not see every change.
    """

    store: str
    path: str
    rows: int
    columns: tuple[str, ...]
    mark: str


def storage(address: str) -> "tuple[FileSystem, str]":
    """The file system of an address, and the path there; addresses are those PyArrow and fsspec
    know, and paths of this machine.

    Raises:
        InputError: neither knows it.
    """
    from pyarrow import ArrowException, fs

    if "://" not in address:
        return fs.LocalFileSystem(), str(Path(address).absolute())
    try:
        system, path = fs.FileSystem.from_uri(address)
    except (ArrowException, ValueError, OSError) as unknown:
        from fsspec.core import url_to_fs

        try:
            own, path = url_to_fs(address)
        except (ImportError, ValueError, OSError) as error:
            raise InputError(f"{address}: {first_line(error)}") from unknown
        system = fs.PyFileSystem(fs.FSSpecHandler(own))
    return system, path


def files_of(inputs: Sequence[str]) -> Iterator[File]:
    """The Parquet files of addresses: files, folders, or names with * and ? in the last part.

    Names that begin with a dot or an underscore are left out of folders, as Ray and Spark do.

    Raises:
        InputError: there is none, or one cannot be read.
    """
    from pyarrow import ArrowException, parquet

    for address in inputs:
        # Whole, so that actors elsewhere find the file too.
        address = address if "://" in address else str(Path(address).absolute())
        there = False
        try:
            system, path = storage(address)
            for name in _paths(system, path.rstrip("/")):
                there = True
                with system.open_input_file(name) as opened:
                    mark = _mark(opened)
                    with parquet.ParquetFile(opened) as file:
                        names = tuple(file.schema_arrow.names)
                        yield File(address, name, file.metadata.num_rows, names, mark)
        except (ArrowException, OSError, ValueError) as error:
            raise InputError(f"{address} cannot be read: {first_line(error)}") from error
        if not there:
            raise InputError(f"{address}: no Parquet files found there")


def _mark(file: Any) -> str:
    size = file.size()
    file.seek(max(0, size - _END))
    digest = hashlib.sha256(f"{size} ".encode() + file.read())
    file.seek(0)
    return digest.hexdigest()


def _paths(system: "FileSystem", path: str) -> list[str]:
    from pyarrow import fs

    folder, _, last = path.rpartition("/")
    if any(sign in last for sign in "*?["):
        found = system.get_file_info(fs.FileSelector(folder or "/", allow_not_found=True))
        return sorted(
            one.path
            for one in found
            if fnmatchcase(one.base_name, last)
            and (last[0] in _HIDDEN or one.base_name[0] not in _HIDDEN)
        )
    info = system.get_file_info(path)
    if info.type == fs.FileType.File:
        return [path]
    if info.type == fs.FileType.NotFound:
        return []
    found = system.get_file_info(fs.FileSelector(path, recursive=True))
    return sorted(
        one.path
        for one in found
        if one.type == fs.FileType.File
        and one.extension == _ENDING[1:]
        and not any(name[0] in _HIDDEN for name in one.path[len(path) :].strip("/").split("/"))
    )


def cut(files: Sequence[File], rows: int) -> list[Part]:
    """All rows of the files in parts of so many rows, each of one file."""
    found: list[Part] = []
    index = 0
    for file in files:
        for first in range(0, file.rows, rows):
            count = min(rows, file.rows - first)
            found.append(
                Part(
                    number=len(found),
                    store=file.store,
                    file=file.path,
                    first=first,
                    index=index,
                    rows=count,
                )
            )
            index += count
    return found


class Folder:
    """A folder of parts, whose files appear whole or not at all.

    Args:
        address: of the folder, which is made.

    Raises:
        PromptliftError: it cannot be made.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.system, path = storage(address)
        self.path = path.rstrip("/")
        try:
            self.system.create_dir(self.path, recursive=True)
        except OSError as error:
            raise PromptliftError(f"{address} cannot be made: {first_line(error)}") from error

    def names(self) -> set[str]:
        """The names of its files."""
        from pyarrow import fs

        found = self.system.get_file_info(fs.FileSelector(self.path))
        return {one.base_name for one in found if one.type == fs.FileType.File}

    def read(self, name: str) -> bytes | None:
        """The bytes of a file, None where there is none."""
        try:
            with self.system.open_input_file(f"{self.path}/{name}") as file:
                return bytes(file.read())
        except FileNotFoundError:
            return None

    def write(self, name: str, content: Any) -> None:
        """Write a file whole."""
        path = f"{self.path}/{name}"
        whole = self.system.type_name in _WHOLE
        target = path if whole else f"{self.path}/.{name}.{uuid4().hex}"
        with self.system.open_output_stream(target) as file:
            file.write(content)
        if not whole:
            self.system.move(target, path)

    def write_table(self, name: str, table: "pyarrow.Table") -> None:
        """Write a table as a Parquet file, whole."""
        import pyarrow as pa
        from pyarrow import parquet

        sink = pa.BufferOutputStream()
        parquet.write_table(table, sink, compression="zstd")
        self.write(name, sink.getvalue())

    def remove(self, names: Sequence[str]) -> None:
        """Remove files; those of a killed driver's actors may go by themselves."""
        for name in names:
            with suppress(FileNotFoundError):
                self.system.delete_file(f"{self.path}/{name}")
