"""Pictures in the studio: drawn from prompts, and read for theirs."""

import json
from collections.abc import Callable
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from promptlift import Improver
from promptlift.improving.receipts import receipt_text
from promptlift.png_text import read_png_text, write_png_text
from promptlift.records import Improvement
from tests.browser import CHROMIUM, Browser
from tests.illustrating.servers.conftest import WORKFLOW
from tests.illustrating.servers.hosts import FakeComfyUI, serving
from tests.web.server_process import Studio
from tests.web.studio_page import READY, ask, blameless, shown, text_of

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")


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
def test_both_prompts_are_drawn_from_the_same_noise_with_progress_and_cancel(
    address: str, open_page: Callable[[str], Browser], tmp_path: Path
) -> None:
    browser = open_page(address)
    ask(browser, "red star")
    browser.click("[data-draw]")
    browser.wait("document.querySelector('progress')?.value > 0")
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
    browser.wait("document.querySelector('.stale')?.hidden === false")
    browser.click("[data-draw]")
    browser.wait("document.querySelector('.progress')?.hidden === false")
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
    browser.wait("document.querySelector('.strength')?.hidden === false")
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
    browser.wait(f"!{PROGRESS}.hidden && document.querySelector('progress')?.value > 0")
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
    browser.wait("document.querySelector('.stale')?.hidden === false")
    browser.click(".chip")  # it may be the only one, without which there is no way to go
    browser.wait("document.querySelector('.stale').hidden")
    browser.click("[data-draw]")
    browser.wait("document.querySelector('.strength')?.hidden === true")
    browser.wait("document.querySelector('.strength')?.hidden === false")
    assert browser.run(f"{SLIDER}.value") == "100" and len(sources(browser)) == 2
    assert not {own, improved} & {*sources(browser)}
    browser.resize(390, 844, phone=True)
    browser.tap(".strength input")
    drawn(browser, 50)
    for width in (320, 390):
        browser.resize(width, 844, phone=True)
        assert browser.run("document.documentElement.scrollWidth") <= width
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
    with serving(fake):
        studio = Studio("--backend", "comfyui", "--url", fake.url, "--workflow", str(workflow))
        try:
            browser = open_page(studio.address)
            ask(browser, "red star")
            browser.click("[data-draw]")
            browser.wait(f"document.querySelectorAll('figure').length === 2 && {PROGRESS}.hidden")
            assert browser.run("document.querySelector('.strength')?.hidden === true")
            blameless(browser, studio.address)
        finally:
            studio.kill()


@pytest.mark.slow
def test_pictures_of_another_negative_prompt_or_seed_are_earlier_ones(
    address: str, open_page: Callable[[str], Browser], tmp_path: Path
) -> None:
    browser = open_page(address)
    ask(browser, "ein roter Stern mit einem blauen Kreis")  # left alone with every seed
    before = shown(browser)
    browser.click("[data-draw]")
    browser.wait("document.querySelectorAll('.slot figure').length === 2")
    browser.wait("document.querySelector('.progress').hidden")

    def expect(field: str, value: str, earlier: int) -> None:
        browser.run(
            f"document.getElementById({field!r}).value = {value!r};"
            f"document.getElementById({field!r}).dispatchEvent(new Event('input'))"
        )
        browser.wait(f"document.querySelectorAll('#shelf .drawing').length === {earlier}")
        assert shown(browser) == before
        assert browser.run("document.querySelectorAll('.slot .drawing').length") == 0
        browser.click("[data-draw]")
        browser.wait("document.querySelectorAll('.slot figure').length === 2")
        browser.wait("document.querySelector('.slot .progress').hidden")
        assert browser.run("document.querySelectorAll('#shelf figure').length") == 2 * earlier

    expect("negative", "blurry", 1)
    expect("seed", "7", 2)
    assert asked_to_draw(browser) == 3
    last = [url for url in browser.requested if url.endswith("/pictures/1")][-1]
    file = tmp_path / "saved.png"
    file.write_bytes(urlopen(last).read())
    assert json.loads(read_png_text(file)["promptlift"])["drawing"]["seed"] == 7
    blameless(browser, address)


@pytest.mark.slow
def test_pictures_outlast_other_settings_and_a_reload(
    address: str, open_page: Callable[[str], Browser]
) -> None:
    browser = open_page(address)
    ask(browser, "red star")
    browser.click("[data-draw]")
    browser.wait("document.querySelectorAll('.slot figure').length === 1")
    ask(browser, "blue square")  # while the second picture is drawn
    assert browser.run("document.querySelectorAll('#shelf .drawing').length") == 1
    assert text_of(browser, "#shelf .of").startswith("red star")
    assert not browser.run("document.querySelector('#shelf .of').hidden")
    browser.visit(address)
    browser.wait(f"document.querySelector('article') && {READY}")
    browser.wait("document.querySelectorAll('#shelf figure').length === 2")
    browser.wait("document.querySelector('#shelf .progress').hidden")
    assert asked_to_draw(browser) == 1
    loaded = "[...document.querySelectorAll('figure img')].every((one) => one.naturalWidth === 64)"
    browser.wait(loaded)

    browser.click("#shelf .large")
    browser.wait("document.getElementById('large').open")
    sides = "['left', 'right'].map((side) => document.getElementById(`${side}-picture`).src)"
    assert browser.run(sides) == sources(browser)
    browser.click("[name=view][value=over]")
    browser.run("document.getElementById('line').value = 20;"
                "document.getElementById('line').dispatchEvent(new Event('input'))")  # fmt: skip
    clip = "getComputedStyle(document.getElementById('right-picture')).clipPath"
    assert "20%" in browser.run(clip)
    browser.click("#large .shut")

    browser.click("#show-history")  # a small picture stands in it
    browser.wait("document.querySelector('#entries .thumb img')?.naturalWidth > 0")
    browser.click("#history .shut")
    browser.click("[data-again]")
    browser.wait(f"document.querySelector('.text').textContent.startsWith('red star') && {READY}")
    assert browser.run("document.querySelectorAll('.slot figure').length") == 2
    assert browser.run("document.getElementById('earlier').hidden")
    blameless(browser, address)

    kept = "JSON.parse(sessionStorage.getItem('promptlift.drawings'))"
    before = browser.run(f"{kept}.map((one) => one.pictures)")
    browser.call("Network.setBlockedURLs", urls=["*/v1/illustrate/*"])  # as where it is too busy
    browser.visit(address)
    browser.wait(f"document.querySelector('article') && {READY}")
    browser.click("article:nth-child(2) [data-draw]")  # that another is kept loses none of the old
    browser.wait(f"{kept}.length === 2")
    browser.run("new Promise((later) => setTimeout(later, 500))")
    assert browser.run(f"{kept}.at(-1).pictures") == before[0]
    browser.call("Network.setBlockedURLs", urls=[])
    browser.wait("document.querySelectorAll('.slot figure').length === 4")
    browser.wait(loaded)
