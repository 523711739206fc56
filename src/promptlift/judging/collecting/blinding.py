"""The pictures of a pair as a rater gets them: pixels alone, nothing that names a system.

Both are PNG files of the same length, without text, and both are made before either is sent.
"""

import hashlib
import io
import os
import struct
import threading
import zlib
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING

from promptlift.errors import InputError
from promptlift.judging.records import ATTENTION, JudgedPair, Task

if TYPE_CHECKING:
    from PIL.Image import Image

_END = 12  # bytes of the chunk IEND
_KEPT = 64  # pairs
_SPOILED_TO = 4  # pixels a side that are left of a spoiled picture


class ShownPictures:
    """Makes the pictures that raters see, and keeps those of the last pairs.

    Args:
        folder: the run that files are relative to.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        # By pair and whether it is spoiled: the pictures in the order of the pair.
        self._made: OrderedDict[tuple[int, bool], tuple[bytes, bytes]] = OrderedDict()

    def of(self, pair: JudgedPair, task: Task) -> tuple[bytes, bytes]:
        """The left and the right picture of a task.

        Raises:
            InputError: a file is missing or damaged, or has changed since the pairs were assigned.
        """
        key = (pair.id, task.purpose == ATTENTION)
        with self._lock:  # a request for one of the two waits for both
            if key not in self._made:
                self._made[key] = self._make(pair, spoiled=key[1])
                if len(self._made) > _KEPT:
                    self._made.popitem(last=False)
        both = self.made(pair, task)
        assert both is not None
        return both

    def made(self, pair: JudgedPair, task: Task) -> tuple[bytes, bytes] | None:
        """The same, without waiting; None where they have not been made yet."""
        both = self._made.get((pair.id, task.purpose == ATTENTION))
        return both if both is None or not task.swapped else both[::-1]

    def _make(self, pair: JudgedPair, *, spoiled: bool) -> tuple[bytes, bytes]:
        if spoiled:
            # Of either system: which one is as random as the last digit of a hash.
            one = int(pair.sha256[0][-1], 16) % 2
            second = self._read(pair.files[one], pair.sha256[one])
            first = _spoiled(second)
        else:
            first, second = map(self._read, pair.files, pair.sha256)
        files = _png(first), _png(second)
        # Pictures of few colours pack better, whichever side they are on.
        length = max(map(len, files)) + _END
        return _padded(files[0], length), _padded(files[1], length)

    def _read(self, name: str, sha256: str) -> "Image":
        from PIL import Image

        path = self._folder / name
        try:
            data = path.read_bytes()
            if hashlib.sha256(data).hexdigest() != sha256:
                raise InputError(f"{path} has changed since the study began; draw it again")
            image = Image.open(io.BytesIO(data)).convert("RGB")
            image.info = {}  # a colour profile would be written again
            return image
        except OSError as error:
            raise InputError(f"{path} cannot be read as a picture: {error}") from error


def _spoiled(image: "Image") -> "Image":
    from PIL import Image

    few = image.resize((_SPOILED_TO, _SPOILED_TO), Image.Resampling.BOX)
    return few.resize(image.size, Image.Resampling.BICUBIC)


def _png(image: "Image") -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _padded(png: bytes, length: int) -> bytes:
    """A PNG with a chunk of noise before its end that makes it as long as asked, at least 12 more
    bytes; "noIz" is private and may be ignored, by the rules for names of chunks."""
    noise = os.urandom(length - len(png) - _END)
    body = b"noIz" + noise
    chunk = struct.pack(">I", len(noise)) + body + struct.pack(">I", zlib.crc32(body))
    return png[:-_END] + chunk + png[-_END:]
