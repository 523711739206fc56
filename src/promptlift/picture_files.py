"""Picture files: compared with the index and decoded, the last few kept."""

import hashlib
import io
from functools import lru_cache
from typing import TYPE_CHECKING

from promptlift.errors import InputError
from promptlift.pictures import Picture

if TYPE_CHECKING:
    from PIL.Image import Image


class PictureReader:
    """Opens pictures and keeps the last few decoded, since several models read each.

    Args:
        kept: number of decoded pictures to keep.
    """

    def __init__(self, kept: int) -> None:
        self._decoded = lru_cache(kept)(self._decode)

    def check(self, picture: Picture) -> None:
        """Compare a file with the index.

        Raises:
            InputError: it is missing, cannot be read, or is not the picture that was drawn.
        """
        self._read(picture)

    def image(self, picture: Picture) -> "Image":
        """The decoded picture, in RGB.

        Raises:
            InputError: as `check`, or it is not a picture.
        """
        return self._decoded(picture)

    def _decode(self, picture: Picture) -> "Image":
        from PIL import Image as images

        data = self._read(picture)
        try:
            with images.open(io.BytesIO(data)) as file:
                image: Image = file.convert("RGB")
        except (
            images.DecompressionBombError, images.DecompressionBombWarning, OSError, SyntaxError,
            ValueError,
        ) as error:  # fmt: skip
            raise InputError(f"{picture.path} is not a readable picture: {error}") from error
        return image

    def _read(self, picture: Picture) -> bytes:
        try:
            data = picture.path.read_bytes()
        except OSError as error:
            raise InputError(
                f"{picture.path} cannot be read: {error.strerror or error}. Draw it again."
            ) from error
        if hashlib.sha256(data).hexdigest() != picture.sha256:
            raise InputError(
                f"{picture.path} is not the picture that was drawn: its SHA-256 differs from the "
                "index. Delete it and draw it again."
            )
        return data
