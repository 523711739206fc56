"""The texts of a picture by keyword: a PNG's text chunks, or what a JPEG's or WebP's EXIF says.

Image tools that write a PNG's `parameters` put the same text into EXIF's `UserComment` where they
write JPEG or WebP.
"""

import io
import struct
import warnings
from typing import Any

from promptlift.errors import InputError, MissingExtraError
from promptlift.png_text import is_png, png_texts

COMMENT_KEYWORD = "UserComment"
# Tags of the Exif standard (CIPA DC-008).
_SOFTWARE, _EXIF, _MAKER_NOTE, _USER_COMMENT = 0x0131, 0x8769, 0x927C, 0x9286
# ComfyUI gives each text a tag of its own, from `Model` downward, as `prompt:{"3": …}`.
_COMFYUI, _COMFYUI_TAGS = ("prompt", "workflow"), range(0x0100, 0x0111)
_HEADS = (b"Exif\0\0", b"II*\0", b"MM\0*")  # of an EXIF block alone
_CODE_CHARS = 8  # bytes before a user comment that name its encoding


def picture_texts(data: bytes, place: str) -> dict[str, str]:
    """The texts of a PNG, JPEG or WebP by the keywords of a PNG, and `UserComment`.

    Args:
        data: the picture; of a JPEG or WebP its EXIF block will do.
        place: names it in errors.

    Raises:
        InputError: it is none of these or is damaged.
        MissingExtraError: it is a JPEG or WebP, and Pillow is not installed.
    """
    if is_png(data):
        return png_texts(data, place)
    is_block = data.startswith(_HEADS)
    if not (is_block or data[:2] == b"\xff\xd8" or (data[:4], data[8:12]) == (b"RIFF", b"WEBP")):
        raise InputError(f"{place} is not a PNG, JPEG or WebP picture")
    try:
        from PIL import Image
    except ImportError as error:
        raise MissingExtraError("Reading a JPEG or WebP", "web") from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of sizes and of single tags that are broken
            if is_block:
                exif = Image.Exif()
                exif.load(data)
            else:
                with Image.open(io.BytesIO(data), formats=("JPEG", "WEBP")) as image:
                    exif = image.getexif()
            found = {**exif, **exif.get_ifd(_EXIF)}
    except (
        Image.DecompressionBombError, ArithmeticError, AttributeError, LookupError, OSError,
        SyntaxError, TypeError, ValueError, struct.error,
    ) as error:  # fmt: skip
        raise InputError(f"{place} is damaged: its EXIF cannot be read") from error
    return _texts(found)


def _texts(exif: dict[int, Any]) -> dict[str, str]:
    texts = {}
    for tag in _COMFYUI_TAGS:
        keyword, colon, text = _text(exif.get(tag)).partition(":")
        if colon and keyword.lower() in _COMFYUI:
            texts[keyword.lower()] = text
    texts[COMMENT_KEYWORD] = _user_comment(exif.get(_USER_COMMENT))
    texts["Software"] = _text(exif.get(_SOFTWARE))
    texts["fooocus_scheme"] = _text(exif.get(_MAKER_NOTE))  # cameras keep other things there
    if texts["fooocus_scheme"] not in ("fooocus", "a1111"):
        del texts["fooocus_scheme"]
    return {keyword: text for keyword, text in texts.items() if text}


def _user_comment(value: object) -> str:
    """A user comment's text. Many writers leave out the eight bytes that name its encoding."""
    data = _bytes(value)
    code, rest = data[:_CODE_CHARS], data[_CODE_CHARS:]
    if code == b"UNICODE\0":
        return _utf16(rest).strip("\0")
    return _text(rest if code in (b"ASCII\0\0\0", bytes(_CODE_CHARS)) else data)


def _utf16(data: bytes) -> str:
    """UTF-16 in the byte order that it seems to have, as the standard names none.

    A1111 writes the high byte first, SwarmUI the low one. Texts of image tools hold many signs of
    ASCII in any language, and their high byte is zero.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    low_first = data[1::2].count(0) > data[::2].count(0)
    return data.decode("utf-16-le" if low_first else "utf-16-be", "replace")


def _text(value: object) -> str:
    """A text that should be ASCII and often is UTF-8."""
    data = _bytes(value)
    try:
        return data.decode("utf-8").strip("\0")
    except UnicodeDecodeError:
        return data.decode("latin-1").strip("\0")


def _bytes(value: object) -> bytes:
    """What stands in the file; Pillow reads a text as Latin-1."""
    if isinstance(value, str):
        return value.encode("latin-1", "replace")
    return value if isinstance(value, bytes) else b""
