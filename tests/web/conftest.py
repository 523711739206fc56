"""A studio to visit, and browsers to visit it with."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.browser import Browser
from tests.web.server_process import Studio


@pytest.fixture(scope="session")
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
