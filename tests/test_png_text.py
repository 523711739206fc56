"""Texts of PNG files: as Pillow reads and writes them, and the picture untouched."""

import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from promptlift.errors import InputError
from promptlift.png_text import is_png, read_png_text, write_png_text

PER_TEXT = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    image = Image.effect_noise((40, 30), 90).convert("RGB")
    info = PngImagePlugin.PngInfo()
    info.add_text("Software", "other")
    info.add_text("workflow", "{}" * 500, zip=True)
    info.add_itxt("Title", "猫", zip=True)
    info.add(b"prVt", b"private")
    image.save(path, pnginfo=info)
    return path


def test_reads_what_pillow_wrote(picture: Path) -> None:
    assert is_png(picture.read_bytes())
    expected = {"Software": "other", "workflow": "{}" * 500, "Title": "猫"}
    assert read_png_text(picture) == expected


@PER_TEXT
@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_pillow_reads_what_was_written_and_the_picture_stays(picture: Path, text: str) -> None:
    pixels = Image.open(picture).tobytes()
    write_png_text(picture, {"promptlift": text, "Software": "mine"})
    assert read_png_text(picture)["promptlift"] == text
    with Image.open(picture) as image:
        image.load()
        texts = {key: str(value) for key, value in image.text.items()}
        assert texts["promptlift"] == text
        assert (texts["Software"], texts["Title"]) == ("mine", "猫")
        assert image.tobytes() == pixels
    assert b"prVtprivate" in picture.read_bytes()


def test_what_is_no_png_or_damaged_is_refused(picture: Path, tmp_path: Path) -> None:
    data = picture.read_bytes()
    other = tmp_path / "other.png"
    for content, message in (
        (b"\xff\xd8jpeg", "not a PNG"),
        (data[:-20], "ends in the middle"),
        (data[:30], "ends in the middle"),
        (data[:60] + bytes([data[60] ^ 1]) + data[61:], "damaged"),
    ):
        other.write_bytes(content)
        with pytest.raises(InputError, match=message):
            read_png_text(other)


def test_a_text_that_unpacks_to_hundreds_of_megabytes_is_refused(picture: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add(b"zTXt", b"bomb\0\0" + zlib.compress(bytes(50 << 20)))
    with Image.open(picture) as image:
        image.load()
        image.save(picture, pnginfo=info)
    with pytest.raises(InputError, match="more than 16 MB"):
        read_png_text(picture)


def test_a_failed_write_leaves_the_picture(picture: Path) -> None:
    before = picture.read_bytes()
    picture.write_bytes(before[:-5])
    with pytest.raises(InputError):
        write_png_text(picture, {"a": "b"})
    assert picture.read_bytes() == before[:-5]
    assert list(picture.parent.iterdir()) == [picture]
