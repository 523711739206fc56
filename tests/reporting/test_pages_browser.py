"""The pages of compare, sweep and pairs in a browser, wide and narrow, light and dark."""

from collections.abc import Callable
from pathlib import Path

import pytest

from promptlift.pairs.describe import describe
from promptlift.reporting.compare import compare_runs
from promptlift.reporting.compare_page import write_comparison
from promptlift.reporting.pairs_page import write_pairs_page
from promptlift.sweeping.page import write_page
from tests.browser import CHROMIUM, Browser, violations
from tests.reporting.conftest import PAIRS, begin_run, write_evaluation, write_log
from tests.sweeping.conftest import swept

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs a Chromium"),
]


def compare(folder: Path, _: pytest.MonkeyPatch) -> Path:
    runs = [begin_run(folder / name, batch_size=8 * n) for n, name in enumerate(("one", "two"), 1)]
    for seed, run in enumerate(runs):
        write_log(run, [f"1,0.5,{4 + seed},", f"2,1,,{3 + seed}"])
        write_evaluation(run, 6, [f"soft light {n}" for n in range(20)], seed=seed)
    return write_comparison(compare_runs(runs), folder / "page")


def sweep(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return write_page(swept(folder, monkeypatch))


def pairs(folder: Path, _: pytest.MonkeyPatch) -> Path:
    write_pairs_page(describe(PAIRS), "pairs.jsonl", folder / "page.html")
    return folder / "page.html"


@pytest.mark.parametrize("make", [compare, sweep, pairs])
def test_a_page_fits_opens_by_keyboard_and_passes_axe(
    make: Callable[[Path, pytest.MonkeyPatch], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    page = make(tmp_path, monkeypatch)
    browser = Browser(tmp_path / "profile")
    fold = "document.querySelector('main details')"
    try:
        for width, dark in ((1280, False), (390, False), (390, True)):
            browser.resize(width, 900, dark=dark, phone=width < 500)
            browser.open(page)
            answer = "document.querySelector('.answer').getBoundingClientRect().bottom"
            assert browser.run(answer) < 450
            assert browser.run("document.documentElement.scrollHeight") < 2 * 900
            while not browser.run(f"document.activeElement === {fold}.firstElementChild"):
                browser.press("Tab")
                assert browser.run("document.activeElement !== document.body")  # once around
            browser.press("Enter")
            assert browser.run(f"{fold}.open")
            browser.click("#unfold")
            assert browser.run("document.querySelector('details:not([open])')") is None
            # A phone widens its window to what stands in it, so `innerWidth` says nothing.
            assert browser.run("document.documentElement.scrollWidth") <= width
            assert violations(browser) == []
        assert browser.complaints == []
        assert all(address.startswith(("file:", "about:")) for address in browser.requested)
    finally:
        browser.close()
