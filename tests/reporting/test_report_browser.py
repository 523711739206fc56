"""The page of a run in a browser: folded parts, contents, the gallery, printing, no network."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from promptlift.reporting.picture_data import read_pictures
from tests.browser import CHROMIUM, Browser, violations

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        found = Browser(Path(folder))
        yield found
        found.close()


IN_VIEWER = (
    "document.getElementById('viewer').open && document.getElementById('viewer-title').textContent"
)
LOADED = (
    "[...document.querySelectorAll('#viewer img')].filter(i => i.complete && i.naturalWidth).length"
    " === 2"
)
SHOWN = "[...document.querySelectorAll('.pair:not([hidden])')].map(p => Number(p.id.slice(5)))"
UNFOLDED = "document.getElementById('pairs').closest('details').open"
FOCUS = "document.activeElement.closest('.pair')?.id"


def test_the_address_of_a_pair_opens_it(browser: Browser, scored: Path) -> None:
    browser.open(scored / "report" / "index.html", "#pair-3")
    assert browser.run(IN_VIEWER) == "Pair 3: prompt 1, seed 1 (3 of 10)"
    browser.wait(LOADED)
    sources = browser.run("[...document.querySelectorAll('#viewer img')].map(i => i.src)")
    assert [Path(source).name for source in sources] == [
        "000001-1-original-0.png", "000001-1-improved-0.png",
    ]  # fmt: skip
    assert not browser.complaints


def test_keys_lead_through_the_pairs_and_back(browser: Browser, scored: Path) -> None:
    browser.open(scored / "report" / "index.html")
    assert not browser.run(UNFOLDED)
    browser.press("j")  # unfolds the gallery
    assert browser.run(UNFOLDED) and browser.run(FOCUS) == "pair-1"
    browser.click("#pair-2 .whole")
    assert browser.run(IN_VIEWER).startswith("Pair 2:")
    for key, pair in (("ArrowRight", 3), ("j", 4), ("k", 3), ("ArrowLeft", 2), ("k", 1), ("k", 1)):
        browser.press(key)
        assert browser.run(IN_VIEWER).startswith(f"Pair {pair}:")
        assert browser.run("location.hash") == f"#pair-{pair}"
    browser.press("ArrowRight")
    browser.press("Escape")
    browser.wait("!document.getElementById('viewer').open")
    browser.wait(f"{FOCUS} === 'pair-2'")
    browser.wait("location.hash === ''")
    browser.press("j")
    assert browser.run(FOCUS) == "pair-3"
    browser.press("Enter")
    assert browser.run(IN_VIEWER).startswith("Pair 3:")
    assert not browser.complaints


def test_filters_choose_and_sort(browser: Browser, scored: Path) -> None:
    shown = read_pictures(scored)
    browser.open(scored / "report" / "index.html")
    assert browser.run(SHOWN) == [*range(1, 11)]
    browser.click("section:has(> details > #pairs) summary")
    gains = {pair.number: pair.gains["pickscore"] for pair in shown.pairs}
    rising = sorted(gains, key=lambda number: gains[number])
    titles = [shown.title(name) for name in shown.metrics]
    place = browser.run("[...document.querySelectorAll('[name=metric] option')].map(o => o.text)")
    assert set(place) <= set(titles)
    browser.run(
        f"document.querySelector('[name=metric]').value = {place.index(shown.title('pickscore'))}"
    )
    expected: dict[str, list[int]] = {
        "best": rising[::-1][:3],
        "worst": rising[:3],
        "far": sorted(gains, key=lambda n: -(shown.pairs[n - 1].disagreement or 0))[:3],
    }
    for value, numbers in expected.items():
        browser.click(f"[name=show][value={value}]")
        assert browser.run(SHOWN) == numbers
        assert browser.run("document.getElementById('count').textContent") == "3 of 10 pairs"
    for choice in ("original", "improved"):
        kept = [pair.number for pair in shown.pairs if (pair.verdict or {})["choice"] == choice]
        if kept:
            browser.click(f"[name=show][value='choice:{choice}']")
            assert browser.run(SHOWN) == kept
    browser.click("[name=show][value=worst]")
    browser.press("Escape")
    browser.run(f"location.hash = '#pair-{rising[-1]}'")  # hidden by the filter, which gives way
    browser.wait("document.getElementById('viewer').open")
    assert browser.run("document.querySelector('[name=show]:checked').value") == "all"
    assert not browser.complaints


def test_a_moved_run_still_shows_its_pictures_and_a_page_alone_its_thumbnails(
    browser: Browser, scored: Path, tmp_path: Path
) -> None:
    moved = Path(shutil.copytree(scored, tmp_path / "moved ü #1"))
    browser.open(moved / "report" / "index.html", "#pair-1")
    browser.wait(LOADED)
    shutil.rmtree(moved / "pictures")
    browser.open(moved / "report" / "index.html", "#pair-1")
    browser.wait(LOADED)
    assert browser.run("document.querySelector('#viewer img').src").startswith("data:")
    assert "not beside this page" in browser.run("document.querySelector('#viewer').textContent")
    browser.complaints.clear()


def test_without_a_script_all_pairs_are_listed(browser: Browser, scored: Path) -> None:
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(scored / "report" / "index.html")
        visible = "[...document.querySelectorAll('.pair')].filter(p => p.checkVisibility()).length"
        assert browser.run(visible) == 0
        browser.click("section:has(> details > #pairs) summary")
        assert browser.run(visible) == 10
        assert browser.run("document.getElementById('choose').offsetHeight") == 0
        assert browser.run("document.getElementById('viewer').offsetHeight") == 0
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)


@pytest.mark.parametrize("width", [320, 390, 1280])
def test_nothing_is_wider_than_the_window(width: int, browser: Browser, scored: Path) -> None:
    browser.resize(width, 800, phone=width < 500)
    try:
        for suffix in ("", "#pair-1"):
            browser.open(scored / "report" / "index.html", suffix)
            assert browser.run("document.documentElement.scrollWidth") <= width
        viewer = "document.getElementById('viewer')"
        assert browser.run(f"{viewer}.scrollWidth <= {viewer}.clientWidth")
    finally:
        browser.resize(1280, 900)


def test_nothing_is_fetched_but_files_of_the_run(browser: Browser, scored: Path) -> None:
    browser.requested.clear()
    browser.open(scored / "report" / "index.html", "#pair-2")
    browser.wait(LOADED)
    fetched = [url for url in browser.requested if not url.startswith(("data:", "about:"))]
    assert fetched and all(url.startswith(scored.resolve().as_uri()) for url in fetched)


def test_a_pair_at_the_top_opens_and_closes_where_it_stands(browser: Browser, scored: Path) -> None:
    browser.open(scored / "report" / "index.html")
    browser.click(".strip figure:nth-child(3) a")
    assert browser.run(IN_VIEWER).startswith("Pair 4:")
    browser.press("Escape")
    browser.wait("document.activeElement.hash === '#pair-4'")
    assert browser.run("document.activeElement.closest('.strip') !== null")
    assert not browser.run(UNFOLDED)


@pytest.mark.parametrize(("width", "most"), [(1280, 6000), (390, 12000)])
@pytest.mark.parametrize("dark", [False, True])
def test_a_folded_page_is_short_and_axe_finds_nothing(
    width: int, most: int, dark: bool, browser: Browser, scored: Path
) -> None:
    browser.resize(width, 844, dark=dark, phone=width < 500)
    try:
        browser.open(scored / "report" / "index.html")
        assert 900 < browser.run("document.documentElement.scrollHeight") < most
        assert violations(browser) == []
        browser.run("document.getElementById('unfold').click()")
        assert browser.run("document.documentElement.scrollHeight") > most
        assert violations(browser) == []
    finally:
        browser.resize(1280, 900)


OPEN = "[...document.querySelectorAll('main details')].filter((fold) => fold.open).length"
PART = "document.querySelector('{} > details').open"


def test_a_link_to_a_folded_part_opens_it(browser: Browser, scored: Path) -> None:
    page = scored / "report" / "index.html"
    browser.open(page)
    assert browser.run(OPEN) == 0
    browser.click("#contents li:nth-child(3) a")
    browser.wait(PART.format("#part-3"))
    top = "document.querySelector('#part-3').getBoundingClientRect().top"
    browser.wait(f"{top} >= 0 && {top} < 100")
    browser.wait("document.querySelector('[aria-current]').hash === '#part-3'")
    assert browser.run(OPEN) == 1
    browser.click("#part-3 > details > summary")
    assert browser.run(OPEN) == 0
    browser.click("#contents li:nth-child(3) a")  # the address stays the same
    browser.wait(PART.format("#part-3"))
    browser.open(page, "#part-2")
    assert browser.run(PART.format("#part-2"))


def test_searching_a_page_opens_what_is_found(browser: Browser, scored: Path) -> None:
    browser.open(scored / "report" / "index.html", "#:~:text=permutation%20test")
    browser.wait(f"{OPEN} === 1")
    assert browser.run(
        "document.querySelector('details[open]').textContent.includes('permutation')"
    )


def test_printing_opens_everything_and_folds_it_again(browser: Browser, scored: Path) -> None:
    browser.open(scored / "report" / "index.html")
    browser.run(
        "window.seen = []; for (const when of ['beforeprint', 'afterprint'])"
        f" addEventListener(when, () => seen.push({OPEN}))"
    )
    browser.call("Page.printToPDF")
    browser.wait("seen.length >= 2")
    folds = browser.run("document.querySelectorAll('main details').length")
    assert browser.run("seen") == [folds, 0] and folds > 10


def test_the_keyboard_alone_reaches_and_opens_every_part(browser: Browser, scored: Path) -> None:
    browser.open(scored / "report" / "index.html")
    browser.press("Tab")
    assert browser.run("document.activeElement.className") == "skip"
    assert browser.run("document.activeElement.getBoundingClientRect().top") >= 0
    parts = browser.run("document.querySelectorAll('main > section > details').length")
    reached: set[str] = set()
    while len(reached) < parts:
        browser.press("Tab")
        assert browser.run("document.activeElement !== document.body"), reached  # once around
        if browser.run("document.activeElement.matches('section > details > summary')"):
            reached.add(browser.run("document.activeElement.closest('section').id"))
            browser.press("Enter")
            assert browser.run("document.activeElement.parentNode.open")
            browser.press("Enter")
    assert parts > 5


def test_on_a_phone_the_contents_are_a_menu(browser: Browser, scored: Path) -> None:
    browser.resize(390, 844, phone=True)
    shown = "document.getElementById('contents').checkVisibility()"
    try:
        browser.open(scored / "report" / "index.html")
        assert not browser.run(shown)
        browser.tap("nav [popovertarget]")
        browser.wait(shown)
        assert browser.run("document.documentElement.scrollWidth") <= 390
        browser.tap("#contents li:nth-child(4) a")
        browser.wait(f"!{shown} && {PART.format('#part-4')}")
        bar = "document.querySelector('nav').getBoundingClientRect()"
        top = "document.querySelector('#part-4 h2').getBoundingClientRect().top"
        browser.wait(f"{bar}.top === 0 && {top} >= {bar}.bottom && {top} < 200")
        browser.press("Escape")
    finally:
        browser.call("Emulation.setTouchEmulationEnabled", enabled=False)
        browser.resize(1280, 900)


def test_all_parts_open_and_close_at_once(browser: Browser, scored: Path) -> None:
    browser.open(scored / "report" / "index.html")
    parts = browser.run("document.querySelectorAll('main > section > details').length")
    browser.click("#unfold")
    assert browser.run(OPEN) == parts
    browser.wait("document.getElementById('unfold').textContent === 'Close all parts'")
    browser.click("#unfold")
    assert browser.run(OPEN) == 0
    assert not browser.complaints
