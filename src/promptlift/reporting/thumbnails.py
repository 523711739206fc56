"""Thumbnails within a page, and addresses of the whole pictures beside it."""

import base64
import io
import os
from pathlib import Path
from urllib.parse import quote

from promptlift.errors import InputError, MissingExtraError
from promptlift.picture_files import PictureReader
from promptlift.pictures import Picture
from promptlift.reporting.page import Html, escape

THUMBNAIL_PX = 256  # longest side; cards show it at that size or smaller
_SMALL = 128  # pixels: such pictures are not blown up to the width of the page
_QUALITY = 80


class Thumbnails:
    """Thumbnails as markup, and addresses of the pictures beside the page.

    `faults` says which pictures could not be read.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._reader = PictureReader(kept=1)
        self.faults: list[str] = []

    def address(self, picture: Picture) -> str:
        """Where the page finds the whole picture."""
        path, start = picture.path.resolve(), self._folder.resolve()
        try:
            found = Path(os.path.relpath(path, start)).as_posix()
        except ValueError:  # on another drive
            return path.as_uri()
        return quote(found)

    def markup(self, picture: Picture, text: str) -> Html:
        """The thumbnail, with a text in its place for who cannot see it."""
        try:
            data, width, height = self._made(picture)
        except InputError as error:
            self.faults.append(str(error))
            return Html(f'<span class=lost role=img aria-label="{escape(text)}">no picture</span>')
        small = " class=small" if width <= _SMALL else ""
        return Html(
            f'<img src="data:image/jpeg;base64,{data}" width={width} height={height} '
            f'alt="{escape(text)}" decoding=async{small}>'
        )

    def _made(self, picture: Picture) -> tuple[str, int, int]:
        try:
            from PIL import Image
        except ImportError as error:
            raise MissingExtraError("A gallery of pictures", "report") from error
        image = self._reader.image(picture).copy()
        image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX), Image.Resampling.LANCZOS, reducing_gap=2.0)
        output = io.BytesIO()
        image.save(output, "JPEG", quality=_QUALITY, optimize=True)
        return base64.b64encode(output.getvalue()).decode("ascii"), *image.size
