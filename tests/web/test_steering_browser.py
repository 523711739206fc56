"""Moving by picking in a real browser, against the real command."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.browser import CHROMIUM, Browser
from tests.web.server_process import ServerProcess

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
READY = (
    "document.querySelectorAll('.candidate img[src]').length === 5"
    " && document.getElementById('state').textContent === ''"
)


class Server(ServerProcess):
    """`promptlift steer pick`."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        super().__init__(
            "steer", "pick", "red star", "-o", str(folder), "--num-inference-steps", "2",
            "--threads", "1", "--port", str(port),
        )  # fmt: skip
        [self.address] = self.lines


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    opened = Browser(tmp_path / "browser")
    yield opened
    opened.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    started = Server(folder)
    yield started
    if started.process.poll() is None:
        started.kill()


def state(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "places.json").read_text())  # type: ignore[no-any-return]


def arrived(browser: Browser, places: int) -> None:
    browser.wait(f"document.querySelectorAll('#places li').length === {places} && {READY}")


@pytest.mark.slow
def test_pick_redraw_and_back(browser: Browser, server: Server, folder: Path) -> None:
    browser.visit(server.address)
    arrived(browser, 1)
    assert browser.run("document.getElementById('go').disabled")
    browser.press("2")
    browser.press("ArrowLeft")
    browser.wait("document.getElementById('there').src !== ''")
    assert browser.run("document.getElementById('there-said').textContent").startswith("90% of")
    browser.press("Enter")
    arrived(browser, 2)
    assert state(folder)["places"][1]["percent"] == 90

    browser.press("r")
    browser.click("#mask")  # a dot in the middle
    browser.click("#words")
    browser.type("blue ring")
    browser.click("#paint")
    arrived(browser, 3)
    place = state(folder)["places"][2]
    assert (place["how"], place["said"], place["percent"]) == ("redrawn", "blue ring", 70)
    with Image.open(folder / "pictures" / "01.png") as one:
        before = np.asarray(one).astype(int)
    with Image.open(folder / "pictures" / "02.png") as other:
        changed = (np.asarray(other).astype(int) != before).any(-1)
    assert changed[32, 32] and not changed[:20].any() and not changed[-20:].any()

    browser.press("r")
    assert browser.run("document.getElementById('paint').disabled")  # nothing is painted
    browser.run("document.getElementById('mask').focus()")
    browser.press("ArrowLeft")
    browser.press(" ")
    assert not browser.run("document.getElementById('paint').disabled")
    assert not browser.run("document.getElementById('cursor').hidden")
    browser.press("Escape")
    browser.press("b")
    browser.wait("document.querySelector('[aria-current]').textContent.startsWith('1')")
    assert state(folder)["present"] == 1
    browser.wait(READY)
    browser.run("document.querySelectorAll('.candidate')[2].focus()")
    browser.press("Enter")  # picks the one in focus
    browser.wait("document.querySelectorAll('.candidate')[2].ariaPressed === 'true'")
    at = '{"place": 1, "offer": 0}'
    browser.run(f"fetch('/v1/others', {{method: 'POST', body: '{at}', "
                "headers: {'content-type': 'application/json'}}).then(() => 1)")  # fmt: skip
    browser.press("Enter")
    browser.wait("document.getElementById('problem').textContent.startsWith('Another window')")
    browser.wait(READY)
    assert not browser.run("document.getElementById('problem').hidden")
    assert all("409" in one for one in browser.complaints)
    assert all(server.address in one for one in browser.requested if one.startswith("http"))
    assert "you are at" in server.stop()


@pytest.mark.slow
def test_twenty_rounds_by_keyboard_and_by_touch(
    browser: Browser, server: Server, folder: Path
) -> None:
    browser.visit(server.address)
    arrived(browser, 1)
    for turn in range(1, 11):
        browser.press(str(turn % 5 + 1))
        for _ in range(turn % 4):
            browser.press("ArrowLeft")
        browser.press("Enter")
        arrived(browser, turn + 1)
    server.kill()
    browser.press("1")
    browser.press("Enter")  # asked again and again until it is answered
    browser.wait("document.getElementById('problem').textContent.includes('does not answer')")
    again = Server(folder, server.port)
    try:
        arrived(browser, 12)
        assert state(folder)["places"][11]["origin"] == 10
        browser.resize(390, 844, phone=True)
        for turn in range(12, 21):
            browser.tap(f".candidate:nth-child({turn % 5 + 1})")
            browser.wait("!document.getElementById('go').disabled")
            browser.tap("#percent")  # the middle
            browser.tap("#go")
            arrived(browser, turn + 1)
        assert {one["percent"] for one in state(folder)["places"][12:]} <= {50, 55}
        browser.tap("#places li:nth-child(4) button")
        browser.wait("document.querySelector('[aria-current]').textContent.startsWith('3')")
        browser.wait(READY)
        browser.visit(again.address)
        arrived(browser, 21)
        assert browser.run("document.querySelector('[aria-current]').textContent").startswith("3")
        assert browser.run("document.querySelectorAll('#map .place').length") == 21
        assert browser.run("document.documentElement.scrollWidth") <= 390
        browser.tap("#others")
        browser.wait(f"{READY} && document.querySelectorAll('#map .offered').length === 5")
        assert state(folder)["offers"][3] == 1
    finally:
        again.kill()
