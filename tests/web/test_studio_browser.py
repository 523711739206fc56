"""The studio in a real browser, against the real command: prompts, options, and what is kept."""

import json
from collections.abc import Callable

import pytest

from promptlift import Improver
from tests.browser import CHROMIUM, Browser, violations
from tests.web.studio_page import (
    OUTSIDE,
    READY,
    ask,
    blameless,
    chosen,
    clipboard,
    pick,
    shown,
    text_of,
    unfold,
)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")


def test_a_prompt_is_improved_edited_copied_and_found_again(
    address: str, open_page: Callable[[str], Browser]
) -> None:
    browser = open_page(address)
    ask(browser, "a lighthouse at night")
    seed = int(browser.run("document.getElementById('seed').value"))
    expected = Improver.load().improve("a lighthouse at night", n=3, seed=seed)
    assert shown(browser) == [result.prompt for result in expected]
    first = expected[0]
    assert text_of(browser, ".tokens") == f"{first.clip_tokens} of 75 CLIP tokens"
    assert text_of(browser, ".why b") == first.additions[0]

    browser.click(".chip")
    less = "a lighthouse at night, " + ", ".join(first.additions[1:])
    browser.wait(
        f"!document.querySelector('.tokens').textContent.startsWith('{first.clip_tokens} ')"
    )
    browser.click("[data-copy=plain]")
    browser.wait("document.querySelector('[data-copy=plain]').textContent === 'Copied'")
    assert clipboard(browser, address) == less
    browser.click("[data-copy=a1111]")
    browser.wait("document.querySelector('[data-copy=a1111]').textContent === 'Copied'")
    assert clipboard(browser, address).startswith(f"{less}\nSeed: {first.seed}, ")

    browser.visit(address)  # as it was left
    browser.wait(f"document.querySelector('article') && {READY}")
    assert shown(browser) == [result.prompt for result in expected]
    assert browser.run("document.querySelector('.chip').getAttribute('aria-pressed')") == "false"
    browser.click("[data-copy=plain]")
    browser.wait("document.querySelector('[data-copy=plain]').textContent === 'Copied'")
    assert clipboard(browser, address) == less

    browser.click("#show-history")
    assert text_of(browser, "#entries b") == "a lighthouse at night"
    blameless(browser, address)


@pytest.mark.slow
def test_options_steps_and_history(address: str, open_page: Callable[[str], Browser]) -> None:
    browser = open_page(address)
    ask(browser, "a red fox")
    unfold(browser)
    seed = browser.run("document.getElementById('seed').value")
    before = shown(browser)
    browser.click("[name=length][value=long]")
    browser.wait(f"{OUTSIDE}.join('|') !== {json.dumps('|'.join(before))} && {READY}")
    assert browser.run("document.getElementById('seed').value") == seed
    long = [
        r.prompt for r in Improver.load().improve("a red fox", n=3, seed=int(seed), length="long")
    ]
    assert shown(browser) == long
    browser.click("#undo")
    browser.wait(f"{OUTSIDE}.join() === {json.dumps(','.join(before))} && {READY}")
    browser.click("#redo")
    browser.wait(f"{OUTSIDE}.join() === {json.dumps(','.join(long))} && {READY}")
    browser.click(".chip")
    browser.wait("document.querySelector('.chip').getAttribute('aria-pressed') === 'false'")
    browser.click("#undo")
    browser.wait("document.querySelector('.chip').getAttribute('aria-pressed') === 'true'")

    browser.click("#lock")
    ask(browser, "a blue whale")
    assert browser.run("document.getElementById('seed').value") == seed
    browser.click("#lock")
    ask(browser, "a green parrot")
    assert browser.run("document.getElementById('seed').value") != seed
    browser.click("#dice")
    browser.wait(f"document.getElementById('seed').value !== '{seed}' && {READY}")

    browser.click("#show-history")
    entries = "[...document.querySelectorAll('#entries b')].map((one) => one.textContent)"
    assert {"a red fox", "a blue whale", "a green parrot"} >= set(browser.run(entries))
    browser.click("#search")
    browser.type("parrot green")
    assert set(browser.run(entries)) == {"a green parrot"}
    browser.click(".forget")
    browser.click("#bring-back")
    assert "a green parrot" in browser.run(entries)
    blameless(browser, address)


@pytest.mark.slow
def test_the_keyboard_alone_will_do(address: str, open_page: Callable[[str], Browser]) -> None:
    browser = open_page(address)
    browser.type("old castle")  # the prompt has the focus from the start
    browser.wait(f"document.querySelector('article') && {READY}")
    focused = "document.activeElement"

    def reach(what: str, *, back: bool = False) -> None:
        for _ in range(60):
            browser.press("Tab", shift=back)
            if browser.run(f"{focused}.matches({what!r})"):
                return
        raise AssertionError(f"Tab does not lead to {what}")

    def press_down(name: str) -> None:
        browser.press("Enter")
        browser.wait(f"{focused}.getAttribute('aria-pressed') === 'true'")
        assert browser.run(f"{focused}.matches({name!r})")

    reach("#picture_model")
    assert browser.run(f"{focused}.labels[0].textContent") == "Picture model"
    browser.press("ArrowRight")
    assert chosen(browser, "picture_model") == "Stable Diffusion 1.5"
    browser.wait(f"document.querySelector('article') && {READY}")
    reach("[data-style=watercolor]")
    press_down("[data-style=watercolor]")
    watercolor = "document.querySelector('.text')?.textContent.includes('castle, watercolor')"
    browser.wait(f"{watercolor} && {READY}")
    reach(".star")
    press_down(".star")
    reach(".chip")
    chip = browser.run(f"{focused}.textContent")
    assert chip in text_of(browser, "article .text")
    described = f"document.getElementById({focused}.getAttribute('aria-describedby'))"
    assert browser.run(f"{described}.textContent.length > 3")
    browser.press("Enter")
    browser.wait(f"{focused}.getAttribute('aria-pressed') === 'false'")
    browser.press("z", control=True)
    browser.wait(f"{focused}.getAttribute('aria-pressed') === 'true'")
    reach("article summary")
    browser.press("Enter")
    reach("[data-pin]")
    press_down("[data-pin]")
    assert text_of(browser, "#set").endswith("pins")
    for kind in ("plain", "a1111", "comfyui"):
        reach(f"[data-copy={kind}]")
        browser.press("Enter")
        browser.wait(f"{focused}.textContent === 'Copied'")

    reach("[data-draw]")
    browser.press("Enter")
    browser.wait("document.querySelector('.strength')?.hidden === false")
    reach(".large")
    browser.press("Enter")
    browser.wait("document.getElementById('large').open")
    reach("[name=view]")
    browser.press("ArrowRight")
    reach("#line")
    browser.press("ArrowRight")
    assert browser.run(f"{focused}.ariaValueText") == "51% left, 49% right"
    browser.press("Escape")
    browser.wait(f"{focused}.matches('.large')")
    reach(".strength input")
    browser.press("ArrowLeft")
    browser.wait("document.querySelectorAll('.pictures img').length === 2 && "
                 "document.querySelector('.strength span').textContent === '90%'")  # fmt: skip

    before = shown(browser)
    browser.press("Enter", control=True)
    browser.wait(f"{OUTSIDE}.join('|') !== {json.dumps('|'.join(before))} && {READY}")
    reach("#show-history", back=True)
    browser.press("Enter")
    reach("#favourites")
    browser.press(" ")
    assert text_of(browser, "#entries b") == "old castle ★"
    reach("#entries button")
    browser.press("Enter")
    browser.wait(f"{OUTSIDE}.join('|') === {json.dumps('|'.join(before))} && {READY}")
    assert browser.run("document.querySelector('.star').ariaPressed") == "true"
    blameless(browser, address)


@pytest.mark.slow
def test_offline_it_says_so_keeps_the_text_and_goes_on(
    address: str, open_page: Callable[[str], Browser]
) -> None:
    browser = open_page(address)
    ask(browser, "two dogs playing chess")
    browser.offline(True)
    browser.click("#prompt")
    browser.press("End")
    browser.type(" in the park")
    browser.wait("!document.getElementById('problem').hidden")
    assert "Your text is kept. Trying again" in text_of(browser, "#problem")
    assert len(shown(browser)) == 3  # the last results stay
    last = browser.run("document.querySelector('.text > span:last-of-type .chip').textContent")
    whole = shown(browser)[0]
    browser.run("document.querySelector('.text > span:last-of-type .chip').click()")
    browser.click("[data-copy=plain]")
    browser.wait("document.querySelector('[data-copy=plain]').textContent === 'Copied'")
    assert clipboard(browser, address) == whole.removesuffix(f", {last}") != whole
    browser.run("document.querySelector('.text > span:last-of-type .chip').click()")
    browser.click("#show-history")
    assert text_of(browser, "#entries b") == "two dogs playing chess"
    browser.click("#history .shut")
    browser.offline(False)
    browser.wait(
        "document.querySelector('article .text').textContent"
        f".startsWith('two dogs playing chess in the park') && {READY}"
    )
    assert browser.run("document.getElementById('problem').hidden")


@pytest.mark.slow
def test_what_was_set_stays_as_it_was_set(
    address: str, open_page: Callable[[str], Browser]
) -> None:
    browser = open_page(address)
    ask(browser, "a lighthouse")
    unfold(browser)
    browser.run("document.getElementById('seed').select()")
    browser.click("#seed")
    browser.press("a", control=True)
    browser.run("document.getElementById('seed').select()")
    browser.type("7")
    browser.wait("document.getElementById('lock').ariaPressed === 'true'")
    ask(browser, "a lighthouse at night")
    assert browser.run("document.getElementById('seed').value") == "7"

    x, y = browser._middle(".chip")
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    line = "getComputedStyle(document.querySelector('.chip')).textDecorationLine"
    assert browser.run(line) == "none"  # pointing at it takes nothing out
    browser.click(".chip")
    assert browser.run(line) == "line-through"  # it is out, and looks so under the pointer
    browser.wait(READY)
    three = shown(browser)
    browser.run("document.getElementById('n').value = '4';"
                "document.getElementById('n').dispatchEvent(new Event('change'))")  # fmt: skip
    browser.wait(f"document.querySelectorAll('article').length === 4 && {READY}")
    assert shown(browser)[:3] == three
    assert browser.run("document.querySelector('.chip').ariaPressed") == "false"

    browser.offline(True)
    browser.click("article:nth-child(2) [data-copy=plain]")
    browser.wait("document.querySelector('article:nth-child(2) [data-copy]').textContent"
                 " === 'Copied'")  # fmt: skip
    assert clipboard(browser, address) == three[1]


@pytest.mark.slow
def test_what_is_copied_is_what_is_shown(address: str, open_page: Callable[[str], Browser]) -> None:
    browser = open_page(address)
    ask(browser, "an old harbour")
    browser.run(
        "document.querySelectorAll('.chip')[1].click();"
        "document.querySelector('[data-copy=plain]').click()"
    )
    browser.wait("document.querySelector('[data-copy=plain]').textContent === 'Copied'")
    second = browser.run("document.querySelectorAll('.chip')[1].textContent")
    assert second not in clipboard(browser, address).removeprefix("an old harbour").split(", ")
    browser.offline(True)
    browser.click(".chip")
    browser.click("[data-copy=a1111]")
    browser.wait("!document.getElementById('problem').hidden")
    browser.offline(False)
    browser.click("[data-copy=a1111]")
    browser.wait("document.querySelector('[data-copy=a1111]').textContent === 'Copied'")
    first = browser.run("document.querySelector('.chip').textContent")
    assert f", {first}," not in clipboard(browser, address).split("promptlift")[0]


@pytest.mark.slow
def test_a_prompt_is_improved_all_the_same_and_stays_so(
    address: str, open_page: Callable[[str], Browser]
) -> None:
    browser = open_page(address)
    ask(browser, "ein kleines Haus am Meer mit einem roten Dach")
    assert "left alone: it looks like" in text_of(browser, ".notes")
    browser.click(".notes button")
    browser.wait(f"document.querySelector('.chip') && {READY}")
    found = shown(browser)
    browser.visit(address)
    browser.wait(f"document.querySelector('.chip') && {READY}")
    assert shown(browser) == found
    unfold(browser)
    browser.click("#seed")
    browser.type("x")
    browser.wait("!document.getElementById('problem').hidden")
    assert "must be a whole number" in text_of(browser, "#problem") and shown(browser) == found
    browser.press("z", control=True)
    browser.wait("document.getElementById('problem').hidden")
    browser.click("#avoid")
    browser.type("mist, " + "a" * 201)
    browser.wait("!document.getElementById('problem').hidden")
    assert text_of(browser, "#problem") == "Never add: a phrase may have 200 characters."
    assert browser.run("document.getElementById('avoid').ariaInvalid") == "true"
    assert shown(browser) == found
    browser.press("z", control=True)
    browser.wait("document.getElementById('problem').hidden")
    assert browser.run("document.getElementById('avoid').ariaInvalid") == "false"
    browser.click("#prompt")
    browser.type("a " * 8000)  # longer than the server takes
    browser.wait("!document.getElementById('problem').hidden")
    assert "characters" in text_of(browser, "#problem") and shown(browser) == found


@pytest.mark.slow
def test_markup_in_a_prompt_stays_text(address: str, open_page: Callable[[str], Browser]) -> None:
    browser = open_page(address)
    ask(browser, "<img src=x onerror=alert(1)><script>document.title='x'</script> cat")
    added = "document.querySelectorAll('main img:not(.styles img), main script').length"
    assert browser.run(added) == 0
    assert browser.run("document.title") == "promptlift studio"
    browser.click("#show-history")
    assert browser.run("document.querySelectorAll('#history img').length") == 0
    blameless(browser, address)


@pytest.mark.slow
@pytest.mark.parametrize("look", ["light", "dark", "phone"])
def test_a_check_of_accessibility_finds_nothing(
    address: str, open_page: Callable[[str], Browser], look: str
) -> None:
    browser = open_page(address)
    width = 360 if look == "phone" else 1280
    if look != "light":
        browser.resize(width, 800, dark=look == "dark", phone=look == "phone")
    assert violations(browser) == []
    ask(browser, "a cat in armor")
    browser.click("#to-options")
    browser.click("article summary")
    browser.click("[data-draw]")
    browser.wait("document.querySelector('.strength')?.hidden === false")
    browser.click(".chip")
    browser.wait("document.querySelector('.stale')?.hidden === false")
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert violations(browser) == []
    pick(browser, "picture_model", "Ideogram 4")
    browser.wait(f"document.querySelector('.text.json .chip') && {READY}")
    assert browser.run("document.documentElement.scrollWidth") <= width
    assert violations(browser) == []
    browser.click("#show-history")
    assert violations(browser) == []
    browser.click("#history .shut")
    browser.click("#shelf .large")
    browser.wait("document.getElementById('large').open")
    browser.click("[name=view][value=over]")
    assert violations(browser) == []
