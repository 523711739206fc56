"""Texts of JPEG and WebP files, written as image tools write them."""

import io
import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from promptlift.errors import InputError, MissingExtraError
from promptlift.picture_texts import picture_texts

TEXT = "a cat, 猫\nNegative prompt: blurry\nSteps: 20, Sampler: Euler a, Seed: 5"
ASCII = TEXT.replace("猫", "dog")
CATS = "猫" * 20
USER_COMMENT, EXIF = 0x9286, 0x8769


def exif(comment: Any, **tags: Any) -> Image.Exif:
    found = Image.Exif()
    found[EXIF] = {USER_COMMENT: comment}
    for name, value in tags.items():
        found[int(name.removeprefix("tag_"), 16)] = value
    return found


def picture(form: str, exif: Image.Exif | None = None) -> bytes:
    output = io.BytesIO()
    Image.new("RGB", (16, 16)).save(output, form, **({"exif": exif} if exif else {}))
    return output.getvalue()


@pytest.mark.parametrize("form", ["JPEG", "WEBP"])
@pytest.mark.parametrize(
    ("comment", "text"),
    [
        (b"UNICODE\0" + TEXT.encode("utf-16-be"), TEXT),  # A1111
        (b"UNICODE\0" + TEXT.encode("utf-16-le"), TEXT),  # SwarmUI
        (b"UNICODE\0" + TEXT.encode("utf-16"), TEXT),
        (b"UNICODE\0" + f"{CATS}: 4".encode("utf-16-le"), f"{CATS}: 4"),
        (b"ASCII\0\0\0" + ASCII.encode(), ASCII),
        (b"ASCII\0\0\0" + TEXT.encode(), TEXT),
        (bytes(8) + TEXT.encode(), TEXT),
        (TEXT.encode(), TEXT),
        (ASCII.encode() + b"\0", ASCII),
        ("caf\xe9".encode("latin-1"), "café"),
    ],
)  # fmt: skip
def test_a_user_comment_is_read_in_every_encoding(form: str, comment: bytes, text: str) -> None:
    assert picture_texts(picture(form, exif(comment)), "here") == {"UserComment": text}


@pytest.mark.parametrize("form", ["JPEG", "WEBP"])
def test_fooocus_writes_its_tags_into_the_first_folder(form: str) -> None:
    block = Image.Exif()
    block[USER_COMMENT] = json.dumps({"prompt": "a cat, 猫"})
    block[0x0131] = "Fooocus v2.5.5"
    block[0x927C] = "fooocus"
    assert picture_texts(picture(form, block), "here") == {
        "UserComment": '{"prompt": "a cat, \\u732b"}',
        "Software": "Fooocus v2.5.5",
        "fooocus_scheme": "fooocus",
    }


def test_comfyui_writes_a_tag_for_each_text() -> None:
    block = Image.Exif()
    block[0x0110] = 'prompt:{"3": {}}'
    block[0x010F] = 'workflow:{"nodes": []}'
    found = picture_texts(picture("WEBP", block), "here")
    assert found == {"prompt": '{"3": {}}', "workflow": '{"nodes": []}'}


def test_the_exif_block_alone_will_do() -> None:
    block = exif(b"UNICODE\0" + TEXT.encode("utf-16-be")).tobytes()
    bare = block.removeprefix(b"Exif\0\0")
    for data in (bare, b"Exif\0\0" + bare):
        assert picture_texts(data, "here") == {"UserComment": TEXT}


def test_a_camera_says_nothing_of_a_prompt(tmp_path: Path) -> None:
    block = Image.Exif()
    block[0x010F], block[0x0110] = "Canon", "EOS 5D"
    block[EXIF] = {0x927C: b"\0\1\2binary"}
    path = tmp_path / "photo.jpg"
    path.write_bytes(picture("JPEG", block))
    assert picture_texts(path.read_bytes(), "here") == {}
    path.write_bytes(picture("JPEG"))
    assert picture_texts(path.read_bytes(), "here") == {}


def test_a_png_is_read_as_before(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", "a cat")
    Image.new("RGB", (2, 2)).save(path, pnginfo=info)
    assert picture_texts(path.read_bytes(), "here") == {"parameters": "a cat"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is not a PNG, JPEG or WebP"),
        (b"GIF89a", "is not a PNG, JPEG or WebP"),
        (b"RIFF\0\0\0\0WAVE", "is not a PNG, JPEG or WebP"),
        (b"\xff\xd8", "is damaged"),
        (b"RIFF\0\0\0\0WEBP", "is damaged"),
        (b"Exif\0\0MM\0*\0\0", "is damaged"),
        (picture("WEBP", exif(b"ASCII\0\0\0a"))[:40], "is damaged"),
    ],
)
def test_what_is_no_picture_or_damaged_is_refused_in_a_line(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        picture_texts(data, "here")
    assert "\n" not in str(caught.value)


BLOCK = exif(b"ASCII\0\0\0" + ASCII.encode(), tag_0131="x").tobytes()


@given(
    place=st.integers(0, len(BLOCK) - 1), byte=st.integers(0, 255), end=st.integers(6, len(BLOCK))
)
def test_a_damaged_block_is_read_or_refused(place: int, byte: int, end: int) -> None:
    data = (BLOCK[:place] + bytes([byte]) + BLOCK[place + 1 :])[:end]
    with suppress(InputError):
        assert all(isinstance(text, str) for text in picture_texts(data, "here").values())


def test_without_pillow_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MissingExtraError, match=r"JPEG or WebP .*promptlift\[web\]"):
        picture_texts(BLOCK, "here")
