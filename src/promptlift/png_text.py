"""The text chunks of a PNG file: read, and written without touching the picture.

Pillow would decode and encode the picture, and lose chunks that it does not know. The format is
RFC 2083 and its successor, "Portable Network Graphics (PNG) Specification", sections 5 and 11.3.3.
"""

import struct
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from promptlift.errors import InputError
from promptlift.files import atomic_path

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_TEXT = (b"tEXt", b"zTXt", b"iTXt")
_MOST = 16 << 20  # bytes of a text chunk, unpacked: a small file may hold a huge text


def is_png(data: bytes) -> bool:
    """Whether bytes begin as a PNG does."""
    return data.startswith(_SIGNATURE)


def read_png_text(path: Path) -> dict[str, str]:
    """The texts of a PNG by keyword; of several with one keyword the first.

    Raises:
        InputError: the file is not a PNG or is damaged.
    """
    return png_texts(Path(path).read_bytes(), f"{path}")


def png_texts(data: bytes, place: str) -> dict[str, str]:
    """As `read_png_text`, of a PNG's bytes; `place` names it in errors."""
    texts: dict[str, str] = {}
    for name, body in _chunks(data, place):
        if name in _TEXT:
            try:
                keyword, text = _parse(name, body)
            except (ValueError, IndexError, zlib.error) as error:
                raise InputError(f"{place} has a damaged text chunk: {error}") from error
            texts.setdefault(keyword, text)
    return texts


def write_png_text(path: Path, texts: Mapping[str, str], output: Path | None = None) -> None:
    """Set texts of a PNG, by keyword; everything else stays as it is, byte for byte.

    Args:
        path: the picture.
        texts: what is set; texts with other keywords stay.
        output: where to write it, atomically; over `path` where None.
    """
    data = with_png_texts(path.read_bytes(), texts, f"{path}")
    with atomic_path(output or path) as temporary:
        temporary.write_bytes(data)


def with_png_texts(data: bytes, texts: Mapping[str, str], place: str) -> bytes:
    """As `write_png_text`, for a PNG's bytes; `place` names it in errors."""
    new = [_chunk(keyword, text) for keyword, text in texts.items()]
    parts = [_SIGNATURE]
    for number, (name, body) in enumerate(_chunks(data, place)):
        if name in _TEXT and body.split(b"\0", 1)[0].decode("latin-1") in texts:
            continue
        for kind, content in [(name, body), *(new if number == 0 else [])]:
            parts += [struct.pack(">I", len(content)), kind, content]
            parts.append(struct.pack(">I", zlib.crc32(kind + content)))
    return b"".join(parts)


def _chunks(data: bytes, path: str) -> Iterator[tuple[bytes, bytes]]:
    """Name and content of each chunk, the header first, the end last."""
    if not is_png(data):
        raise InputError(f"{path} is not a PNG picture")
    place, name = len(_SIGNATURE), b""
    while name != b"IEND":
        size = int.from_bytes(data[place : place + 4], "big")
        if place + 12 + size > len(data):
            raise InputError(f"{path} ends in the middle of the picture; save or copy it again")
        name, body = data[place + 4 : place + 8], data[place + 8 : place + 8 + size]
        place += 12 + size
        if data[place - 4 : place] != struct.pack(">I", zlib.crc32(name + body)):
            raise InputError(f"{path} is damaged: the checksum of a chunk is wrong")
        yield name, body


def _parse(name: bytes, body: bytes) -> tuple[str, str]:
    keyword, rest = body.split(b"\0", 1)
    if name == b"tEXt":
        return keyword.decode("latin-1"), rest.decode("latin-1")
    if name == b"zTXt":
        return keyword.decode("latin-1"), _unpack(rest[1:]).decode("latin-1")
    packed = rest[0]
    _language, _translated, text = rest[2:].split(b"\0", 2)
    return keyword.decode("latin-1"), (_unpack(text) if packed else text).decode("utf-8")


def _unpack(data: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    text = unpacker.decompress(data, _MOST)
    if unpacker.unconsumed_tail:
        raise ValueError(f"more than {_MOST >> 20} MB of text")
    return text


def _chunk(keyword: str, text: str) -> tuple[bytes, bytes]:
    """A text chunk: Latin-1 where it will do, as A1111 writes it, otherwise UTF-8."""
    try:
        return b"tEXt", keyword.encode("latin-1") + b"\0" + text.encode("latin-1")
    except UnicodeEncodeError:
        return b"iTXt", keyword.encode("latin-1") + b"\0\0\0\0\0" + text.encode("utf-8")
