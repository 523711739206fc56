"""Results in a notebook: a short `repr`, and HTML that shows texts and does nothing else."""

import html
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from promptlift.illustrating.records import DrawnPair, DrawnPicture, Request
from promptlift.notebook import marked
from promptlift.records import Dropped, Improvement
from tests.browser import CHROMIUM, Browser

LIGHTHOUSE = Improvement(
    source="a lighthouse", prompt="a lighthouse, on a cliff, at dusk",
    additions=("on a cliff", "at dusk"), clip_tokens=9, seed=7, variant=0, mode="extend",
    model="writer@0123456789ab", settings={"temperature": 0.4},
)  # fmt: skip


def drawn(prompt: str, colour: str) -> DrawnPicture:
    image = Image.new("RGB", (96, 64), colour)
    return DrawnPicture(image=image, request=Request(prompt=prompt, seed=3), seconds=1.0)


PAIR = DrawnPair(
    improvement=LIGHTHOUSE,
    original=drawn(LIGHTHOUSE.source, "navy"),
    improved=drawn(LIGHTHOUSE.prompt, "teal"),
)


def test_a_repr_is_a_line_without_settings() -> None:
    assert repr(LIGHTHOUSE) == (
        "Improvement(prompt='a lighthouse, on a cliff, at dusk', clip_tokens=9, seed=7, "
        "variant=0, model='writer@0123456789ab')"
    )
    assert repr(PAIR.original) == "DrawnPicture(96x64, prompt='a lighthouse', seed=3)"


def test_additions_are_marked_after_the_users_words() -> None:
    assert marked("a cat, cat, on a mat, red", ("cat", "red"), "a cat") == (
        "a cat, <mark>cat</mark>, on a mat, <mark>red</mark>"
    )
    assert marked("(a cat:1.2), soft light", ("soft light",), "(a cat:1.2)") == (
        "(a cat:1.2), <mark>soft light</mark>"
    )
    # A rewriting does not begin with its source.
    assert marked("sunny day, a cat", ("sunny day",), "a cat") == "<mark>sunny day</mark>, a cat"
    assert marked("a cat", ("not in it", ""), "a cat") == "a cat"


@given(source=st.text(), middle=st.text(), addition=st.text(), rest=st.text())
def test_marks_change_no_text(source: str, middle: str, addition: str, rest: str) -> None:
    prompt = source + middle + addition + rest
    found = marked(prompt, (addition,), source)
    text = html.unescape(re.sub("</?mark>", "", found))
    assert text.encode() == prompt.encode("utf-8", "replace")


def test_what_was_left_out_and_noted_is_told() -> None:
    told = replace(
        LIGHTHOUSE, negative="blurry", notes=("over the limit",), dropped=(Dropped("8k", "budget"),)
    )._repr_html_()
    for text in ("Negative prompt: blurry", "Notes: over the limit", "Left out: 8k (budget)"):
        assert text in told
    assert "Notes" not in LIGHTHOUSE._repr_html_()


HOSTILE = "<script>window.ran = true</script>\"'><img src=x onerror='window.ran = true'>&amp;"


def hostile() -> Improvement:
    return replace(
        LIGHTHOUSE, source=HOSTILE, prompt=f"{HOSTILE}, {HOSTILE}", additions=(HOSTILE,),
        negative=HOSTILE, notes=(HOSTILE,), dropped=(Dropped(HOSTILE, HOSTILE),), model=HOSTILE,
    )  # fmt: skip


def test_texts_are_shown_and_not_run() -> None:
    for result in (hostile(), drawn(HOSTILE, "red")):
        tree = ElementTree.fromstring(result._repr_html_())  # well-formed
        shown = "".join(tree.itertext())
        assert HOSTILE in shown
        assert not [one for one in tree.iter() if one.tag == "script" or "onerror" in one.attrib]


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
def test_pictures_stand_side_by_side(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    parts = (LIGHTHOUSE, PAIR, hostile(), drawn(HOSTILE, "red"))
    body = "\n".join(part._repr_html_() for part in parts)
    page.write_text(f"<!doctype html><meta charset=utf-8>{body}", encoding="utf-8")
    browser = Browser(tmp_path / "profile")
    try:
        browser.open(page)
        assert browser.run("window.ran") is None
        left, right = browser.run(
            "[...document.querySelectorAll('img')].slice(0, 2).map((image) => {"
            " const b = image.getBoundingClientRect(); return [b.x, b.y, image.naturalWidth] })"
        )
        assert left[0] < right[0] and left[1] == right[1] and left[2] == right[2] == 96
        browser.shoot(tmp_path / "page.png")
    finally:
        browser.close()
