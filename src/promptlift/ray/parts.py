"""Parquet files on any file system, cut into parts of a job that are done or not done."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from promptlift.errors import InputError, first_line

if TYPE_CHECKING:
    import pyarrow
    from pyarrow.fs import FileSystem

# Stores where a file is there when it is whole, and renaming one copies it.
_WHOLE = ("s3", "gcs", "abfs")
_ENDING = ".parquet"
_HIDDEN = "._"  # what names begin with that are left out of folders


@dataclass(frozen=True, kw_only=True)
class Part:
    """Rows of an input file.

    Attributes:
        number: of the part, from 0.
        file: address of the input file.
        first: its first row in the file, from 0.
        index: its first row in the whole input, from 0.
        rows: how many.
    """

    number: int
    file: str
    first: int
    index: int
    rows: int

    @property
    def name(self) -> str:
        """Of the output file."""
        return f"part-{self.number:06}{_ENDING}"

    def read(self) -> "pyarrow.Table":
        """Its rows; of the file, only the row groups that hold them are read."""
        import pyarrow as pa
        from pyarrow import parquet

        system, path = storage(self.file)
        found, last = [], self.first + self.rows
        with parquet.ParquetFile(system.open_input_file(path)) as file:
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
    """An input file: its address, how many rows it has, and the names of its columns."""

    address: str
    rows: int
    columns: tuple[str, ...]


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
        base, mark, query = address.partition("?") if "://" in address else (address, "", "")
        there = False
        try:
            system, path = storage(address)
            prefix = base[: len(base) - len(path)]
            for name in _paths(system, path):
                there = True
                with parquet.ParquetFile(system.open_input_file(name)) as file:
                    names = tuple(file.schema_arrow.names)
                    yield File(prefix + name + mark + query, file.metadata.num_rows, names)
        except (ArrowException, OSError, ValueError) as error:
            raise InputError(f"{address} cannot be read: {first_line(error)}") from error
        if not there:
            raise InputError(f"{address} is no Parquet file and no folder with any")


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
                Part(number=len(found), file=file.address, first=first, index=index, rows=count)
            )
            index += count
    return found


class Folder:
    """A folder of parts, whose files appear whole or not at all.

    Args:
        address: of the folder, which is made.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.system, self.path = storage(address)
        self.system.create_dir(self.path, recursive=True)

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
        """Remove files."""
        for name in names:
            self.system.delete_file(f"{self.path}/{name}")
