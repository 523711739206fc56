"""The way back in the studio: undo, redo and the history."""

import json
from collections.abc import Callable

import pytest

from tests.browser import CHROMIUM, Browser
from tests.web.studio_page import READY, ask, blameless, clipboard, pick, shown, text_of

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")


@pytest.mark.slow
def test_what_is_shown_belongs_to_what_stands_there(
    address: str, open_page: Callable[[str], Browser]
) -> None:
    browser = open_page(address)
    ask(browser, "a red fox")
    ask(browser, "a blue whale")
    # Back and forth at once: the answer to the step back comes when nobody wants it.
    browser.run("document.getElementById('undo').click(); document.getElementById('redo').click()")
    browser.settle()
    assert browser.run("document.getElementById('prompt').value") == "a blue whale"
    assert all(text.startswith("a blue whale") for text in shown(browser))

    # A step with nowhere to go leaves what is in hand.
    browser.click("#prompt")
    browser.press("End")
    browser.type(" singing")
    browser.run("document.activeElement.blur()")
    browser.press("y", control=True)
    browser.run(
        "document.getElementById('redo').disabled = false;document.getElementById('redo').click()"
    )
    browser.wait(f"document.querySelector('article .text').textContent.includes('sing') && {READY}")
    # However it went, each step back leads further.
    seen = []
    for _ in range(8):
        browser.run("document.getElementById('undo').click()")
        seen.append(browser.run("document.getElementById('prompt').value"))
    assert seen[-1] == "a red fox"
    ask(browser, "a blue whale")

    # An addition that is out of one prompt's results is not taken out of another's.
    browser.click(".chip")
    browser.click("#prompt")
    browser.press("End")
    browser.type(" at dusk")
    browser.visit(address)  # left while the answer is on its way
    browser.wait(
        f"document.querySelector('article .text')?.textContent.includes('dusk') && {READY}"
    )
    assert not browser.run("document.querySelector('.chip[aria-pressed=false]')")

    # Words that were not improved yet can be had back.
    browser.offline(True)
    browser.click("#prompt")
    browser.press("End")
    browser.type(" and a boat")
    browser.click("#undo")
    browser.click("#redo")
    assert (
        browser.run("document.getElementById('prompt').value") == "a blue whale at dusk and a boat"
    )
    browser.offline(False)


@pytest.mark.slow
def test_what_is_forgotten_stays_so_and_what_was_edited_comes_back(
    address: str, open_page: Callable[[str], Browser]
) -> None:
    browser = open_page(address)
    ask(browser, "a paper boat")
    browser.click(".chip")
    browser.click("#show-history")
    browser.click("#history .shut")
    ask(browser, "a tin robot")
    browser.click("#show-history")
    browser.click("#entries li:last-child button")
    browser.wait(f"document.querySelector('article .text').textContent.includes('boat') && {READY}")
    assert browser.run("document.querySelector('.chip').getAttribute('aria-pressed')") == "false"
    browser.click("#show-history")
    browser.click("#forget")
    browser.click("#history .shut")
    browser.visit(address)
    browser.wait(f"document.querySelector('article') && {READY}")
    browser.click("#show-history")
    assert text_of(browser, "#entries") == "Nothing yet."
    browser.run("sessionStorage.clear()")  # as in another tab
    browser.visit(address)
    browser.wait(f"document.querySelector('article') && {READY}")
    browser.click("#show-history")
    assert text_of(browser, "#entries") == "Nothing yet."


@pytest.mark.slow
def test_the_way_back_pins_and_favourites_outlast_a_reload(
    address: str, open_page: Callable[[str], Browser]
) -> None:
    browser = open_page(address)
    ask(browser, "red star")
    others = "[...document.querySelectorAll('article:not(:first-child) .chip[data-place]')]"
    texts = browser.run(f"{others}.map((one) => one.textContent)")
    pins = "[...document.querySelectorAll('article:first-child [data-pin]')]"
    phrase = browser.run(f"{pins}.map((one) => one.dataset.pin).find((p) => "
                         f"!{json.dumps(texts)}.includes(p))")  # fmt: skip
    assert phrase, "the first variant has nothing of its own"
    browser.run(f"{pins}.find((one) => one.dataset.pin === {json.dumps(phrase)}).click()")
    assert text_of(browser, "#set") == "set: pins"
    carried = "document.querySelectorAll('.carried .chip').length"
    assert browser.run(carried) == 2
    browser.settle()
    second = "article:nth-child(2)"
    browser.click(f"{second} [data-copy=plain]")
    browser.wait(f"document.querySelector('{second} [data-copy=plain]').textContent === 'Copied'")
    assert clipboard(browser, address).endswith(f", {phrase}")

    browser.click(f"{second} .star")
    assert browser.run(f"document.querySelector('{second} .star').ariaPressed") == "true"
    ask(browser, "blue square")  # what is pinned comes along
    assert all(phrase in text for text in shown(browser))

    browser.visit(address)
    browser.wait(f"document.querySelector('article') && {READY}")
    assert all(phrase in text for text in shown(browser))
    assert text_of(browser, "#set") == "set: pins"
    browser.click("#show-history")
    browser.click("#favourites")
    entries = "[...document.querySelectorAll('#entries b')].map((one) => one.textContent)"
    assert browser.run(entries) == ["red star ★"]
    browser.click("#history .shut")
    browser.click("#show-history")
    assert browser.run("document.getElementById('favourites').checked") is False
    assert len(browser.run(entries)) == 2
    browser.click("#history .shut")
    browser.run("document.getElementById('undo').click()")
    browser.wait(f"document.querySelector('.text').textContent.startsWith('red star') && {READY}")
    assert browser.run(f"document.querySelector('{second} .star').ariaPressed") == "true"
    pick(browser, "n", "4")
    browser.wait(f"document.querySelectorAll('article').length === 4 && {READY}")
    assert browser.run(f"document.querySelector('{second} .star').ariaPressed") == "true"
    browser.click(f"{second} .carried .chip")  # a click lets it go, everywhere
    assert browser.run(carried) == 0 and text_of(browser, "#set") == "set: variants"
    blameless(browser, address)
