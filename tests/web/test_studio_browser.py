"""The studio in a real browser, against the real command and the bundled model."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from axe_core_python.base import AXE_FILE_PATH

from promptlift import Improver
from promptlift.improving.receipts import receipt_text
from promptlift.png_text import read_png_text, write_png_text
from promptlift.prompts.picture_models.table import NAMES
from promptlift.records import Improvement
from tests.browser import CHROMIUM, Browser
from tests.conftest import POCKET, with_forms
from tests.illustrating.servers.conftest import WORKFLOW
from tests.illustrating.servers.hosts import FakeComfyUI
from tests.illustrating.servers.hosts import serving as drawing
from tests.llm.server import Reply, answer, dripping, serving
from tests.web.studio_process import Studio

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
TOKEN = "a-token-of-some-length"
OUTSIDE = "[...document.querySelectorAll('article .text')].map((one) => one.textContent)"
READY = (
    "document.getElementById('results').getAttribute('aria-busy') === 'false' && "
    "document.querySelectorAll('.why').length > 0 && "
    "[...document.querySelectorAll('article')].every((one) => "
    "!one.querySelector('.chip') || one.querySelector('.why li'))"
)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    studio = Studio()
    yield studio.address
    studio.kill()


@pytest.fixture
def open_page(tmp_path: Path) -> Iterator[Callable[[str], Browser]]:
    opened: list[Browser] = []

    def visit(address: str) -> Browser:
        browser = Browser(tmp_path / f"profile{len(opened)}")
        opened.append(browser)
        browser.visit(address)
        return browser

    yield visit
    for browser in opened:
        browser.close()


def ask(browser: Browser, prompt: str) -> None:
    """Type a prompt in place of what is there, and wait for all that follows."""
    browser.click("#prompt")
    browser.press("a", control=True)
    browser.run("document.getElementById('prompt').select()")
    browser.type(prompt)
    start = json.dumps(prompt)
    browser.wait(
        f"document.querySelector('article .text')?.textContent.startsWith({start}) && {READY}"
    )


def text_of(browser: Browser, element: str) -> str:
    return str(browser.run(f"document.querySelector({element!r}).textContent"))


def shown(browser: Browser) -> list[str]:
    """The prompts as they stand in the cards, removed additions and all."""
    found: list[str] = browser.run(OUTSIDE)
    return found


def blameless(browser: Browser, address: str) -> None:
    """Nothing was asked of another host, and the browser complained of nothing."""
    own = (address, f"blob:{address}", "about:", "data:")
    assert all(url.startswith(own) for url in browser.requested)
    assert browser.complaints == []


def clipboard(browser: Browser, address: str) -> str:
    browser.call("Browser.setPermission", origin=address, setting="granted",
                 permission={"name": "clipboard-read"})  # fmt: skip
    return str(browser.run("navigator.clipboard.readText()"))


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
    seed = browser.run("document.getElementById('seed').value")
    before = shown(browser)
    browser.click("[name=length][value=short]")
    browser.wait(f"JSON.stringify({OUTSIDE}) !== {json.dumps(json.dumps(before))} && {READY}")
    assert browser.run("document.getElementById('seed').value") == seed
    short = [
        r.prompt for r in Improver.load().improve("a red fox", n=3, seed=int(seed), length="short")
    ]
    assert shown(browser) == short
    browser.click("#undo")
    browser.wait(f"{OUTSIDE}.join() === {json.dumps(','.join(before))} && {READY}")
    browser.click("#redo")
    browser.wait(f"{OUTSIDE}.join() === {json.dumps(','.join(short))} && {READY}")
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

    def reach(what: str) -> None:
        for _ in range(40):
            browser.press("Tab")
            if browser.run(f"{focused}.matches({what!r})"):
                return

    reach("#picture_model")
    assert browser.run(f"{focused}.labels[0].textContent") == "Picture model"
    browser.press("ArrowRight")
    assert chosen(browser, "picture_model") == "Stable Diffusion 1.5"
    browser.wait(f"document.querySelector('article') && {READY}")
    reach(".chip")
    chip = browser.run(f"{focused}.textContent")
    assert chip in text_of(browser, "article .text")
    described = f"document.getElementById({focused}.getAttribute('aria-describedby'))"
    assert browser.run(f"{described}.textContent.length > 3")
    browser.press("Enter")
    browser.wait(f"{focused}.getAttribute('aria-pressed') === 'false'")
    browser.press("z", control=True)
    browser.wait(f"{focused}.getAttribute('aria-pressed') === 'true'")
    before = shown(browser)
    browser.press("Enter", control=True)
    browser.wait(f"JSON.stringify({OUTSIDE}) !== {json.dumps(json.dumps(before))} && {READY}")
    blameless(browser, address)


def picture(path: Path, receipt: Improvement | None, **texts: str) -> Path:
    from PIL import Image

    Image.effect_noise((600, 600), 90).save(path)
    own = {} if receipt is None else {"promptlift": receipt_text(receipt)}
    write_png_text(path, {**texts, **own})
    return path


def with_comment(path: Path, comment: str | None) -> Path:
    """A JPEG or WebP, with a user comment as A1111 writes it."""
    from PIL import Image

    exif = Image.Exif()
    if comment is not None:
        exif[0x8769] = {0x9286: b"UNICODE\0" + comment.encode("utf-16-be")}
    Image.effect_noise((600, 600), 90).save(path, exif=exif if comment else b"")
    return path


@pytest.mark.slow
def test_a_dropped_picture_tells_its_prompt_and_is_made_again(
    address: str, open_page: Callable[[str], Browser], tmp_path: Path
) -> None:
    browser = open_page(address)
    [_, receipt] = Improver.load().improve("bowl of fruit", n=2, seed=5, styles=0.5, length="short")
    browser.drop(picture(tmp_path / "made.png", receipt), "main")
    browser.wait("document.getElementById('found').open")
    assert receipt.prompt in text_of(browser, "#facts") and "5, 2" in text_of(browser, "#facts")
    browser.click("#again")
    browser.wait(f"document.querySelectorAll('article').length === 2 && {READY}")
    assert shown(browser)[1] == receipt.prompt
    assert browser.run("document.getElementById('problem').hidden")

    [hot] = Improver.load().improve("bowl of fruit", seed=5, temperature=3.0)
    browser.drop(picture(tmp_path / "hot.png", hot), "main")
    browser.wait("document.getElementById('found').open")
    browser.click("#again")
    browser.wait("!document.getElementById('problem').hidden")
    assert "It came out otherwise" in text_of(browser, "#problem")
    assert hot.prompt in text_of(browser, "#problem")

    other = "a dog\nNegative prompt: blur\nSteps: 20, Sampler: Euler a, Seed: 5, Size: 64x64"
    browser.drop(picture(tmp_path / "other.png", None, parameters=other), "main")
    browser.wait("document.getElementById('found').open")
    assert "Euler a" in text_of(browser, "#facts")
    browser.click("#use")
    browser.wait(
        f"document.querySelector('article .text').textContent.startsWith('a dog') && {READY}"
    )
    assert browser.run("document.getElementById('negative').value") == "blur"

    for name in ("other.jpg", "other.webp"):
        browser.drop(with_comment(tmp_path / name, other.replace("a dog", "a 猫")), "main")
        browser.wait("document.getElementById('found').open")
        assert "a 猫" in text_of(browser, "#facts") and "A1111" in text_of(browser, "#facts")
        browser.click("#found .shut")
    for name in ("bare.jpg", "bare.webp"):
        browser.drop(with_comment(tmp_path / name, None), "main")
        line = json.dumps(f"{name} carries no prompt: it has no EXIF.")
        browser.wait(f"document.getElementById('problem').textContent.includes({line})")

    broken = tmp_path / "broken.png"
    broken.write_bytes((tmp_path / "made.png").read_bytes()[:2000])
    browser.drop(broken, "main")
    browser.wait("document.getElementById('problem').textContent.includes('damaged or cut off')")
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
def test_both_prompts_are_drawn_from_the_same_noise_with_progress_and_cancel(
    address: str, open_page: Callable[[str], Browser], tmp_path: Path
) -> None:
    browser = open_page(address)
    ask(browser, "red star")
    browser.click("[data-draw]")
    browser.wait("document.querySelector('progress').value > 0")
    assert "coloured shapes" in text_of(browser, ".notice")
    browser.wait("document.querySelectorAll('figure').length === 2")
    browser.wait("document.querySelector('.progress').hidden")
    [saved] = [url for url in set(browser.requested) if url.endswith("/pictures/1")]
    file = tmp_path / "saved.png"
    file.write_bytes(urlopen(saved).read())
    drawn = json.loads(read_png_text(file)["promptlift"])
    assert drawn["source"] == "red star" and drawn["prompt"] == shown(browser)[0]
    assert drawn["drawing"]["seed"] == int(browser.run("document.getElementById('seed').value"))

    browser.click(".chip")
    browser.wait("!document.querySelector('.stale').hidden")
    browser.click("[data-draw]")
    browser.wait("!document.querySelector('.progress').hidden")
    assert browser.run("document.querySelector('.stale').hidden")
    browser.click("[data-cancel]")
    browser.wait("document.querySelector('.notice').textContent === 'Cancelled.'")
    blameless(browser, address)


SLIDER = "document.querySelector('.strength input')"
PROGRESS = "document.querySelector('.progress')"


def asked_to_draw(browser: Browser) -> int:
    """How many jobs the page has begun."""
    return sum(url.endswith("/v1/illustrate") for url in browser.requested)


def drawn(browser: Browser, percent: int) -> None:
    """Wait until the picture of a place on the way stands there, and nothing is drawn any more."""
    caption = "document.querySelectorAll('figcaption span')[1].textContent"
    browser.wait(f"{caption} === '{percent}% of the way' && {PROGRESS}.hidden")


def slide(browser: Browser, percent: int) -> None:
    """Let the slider go at a place, as a drag does."""
    browser.run(
        f"{SLIDER}.value = {percent}; ['input', 'change'].forEach((name) => "
        f"{SLIDER}.dispatchEvent(new Event(name, {{ bubbles: true }})))"
    )


def sources(browser: Browser) -> list[str]:
    found: list[str] = browser.run("[...document.querySelectorAll('figure img')].map((i) => i.src)")
    return found


@pytest.mark.slow
def test_a_slider_draws_how_much_of_the_improvement_is_wanted(
    address: str, open_page: Callable[[str], Browser], tmp_path: Path
) -> None:
    browser = open_page(address)
    ask(browser, "red star")
    browser.click("[data-draw]")
    browser.wait("!document.querySelector('.strength').hidden")
    assert asked_to_draw(browser) == 1
    own, improved = sources(browser)
    browser.run(f"{SLIDER}.focus()")
    for _ in range(3):
        browser.press("ArrowLeft")
    assert browser.run(f"{SLIDER}.getAttribute('aria-valuetext')") == "70% of the way"
    drawn(browser, 70)
    assert sources(browser)[0] == own and sources(browser)[1] not in (own, improved)
    file = tmp_path / "saved.png"
    job = [url for url in browser.requested if url.endswith("/pictures/0")][-1]
    file.write_bytes(urlopen(job).read())
    texts = read_png_text(file)
    assert json.loads(texts["promptlift"])["settings"]["steered"]["share"] == 0.7
    assert "70% of the way to these words" in texts["parameters"]
    saved = "document.querySelectorAll('figure a')[1]"
    seed = browser.run("document.getElementById('seed').value")
    assert browser.run(f"{saved}.download") == f"promptlift-{seed}-70-percent.png"
    assert browser.run(f"{saved}.href === document.querySelectorAll('figure img')[1].src")

    before = asked_to_draw(browser)  # what is there already is not drawn again
    browser.press("End")
    assert sources(browser) == [own, improved]
    slide(browser, 0)
    assert sources(browser) == [own, own]
    slide(browser, 70)
    drawn(browser, 70)
    assert asked_to_draw(browser) == before

    slide(browser, 30)  # and what nobody wants any more is not drawn to its end
    browser.wait(f"!{PROGRESS}.hidden && document.querySelector('progress').value > 0")
    job = [url for url in browser.requested if "/v1/illustrate/" in url][-1]
    slide(browser, 70)
    assert browser.run(f"{PROGRESS}.hidden")
    browser.settle()
    with pytest.raises(HTTPError, match="404"):
        urlopen(job)
    drawn(browser, 70)
    slide(browser, 20)
    browser.wait(f"!{PROGRESS}.hidden")
    browser.click("[data-cancel]")
    browser.wait("document.querySelector('.notice').textContent === 'Cancelled.'")
    assert browser.run(f"{SLIDER}.value") == "70"

    browser.click(".chip")
    browser.wait("!document.querySelector('.stale').hidden")
    browser.click(".chip")  # it may be the only one, without which there is no way to go
    browser.wait("document.querySelector('.stale').hidden")
    browser.click("[data-draw]")
    browser.wait("document.querySelector('.strength').hidden")
    browser.wait("!document.querySelector('.strength').hidden")
    assert browser.run(f"{SLIDER}.value") == "100" and len(sources(browser)) == 2
    assert not {own, improved} & {*sources(browser)}
    browser.resize(390, 844, phone=True)
    browser.tap(".strength input")
    drawn(browser, 50)
    assert browser.run("document.documentElement.scrollWidth <= innerWidth")
    blameless(browser, address)
    browser.offline(True)
    slide(browser, 10)
    browser.wait("document.querySelector('.notice').textContent.includes('does not answer')")
    assert browser.run(f"{SLIDER}.value") == "50"
    browser.offline(False)


@pytest.mark.slow
def test_where_a_server_draws_there_is_no_slider(
    open_page: Callable[[str], Browser], tmp_path: Path
) -> None:
    workflow = tmp_path / "workflow.json"
    workflow.write_text(json.dumps(WORKFLOW))
    fake = FakeComfyUI()
    with drawing(fake):
        studio = Studio("--backend", "comfyui", "--url", fake.url, "--workflow", str(workflow))
        try:
            browser = open_page(studio.address)
            ask(browser, "red star")
            browser.click("[data-draw]")
            browser.wait(f"document.querySelectorAll('figure').length === 2 && {PROGRESS}.hidden")
            assert browser.run("document.querySelector('.strength').hidden")
            blameless(browser, studio.address)
        finally:
            studio.kill()


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
def test_what_was_set_stays_as_it_was_set(
    address: str, open_page: Callable[[str], Browser]
) -> None:
    browser = open_page(address)
    ask(browser, "a lighthouse")
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
    browser.click("#seed")
    browser.type("x")
    browser.wait("!document.getElementById('problem').hidden")
    assert "must be a whole number" in text_of(browser, "#problem") and shown(browser) == found


@pytest.mark.slow
def test_markup_in_a_prompt_stays_text(address: str, open_page: Callable[[str], Browser]) -> None:
    browser = open_page(address)
    ask(browser, "<img src=x onerror=alert(1)><script>document.title='x'</script> cat")
    assert browser.run("document.querySelectorAll('main img, main script').length") == 0
    assert browser.run("document.title") == "promptlift studio"
    browser.click("#show-history")
    assert browser.run("document.querySelectorAll('dialog img').length") == 0
    blameless(browser, address)


@pytest.mark.slow
def test_a_model_with_two_forms_offers_both(
    address: str, open_page: Callable[[str], Browser], tmp_path: Path
) -> None:
    one = open_page(address)
    ask(one, "a cat")
    assert one.run("document.getElementById('form').parentElement.hidden") is True
    studio = Studio("--model", str(with_forms(POCKET, tmp_path / "model")))
    try:
        browser = open_page(studio.address)
        browser.wait("!document.getElementById('form').parentElement.hidden")
        browser.run("document.querySelector('details').open = true")
        browser.run(
            "document.getElementById('form').value = 'paragraph';"
            "document.getElementById('form').dispatchEvent(new Event('change'))"
        )
        ask(browser, "a lighthouse at night")
        assert "of 75" not in text_of(browser, ".tokens")
        assert browser.run("document.querySelector('.meter').hidden") is True
        before = text_of(browser, "article .text")
        if browser.run("document.querySelector('.chip')") is not None:
            browser.click(".chip")
        assert text_of(browser, "article .text") == before
        blameless(browser, studio.address)
    finally:
        studio.kill()


def pick(browser: Browser, menu: str, value: str) -> None:
    """Choose an option by its text, and wait for all that follows."""
    browser.run(
        f"(() => {{ const menu = document.getElementById({menu!r});"
        f"[...menu.options].find((one) => one.textContent === {value!r}).selected = true;"
        "menu.dispatchEvent(new Event('change')) })()"
    )
    browser.settle()


def chosen(browser: Browser, menu: str) -> str:
    return str(browser.run(f"document.getElementById({menu!r}).selectedOptions[0].textContent"))


def is_hidden(browser: Browser, field: str) -> bool:
    return bool(browser.run(f"document.getElementById({field!r}).parentElement.hidden"))


def test_the_picture_model_sets_form_limit_and_quality_tags(
    address: str, open_page: Callable[[str], Browser]
) -> None:
    browser = open_page(address)
    ask(browser, "a lighthouse at night")
    assert browser.run("document.getElementById('picture_model').options.length") == len(NAMES)
    assert chosen(browser, "picture_model") == "Stable Diffusion XL"
    assert is_hidden(browser, "form")
    seed = int(browser.run("document.getElementById('seed').value"))

    def expect(name: str) -> Improvement:
        browser.wait(READY)
        [*results] = Improver.load().improve(
            "a lighthouse at night", n=3, seed=seed, picture_model=name
        )
        browser.click("[data-copy=plain]")
        browser.wait("document.querySelector('[data-copy=plain]').textContent === 'Copied'")
        assert clipboard(browser, address) == results[0].prompt
        return results[0]

    pick(browser, "picture_model", "Pony Diffusion V6 XL")
    made = expect("pony")
    assert text_of(browser, "article .text") == made.prompt
    assert made.prompt.startswith("score_9, score_8_up, score_7_up, a lighthouse at night, ")
    count = made.checks["encoder_tokens"]
    assert text_of(browser, ".tokens") == f"{count} of 75 CLIP tokens"
    chips = "[...document.querySelector('article').querySelectorAll('.chip')].length"
    assert browser.run(chips) == len(made.additions)

    pick(browser, "picture_model", "FLUX.1")
    made = expect("flux")
    count = made.checks["encoder_tokens"]
    assert text_of(browser, ".tokens") == f"about {count} of 511 T5 tokens"
    assert is_hidden(browser, "chunks") and is_hidden(browser, "form")
    assert "FLUX.1 reads paragraphs best" in text_of(browser, ".notes")

    pick(browser, "picture_model", "Ideogram 4")
    made = expect("ideogram4")
    assert chosen(browser, "form") == "JSON" and not is_hidden(browser, "form")
    text = text_of(browser, "article .text")
    assert len(text.splitlines()) > 8 and json.loads(text) == json.loads(made.prompt)
    assert browser.run(chips) == len(made.additions)
    out = text_of(browser, ".chip")
    browser.click(".chip")
    browser.settle()
    browser.wait("document.querySelector('[data-copy=plain]').textContent === 'Copy'")
    browser.click("[data-copy=plain]")
    browser.wait("document.querySelector('[data-copy=plain]').textContent === 'Copied'")
    assert made.prompt.count(out) == 1 + clipboard(browser, address).count(out)
    assert (
        text_of(browser, ".tokens") != f"about {made.checks['encoder_tokens']} of 2040 Qwen tokens"
    )

    browser.visit(address)  # as it was left
    browser.wait(f"document.querySelector('article') && {READY}")
    assert chosen(browser, "picture_model") == "Ideogram 4"
    assert json.loads(text_of(browser, "article .text")) == json.loads(made.prompt)
    pick(browser, "picture_model", "Stable Diffusion XL")
    browser.wait(READY)
    assert text_of(browser, ".tokens").endswith(" of 75 CLIP tokens")
    browser.click("#undo")
    browser.wait("document.querySelector('.text.json') !== null")
    assert chosen(browser, "picture_model") == "Ideogram 4"
    blameless(browser, address)


@pytest.mark.slow
def test_what_is_done_before_the_models_are_known_stays(
    open_page: Callable[[str], Browser], tmp_path: Path
) -> None:
    with serving() as server:
        server.respond = lambda prompt: answer(json.dumps({"additions": ["soft light"]}))
        server.listing = dripping(Reply({"data": [{"id": "large"}]}), 0.05)  # for a second
        studio = Studio("--llm-url", server.url, "--model", "tiny", "--no-llm-cache")
        try:
            browser = open_page(studio.address)
            browser.run(
                "document.getElementById('seed').value = '7';"
                "document.getElementById('lock').click()"
            )
            browser.type("a cat")
            assert browser.run("document.getElementById('writer').options.length") == 0
            browser.wait(f"document.querySelector('article') && {READY}")
            assert chosen(browser, "writer") == "tiny" and not is_hidden(browser, "writer")
            assert browser.run("document.getElementById('seed').value") == "7"
            assert shown(browser)[0] == "a cat, soft light"
            browser.visit(studio.address)
            browser.type("n old fox")  # where the cursor is: after or before what was there
            typed = browser.run("document.getElementById('prompt').value")
            browser.wait(f"document.querySelector('article') && {READY}")
            assert browser.run("document.getElementById('prompt').value") == typed
            assert browser.run("document.getElementById('seed').value") == "7"
        finally:
            studio.kill()


def test_what_is_remembered_and_no_longer_there_falls_back(
    address: str, open_page: Callable[[str], Browser]
) -> None:
    browser = open_page(address)
    ask(browser, "a red fox")
    for state in (
        {"picture_model": "none-such", "writer": "gone@123", "form": "verse", "mode": "sing"},
        {"form": "tags"},  # of a page without these menus
    ):
        before = browser.run("JSON.parse(localStorage.getItem('promptlift.state'))")
        before = {k: v for k, v in before.items() if k not in ("picture_model", "writer")}
        kept = json.dumps(json.dumps({**before, **state}))
        browser.run("window.addEventListener('pagehide', (event) => "
                    "event.stopImmediatePropagation(), true)")  # fmt: skip
        browser.run(f"sessionStorage.clear(); localStorage.setItem('promptlift.state', {kept})")
        browser.call("Page.navigate", url="about:blank")
        browser.visit(address)
        browser.wait(f"document.querySelector('article') && {READY}")
        assert chosen(browser, "picture_model") == "Stable Diffusion XL"
        assert browser.run("document.getElementById('problem').hidden")
        assert shown(browser)[0].startswith("a red fox, ")
    blameless(browser, address)


@pytest.mark.slow
def test_a_writer_is_chosen_remembered_and_may_go(
    open_page: Callable[[str], Browser], tmp_path: Path
) -> None:
    tags = json.dumps({"additions": ["soft light", "long exposure", "wet rocks"]})
    prose = json.dumps({"additions": "Its beam sweeps across a calm sea. The rocks are wet."})
    with serving() as server:
        server.names = ["tiny", "large", "brief"]

        def respond(prompt: str) -> Reply:
            form = json.dumps(server.requests[-1][2].get("response_format"))
            return answer(tags if '"array"' in form else prose)

        server.respond = respond
        studio = Studio(
            "--llm-url",
            server.url,
            "--llm-json",
            "--model",
            "tiny",
            XDG_CACHE_HOME=str(tmp_path / "cache"),
        )
        try:
            browser = open_page(studio.address)
            ask(browser, "a lighthouse at night")
            options = "[...document.querySelectorAll('#writer option')].map((o) => o.textContent)"
            assert browser.run(options) == ["tiny", "large", "brief", "writer"]
            groups = "[...document.querySelectorAll('#writer optgroup')].map((one) => one.label)"
            assert browser.run(groups) == [server.url, "of the studio"]
            assert "soft light" in shown(browser)[0] and not is_hidden(browser, "form")

            pick(browser, "writer", "writer")
            browser.wait(READY)
            seed = int(browser.run("document.getElementById('seed').value"))
            expected = Improver.load("writer").improve("a lighthouse at night", n=3, seed=seed)
            assert shown(browser) == [one.prompt for one in expected]
            assert chosen(browser, "form") == "tags"
            pick(browser, "picture_model", "FLUX.1")
            browser.wait(READY)
            assert chosen(browser, "form") == "a paragraph"
            pick(browser, "writer", "large")
            browser.wait(READY)
            assert chosen(browser, "form") == "a paragraph"
            assert shown(browser)[0].endswith("The rocks are wet.")
            assert server.requests[-1][2]["model"] == "large"

            browser.visit(studio.address)
            browser.wait(f"document.querySelector('article') && {READY}")
            assert (chosen(browser, "writer"), chosen(browser, "form")) == ("large", "a paragraph")
            assert shown(browser)[0].endswith("The rocks are wet.")
            server.names = ["tiny"]  # the model is removed
            browser.visit(studio.address)
            browser.wait(f"document.querySelector('article') && {READY}")
            assert chosen(browser, "writer") == "tiny"
            assert browser.run("document.getElementById('problem').hidden")
            blameless(browser, studio.address)

            server.shutdown()
            server.server_close()
            pick(browser, "picture_model", "Krea 2")
            browser.wait("!document.getElementById('problem').hidden")
            assert f"{server.url} answers no more" in text_of(browser, "#problem")
            assert browser.run("document.getElementById('results').ariaBusy") == "false"
            pick(browser, "writer", "writer")
            browser.wait(f"document.querySelector('article') && {READY}")
            assert browser.run("document.getElementById('problem').hidden")
        finally:
            studio.kill()


@pytest.mark.slow
def test_a_server_with_a_token_asks_for_it(open_page: Callable[[str], Browser]) -> None:
    studio = Studio("--image-model", "none", PROMPTLIFT_TOKEN=TOKEN)
    try:
        browser = open_page(studio.address)
        browser.wait("document.getElementById('sign-in').open")
        browser.click("#token")
        browser.type("another-token-altogether")
        browser.press("Enter")
        browser.wait("!document.getElementById('refused').hidden")
        browser.click("#token")
        browser.type(TOKEN)
        browser.press("Enter")
        ask(browser, "a cat")
        browser.click("[data-draw]")
        browser.wait("document.querySelector('.notice').textContent.includes('no pictures')")
    finally:
        studio.kill()


@pytest.mark.slow
@pytest.mark.parametrize("look", ["light", "dark", "phone"])
def test_a_check_of_accessibility_finds_nothing(
    address: str, open_page: Callable[[str], Browser], look: str
) -> None:
    browser = open_page(address)
    if look != "light":
        browser.resize(*((360, 800) if look == "phone" else (1280, 900)), dark=look == "dark",
                       phone=look == "phone")  # fmt: skip
    browser.run(Path(AXE_FILE_PATH).read_text("utf-8") + "; 1")
    assert violations(browser) == []
    ask(browser, "a cat in armor")
    browser.click("#options summary")
    browser.click("article summary")
    browser.click("[data-draw]")
    browser.wait("!document.querySelector('.strength').hidden")
    browser.click(".chip")
    browser.wait("!document.querySelector('.stale').hidden")
    assert browser.run("document.documentElement.scrollWidth <= innerWidth")
    assert violations(browser) == []
    pick(browser, "picture_model", "Ideogram 4")
    browser.wait(f"document.querySelector('.text.json .chip') && {READY}")
    assert browser.run("document.documentElement.scrollWidth <= innerWidth")
    assert violations(browser) == []
    browser.click("#show-history")
    assert violations(browser) == []


def violations(browser: Browser) -> list[Any]:
    passed, found = browser.run(
        "axe.run().then((found) => [found.passes.length, found.violations.map((one) => "
        "[one.id, one.impact, one.nodes.map((node) => node.html.slice(0, 200))])])"
    )
    assert passed > 15
    return list(found)
