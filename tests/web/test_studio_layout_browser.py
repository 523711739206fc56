"""How the studio is laid out: what stands where, on a phone, when it is empty, in both themes."""

from collections.abc import Callable
from importlib.resources import files
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.browser import CHROMIUM, Browser
from tests.web.studio_page import READY, ask, blameless, chosen, pick, shown, text_of, unfold

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")


def box(browser: Browser, selector: str) -> dict[str, float]:
    found: dict[str, float] = browser.run(
        f"document.querySelector({selector!r}).getBoundingClientRect().toJSON()"
    )
    return found


def test_an_empty_page_has_examples_and_says_what_draws(
    address: str, open_page: Callable[[str], Browser]
) -> None:
    browser = open_page(address)
    browser.wait("document.getElementById('picture_model').options.length > 0")
    browser.click("[data-example]")
    browser.wait(f"document.querySelector('article') && {READY}")
    example = text_of(browser, "[data-example]")
    assert browser.run("document.getElementById('prompt').value") == example
    assert all(text.startswith(example) for text in shown(browser))
    # Before anything is drawn the button says that it draws shapes alone.
    assert text_of(browser, "[data-draw]") == "Draw shapes"
    assert "coloured shapes" in browser.run("document.querySelector('[data-draw]').title")
    blameless(browser, address)


@pytest.mark.slow
def test_results_stand_under_the_prompt_and_fit_a_phone(
    address: str, open_page: Callable[[str], Browser]
) -> None:
    browser = open_page(address)
    ask(browser, "a red fox")
    actions = "[...document.querySelectorAll('.actions')].map((a) => a.getBoundingClientRect()"
    assert len(set(browser.run(f"{actions}.bottom)"))) == 1  # equal cards, buttons at the bottom
    results, options = box(browser, "#results"), box(browser, "#options")
    assert box(browser, "#prompt")["bottom"] < results["top"] < options["top"]
    assert not browser.run("document.getElementById('folded').open")
    for width in (320, 360, 390):
        browser.resize(width, 844, phone=True)
        assert browser.run("document.documentElement.scrollWidth") <= width
        assert box(browser, "#theme")["right"] <= width
    browser.run("scrollTo(0, 0)")
    assert box(browser, "article")["bottom"] <= 844

    chip = "document.querySelector('.chip')"
    browser.tap(".chip")
    browser.wait(f"{chip}.ariaPressed === 'false'")
    assert browser.run(f"getComputedStyle({chip}).textDecorationLine") == "line-through"
    assert text_of(browser, ".reason").startswith("Taken out; press again to put it back.")
    browser.tap(".chip")
    browser.wait(f"{chip}.ariaPressed === 'true'")
    assert browser.run(f"getComputedStyle({chip}).textDecorationLine") == "none"


@pytest.mark.slow
def test_commas_stay_in_the_column_of_the_text(
    address: str, open_page: Callable[[str], Browser]
) -> None:
    browser = open_page(address)
    ask(browser, "a lighthouse at night")
    browser.run(
        "for (const chip of document.querySelectorAll('.text .chip'))"
        "  if (chip.nextSibling) chip.textContent = 'illuminated by soft moonlight '.repeat(5)"
    )
    beyond = (
        "[...document.querySelectorAll('.text > span')].map((one) => {"
        "  const range = document.createRange();"
        "  range.selectNode(one.lastChild);"
        "  return range.getBoundingClientRect().right"
        "    - one.parentElement.getBoundingClientRect().right })"
    )
    for width in (390, 760, 1200):
        browser.resize(width, 900)
        found = browser.run(beyond)
        assert found and max(found) <= 0.5  # pixels


@pytest.mark.slow
def test_a_prompt_that_is_left_alone_has_one_card(
    address: str, open_page: Callable[[str], Browser]
) -> None:
    browser = open_page(address)
    ask(browser, "ein kleines Haus am Meer mit einem roten Dach")
    assert len(shown(browser)) == 1 and text_of(browser, "#state").startswith("1 variant ")
    browser.click(".notes button")
    browser.wait(f"document.querySelectorAll('article').length === 3 && {READY}")


def test_each_style_has_a_picture_of_its_own(
    address: str, open_page: Callable[[str], Browser]
) -> None:
    browser = open_page(address)
    drawn = ElementTree.fromstring((files("promptlift.web") / "studio/styles.svg").read_bytes())
    views = [one.get("id") for one in drawn if one.tag.endswith("view")]
    chips = browser.run(
        "[...document.querySelectorAll('[data-style]')].map((chip) => {"
        "  const picture = chip.querySelector('img');"
        "  const canvas = document.createElement('canvas');"
        "  [canvas.width, canvas.height] = [72, 56];"
        "  canvas.getContext('2d').drawImage(picture, 0, 0, 72, 56);"
        "  return [chip.dataset.style, chip.textContent, picture.alt, picture.complete,"
        "    new URL(picture.src).hash.slice(1), canvas.toDataURL()] })"
    )
    assert [view for *_, view, _ in chips] == views and len(views) == 9
    for style, text, alt, complete, view, _ in chips:
        assert (text, alt, complete, view) == (style, "", True, style.replace(" ", "-"))
    assert len({pixels for *_, pixels in chips}) == 9
    asked = [url for url in browser.requested if url.endswith(".svg")]
    assert asked == [f"{address}/studio/styles.svg"]  # one file
    blameless(browser, address)


@pytest.mark.slow
def test_styles_are_chips_what_is_set_is_marked_and_reset(
    address: str, open_page: Callable[[str], Browser]
) -> None:
    browser = open_page(address)
    ask(browser, "a red fox")
    browser.run("document.getElementById('lock').click()")
    before = shown(browser)
    assert browser.run("document.getElementById('mark').hidden") is False  # the locked seed

    def press(script: str) -> None:
        browser.run(script)
        browser.settle()
        browser.wait(READY)

    press("document.querySelector('[data-style=watercolor]').click()")
    assert all(text.startswith("a red fox, watercolor") for text in shown(browser))
    press("document.querySelector('[name=length][value=short]').click()")
    browser.click("#to-options")
    assert browser.run("document.getElementById('folded').open")
    assert text_of(browser, "#set") == "set: style, length, locked seed"
    press("document.getElementById('reset').click()")
    assert shown(browser) == before and text_of(browser, "#set") == ""
    assert browser.run("document.getElementById('mark').hidden")
    press("document.getElementById('undo').click()")
    assert all(text.startswith("a red fox, watercolor") for text in shown(browser))
    pick(browser, "picture_model", "FLUX.1")
    assert chosen(browser, "picture_model") == "FLUX.1"
    blameless(browser, address)


@pytest.mark.slow
def test_light_and_dark_are_a_switch_that_is_remembered(
    address: str, open_page: Callable[[str], Browser]
) -> None:
    browser = open_page(address)
    colour = "getComputedStyle(document.body).backgroundColor"

    def is_dark() -> Any:
        return browser.run(f"parseInt({colour}.match(/\\d+/)[0]) < 100")

    assert not is_dark()
    browser.click("#theme")
    assert is_dark() and browser.run("document.getElementById('theme').ariaPressed") == "true"
    browser.visit(address)
    assert is_dark()
    browser.click("#theme")
    browser.resize(1280, 900, dark=True)  # chosen is chosen
    assert not is_dark()
    blameless(browser, address)


@pytest.mark.slow
def test_control_z_in_the_prompt_undoes_typing_and_nothing_else(
    address: str, open_page: Callable[[str], Browser]
) -> None:
    browser = open_page(address)
    ask(browser, "a red fox")
    unfold(browser)
    browser.click("[name=length][value=short]")
    browser.settle()
    browser.wait(READY)
    browser.click("#prompt")
    browser.press("End")
    browser.type(" at sea")
    browser.wait(f"document.querySelector('.text').textContent.includes('at sea') && {READY}")
    browser.press("z", control=True)
    browser.wait("document.getElementById('prompt').value === 'a red fox'")
    assert browser.run("document.querySelector('[name=length]:checked').value") == "short"
    browser.press("z", control=True)  # all that was typed; the option stays
    browser.press("z", control=True)
    assert browser.run("document.querySelector('[name=length]:checked').value") == "short"


@pytest.mark.slow
def test_control_z_in_a_field_undoes_what_was_typed_in_that_field(
    address: str, open_page: Callable[[str], Browser]
) -> None:
    browser = open_page(address)
    focused = "document.activeElement.id"
    values = "[document.getElementById('prompt').value, document.getElementById('include').value]"
    ask(browser, "a red fox")
    browser.press("End")
    for letter in " at sea":
        browser.press(letter)
    unfold(browser)
    browser.click("#include")
    browser.type("owls")
    browser.click("#prompt")
    undone = [(" at", "owls"), ("", "owls")]  # word by word
    for rest, include in undone:
        browser.press("z", control=True)
        assert browser.run(values) == [f"a red fox{rest}", include]
        assert browser.run(focused) == "prompt"
    browser.press("z", control=True, shift=True)
    assert browser.run(values) == ["a red fox at", "owls"]
    browser.press("y", control=True)
    assert browser.run(values) == ["a red fox at sea", "owls"]
    text = "document.querySelector('.text').textContent"
    browser.wait(f"{text}.startsWith('a red fox at sea') && {READY}")

    browser.click("#include")
    browser.press("z", control=True)
    assert browser.run(values) == ["a red fox at sea", ""] and browser.run(focused) == "include"
    browser.press("z", control=True)  # nothing more was typed here
    assert browser.run(values) == ["a red fox at sea", ""]
    browser.press("z", control=True, shift=True)
    assert browser.run(values) == ["a red fox at sea", "owls"]

    # What the page sets itself is left to its own Undo; what the browser's menu undoes is no other.
    browser.run("document.getElementById('reset').click()")
    browser.press("z", control=True)
    assert browser.run(values) == ["a red fox at sea", ""]
    browser.click("#prompt")
    browser.call("Input.dispatchKeyEvent", type="rawKeyDown", key="Undo", commands=["undo"])
    assert browser.run(values) == ["a red fox at", ""] and browser.run(focused) == "prompt"
    blameless(browser, address)
