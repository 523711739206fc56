"""Text of files and of standard input: which encoding it has, and which characters are broken."""

import codecs
import io
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TextIO

from promptlift.errors import InputError

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

STDIN = Path("-")
_BLOCK = 1 << 16
# Longer marks first: that of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NUL = "holds a NUL byte, so it is no UTF-8 text"
# Stands for what is no UTF-16. "surrogateescape", which keeps bytes that are no UTF-8, never
# gives this character.
_BROKEN = "\ud800"
_HALVES = re.compile("[\ud800-\udfff]")
codecs.register_error("promptlift", lambda error: (_BROKEN, getattr(error, "end", 0)))


@contextmanager
def open_bytes(path: Path) -> Iterator[BinaryIO]:
    """A file to read bytes from; `-` is standard input."""
    if path == STDIN:
        if sys.stdin is None:
            raise InputError("standard input is closed. Give a file, or pipe something in.")
        yield sys.stdin.buffer
        return
    with path.open("rb") as file:
        yield file


@contextmanager
def open_text(path: Path) -> Iterator[TextIO]:
    r"""A file to read text from: UTF-8, or UTF-16 and UTF-32 with a byte-order mark.

    Lines end with "\n", "\r\n" or "\r", and keep their end. What cannot be decoded is kept as
    characters that `broken_text` finds, so that only its line is at fault.

    Raises:
        InputError: the text is UTF-16 without a byte-order mark.
    """
    with open_bytes(path) as binary:
        head = binary.read(2)
        if any(mark.startswith(head) for mark, _ in _MARKS if head):
            head += binary.read(4 - len(head))
        encoding = next((name for mark, name in _MARKS if head.startswith(mark)), "utf-8-sig")
        buffer = io.BufferedReader(_Rest(head, binary), _BLOCK)
        is_utf8 = encoding == "utf-8-sig"
        if is_utf8 and _is_unmarked_utf16(buffer.peek()):
            name = "standard input" if path == STDIN else path
            raise InputError(
                f"{name} looks like UTF-16 without a byte-order mark: it is full of NUL bytes. "
                "Save it as UTF-8."
            )
        errors = "surrogateescape" if is_utf8 else "promptlift"
        yield io.TextIOWrapper(buffer, encoding=encoding, errors=errors, newline="")


def broken_text(text: str) -> str | None:
    """What could not be read in a text that `open_text` gave, or None."""
    if "\0" in text:
        return _NUL
    if not _HALVES.search(text):
        return None
    if _BROKEN in text:
        return "not valid UTF-16"
    raw = text.encode("utf-8", "surrogateescape")
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError as error:
        return f"not valid UTF-8: byte 0x{raw[error.start]:02x} at {error.start}"
    return None


class _Rest(io.RawIOBase):
    """What was read of a file already, and the rest of it; closing it leaves the file open."""

    def __init__(self, head: bytes, file: BinaryIO) -> None:
        self.head, self.file = head, file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        view = memoryview(buffer)
        head, self.head = self.head, b""
        # As much as there is: who types a line is not kept waiting for a block of them.
        read = getattr(self.file, "read1", self.file.read)
        data = head + read(len(view) - len(head))
        view[: len(data)] = data
        return len(data)


def _is_unmarked_utf16(sample: bytes) -> bool:
    """Whether NUL bytes are many, and nearly all of them first, or second, of two."""
    few, many = sorted((sample[::2].count(0), sample[1::2].count(0)))
    return many > 1 and 8 * few <= many and 20 * many >= len(sample)
