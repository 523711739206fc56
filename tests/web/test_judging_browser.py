"""Raters in a real browser, against the real command."""

import json
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from promptlift.judging.collecting.study import Study
from tests.browser import CHROMIUM, Browser
from tests.judging.runs import draw_run
from tests.web.server_process import ServerProcess

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
KEYS = {"left": "1", "right": "2", "tie": "0", "both_bad": "b", "skip": "s"}


class Server(ServerProcess):
    """`promptlift judge`."""

    says = 2  # a link for each rater

    def __init__(self, run: Path, port: int = 0) -> None:
        super().__init__(
            "judge", str(run), "--raters", "ada,ben", "--per-pair", "2", "--port", str(port),
        )  # fmt: skip
        self.links = dict(line.split("\t") for line in self.lines)


@pytest.fixture
def browsers(tmp_path: Path) -> Iterator[list[Browser]]:
    opened: list[Browser] = []
    yield opened
    for browser in opened:
        browser.close()


def standing(browser: Browser) -> tuple[str, str]:
    return browser.run("[at('progress-text').textContent, at('question').textContent]")  # type: ignore[no-any-return]


def answered(browser: Browser, before: tuple[str, str]) -> None:
    browser.wait(
        f"(JSON.stringify([at('progress-text').textContent, at('question').textContent]) !== "
        f"{_json(before)} || !at('done').hidden) && !busy"
    )


def _json(value: object) -> str:
    return json.dumps(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def ready(browser: Browser) -> None:
    browser.wait("state !== null && !busy")


@pytest.mark.slow
def test_two_raters_vote_undo_leave_and_come_back(tmp_path: Path, browsers: list[Browser]) -> None:
    run = draw_run(tmp_path / "run", 30)
    server = Server(run)
    ada = Browser(tmp_path / "ada")
    ben = Browser(tmp_path / "ben", width=390, height=844)
    browsers += [ada, ben]
    ben.resize(390, 844, phone=True)
    given: dict[str, list[str]] = {"ada": [], "ben": []}
    rng = random.Random(0)

    def act(name: str, browser: Browser) -> None:
        before = standing(browser)
        if given[name] and rng.random() < 0.12:
            given[name].pop()
            browser.press("u") if name == "ada" else browser.tap("#undo")
        else:
            answer = rng.choice(list(KEYS))
            given[name].append(answer)
            if name == "ada":
                browser.press(KEYS[answer])
            else:
                browser.tap(f"[data-answer={answer}]")
        answered(browser, before)

    for name, browser in (("ada", ada), ("ben", ben)):
        browser.visit(server.links[name])
        ready(browser)
    for _ in range(15):
        act("ada", ada)
        act("ben", ben)
    # The tab is closed, and opened again.
    ada.call("Page.navigate", url="about:blank")
    act("ben", ben)
    ada.visit(server.links["ada"])
    ready(ada)
    for _ in range(5):
        act("ada", ada)
    # The server is killed while a rater votes; the vote is sent again once it is back.
    server.kill()
    before = standing(ada)
    given["ada"].append("left")
    ada.press("1")
    ada.wait("!at('problem').hidden && at('problem').textContent.startsWith('Not saved yet')")
    server = Server(run, server.port)
    answered(ada, before)
    assert ada.run("at('problem').hidden")
    while ada.run("at('done').hidden") or ben.run("at('done').hidden"):
        for name, browser in (("ada", ada), ("ben", ben)):
            if browser.run("at('done').hidden"):
                act(name, browser)
    for browser in browsers:
        assert any(url.startswith("http://127.0.0.1") for url in browser.requested)
        assert all(url.startswith(("http://127.0.0.1", "about:")) for url in browser.requested)
    errors = server.stop()
    assert "Traceback" not in errors
    study = Study.open([run], None)
    votes = study.store.votes()
    for name, answers in given.items():
        assert [vote.answer for vote in votes if vote.rater == name] == answers
        assert len(answers) == 33 * 2  # 30 pairs, and a tenth again


@pytest.mark.slow
def test_the_page_by_keyboard_and_by_eye(tmp_path: Path, browsers: list[Browser]) -> None:
    """Focus, names for a screen reader, zoom, and no sideways scrolling on a phone."""
    server = Server(draw_run(tmp_path / "run", 3))
    browser = Browser(tmp_path / "browser")
    browsers.append(browser)
    browser.visit(server.links["ada"])
    ready(browser)
    shots = Path(os.environ.get("PROMPTLIFT_SCREENSHOTS", tmp_path))
    for name, width, height, dark, phone in (
        ("light", 1280, 900, False, False),
        ("dark", 1280, 900, True, False),
        ("phone", 390, 844, False, True),
        ("phone-dark", 360, 640, True, True),
    ):
        browser.resize(width, height, dark=dark, phone=phone)
        browser.wait("at('left').complete")
        browser.shoot(shots / f"judge-{name}.png")
        assert browser.run("document.documentElement.scrollWidth") <= width
        sizes = browser.run(
            "[...document.querySelectorAll('.answers button, .other button')].map("
            "b => b.getBoundingClientRect().height)"
        )
        assert min(sizes) >= 44  # pixels, for fingers
    browser.resize(1280, 900)
    tree = browser.call("Accessibility.getFullAXTree")["nodes"]
    named = {
        node["name"]["value"]
        for node in tree
        if node.get("role", {}).get("value") in ("button", "image", "heading", "progressbar")
    }
    assert {"Left picture", "Right picture", "Enlarge the left picture"} <= named
    assert any("scene" in name for name in named)
    assert all(named)
    browser.press("z")
    browser.wait("at('large').open")
    browser.shoot(shots / "judge-large.png")
    browser.press("Escape")
    browser.wait("!at('large').open")
    browser.press("Tab")
    assert browser.run("document.activeElement.tagName") == "BUTTON"
    before = standing(browser)
    browser.press("1")
    answered(browser, before)
    # Zoomed pictures are those of the pair that is asked about: with the next pair they go.
    browser.press("z")
    browser.wait("at('large').open")
    place = browser.run("state.position")
    browser.press("2")
    browser.wait(f"state.position === {place + 1} && !busy")
    assert not browser.run("at('large').open")
    assert browser.complaints == []
    server.stop()
