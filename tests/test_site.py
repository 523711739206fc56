"""The documentation as a site: all is in it, links lead somewhere, nothing comes from elsewhere."""

import fcntl
import functools
import http.server
import posixpath
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import typer.main

import promptlift
from promptlift.cli import app
from scripts.build_docs import SITE, moved, text, write_pages
from tests.browser import CHROMIUM, Browser, violations

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages as Markdown."""
    folder = tmp_path_factory.mktemp("docs")
    write_pages(folder)
    return folder


def commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """A command and those of its group, with their names."""
    yield name, command
    for part, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, f"{name} {part}")


def test_every_command_and_option_is_in_the_reference(pages: Path) -> None:
    top = typer.main.get_command(app)
    checked = 0
    for name, command in commands(top, "promptlift"):
        _, *rest = name.split()
        page = pages / "reference" / "commands" / f"{rest[0] if rest else 'index'}.md"
        written = page.read_text(encoding="utf-8")
        section = re.search(
            rf"^#+ {name if rest else 'Commands'}\n(.*?)(?=^#+ |\Z)", written, re.M | re.S
        )
        assert section, name
        for option in command.params:
            for flag in option.opts if option.param_type_name == "option" else [option.name]:
                assert re.search(rf"^\| `[^`|]*{re.escape(flag)}\b", section[1], re.M), (
                    f"{name} {flag}"
                )
                checked += 1
    assert checked > 500


def test_every_public_name_is_in_the_reference(pages: Path) -> None:
    written = "".join(
        page.read_text(encoding="utf-8") for page in (pages / "reference" / "python").iterdir()
    )
    for name in promptlift.__all__:
        home = getattr(promptlift, name).__module__
        assert f"::: {home}.{name}\n" in written
        assert f"`from promptlift import {name}`" in written
    # What a Python block of a page imports, and what a page names with its module.
    assert "::: promptlift.picking.picks.read_picks\n" in written
    assert "::: promptlift.training.vocabulary.prune_vocabulary\n" in written
    assert "| `max_prompt_tokens` | int |" in written  # a field, whose help is in its option


def test_every_page_is_in_the_navigation() -> None:
    navigation = (ROOT / "zensical.toml").read_text(encoding="utf-8")
    for page in (ROOT / "docs").rglob("*.md"):
        place = page.relative_to(ROOT / "docs").as_posix()
        assert place.startswith("decisions/") or f'"{place}"' in navigation, f"add {place}"


def test_links_lead_somewhere_on_the_site(pages: Path) -> None:
    checked = 0
    for page in pages.rglob("*.md"):
        if "source" in page.relative_to(pages).parts:
            continue
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).is_file(), f"{page.name}: {target}"
                checked += 1
    assert checked > 200


def test_links_to_files_of_code_lead_to_pages_that_show_them(pages: Path) -> None:
    shown: set[str] = set()
    assert "(source/src/promptlift/prompts/frames.py.md)" in moved("docs/syntax.md", shown)
    assert "src/promptlift/prompts/frames.py" in shown
    page = pages / "source" / "src" / "promptlift" / "prompts" / "frames.py.md"
    code = ROOT.joinpath("src", "promptlift", "prompts", "frames.py").read_text(encoding="utf-8")
    assert code in page.read_text(encoding="utf-8")


def test_plain_text_stays_plain_in_a_table() -> None:
    assert text("a|b <c> [d] e_f *g* `--h_i`") == r"a\|b &lt;c> \[d\] e\_f \*g\* `--h_i`"


# The site itself.

NEEDS_ZENSICAL = pytest.mark.skipif(
    find_spec("zensical") is None, reason="the extra docs is not installed: make docs"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The site, built once though several processes of a test run ask for it."""
    folder = tmp_path_factory.getbasetemp()
    folder = folder if worker_id == "master" else folder.parent
    built = folder / "site-is-built"
    with (folder / "site.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not built.exists():
            line = [sys.executable, "scripts/build_docs.py"]
            done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr
            built.touch()
    return SITE


class Page(HTMLParser):
    """What a page has to link to, what it links to, and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.places, self.links, self.loads = {""}, set[str](), set[str]()
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        for name, value in attributes:
            if name == "id":
                self.places.add(value or "")
            elif name in ("href", "src") and value:
                (self.links if tag == "a" else self.loads).add(value)


@pytest.mark.slow
@NEEDS_ZENSICAL
def test_links_and_files_of_the_site_are_there(site: Path) -> None:
    found = {
        path.relative_to(site).as_posix(): Page(path.read_text(encoding="utf-8"))
        for path in site.rglob("*.html")
    }
    assert len(found) > 80
    for name, page in found.items():
        for target in page.links | page.loads:
            link = urlsplit(target)
            if link.scheme or link.netloc:
                assert target in page.links, f"{name} loads {target}"
            elif name != "404.html":  # its links begin at the root of a server
                path = unquote(link.path)
                place = (
                    posixpath.normpath(posixpath.join(posixpath.dirname(name), path))
                    if path
                    else name
                )
                if (site / place).is_dir():
                    place = posixpath.normpath(posixpath.join(place, "index.html"))
                assert (site / place).is_file(), f"{name}: {target}"
                if place in found:
                    assert unquote(link.fragment) in found[place].places, f"{name}: {target}"


@pytest.mark.slow
@NEEDS_ZENSICAL
def test_the_search_knows_pages_commands_and_names(site: Path) -> None:
    index = (site / "search.json").read_text(encoding="utf-8")
    for known in ("promptlift steer blend", "--max-prompt-tokens", "improve_stream", "Lab log"):
        assert known in index


# The search box has a tree of its own.
_SEARCH = "[...document.querySelectorAll('div')].find((one) => one.shadowRoot)?.shadowRoot"


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """Where the site is served."""
    handler = functools.partial(Quiet, directory=str(site))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.slow
@NEEDS_ZENSICAL
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
def test_the_search_finds_an_option_and_no_other_host_is_asked(
    address: str, tmp_path: Path
) -> None:
    browser = Browser(tmp_path / "profile")
    try:
        for dark in (False, True):
            browser.resize(1280, 900, dark=dark)
            browser.visit(f"{address}/index.html")
            scheme = browser.run("document.body.getAttribute('data-md-color-scheme')")
            assert scheme == ("slate" if dark else "default")
        browser.click(".md-search__button")
        browser.wait(f"{_SEARCH}?.querySelector('input') != null")
        browser.type("max-prompt-tokens")
        browser.wait(f"{_SEARCH}.textContent.includes('promptlift improve')")
        for page in ("reference/python/improving.html", "studio.html", "changelog.html"):
            browser.visit(f"{address}/{page}")
        hosts = {urlsplit(asked).netloc for asked in browser.requested}
        assert hosts <= {"", urlsplit(address).netloc}
        assert not browser.complaints
    finally:
        browser.close()


# What axe finds in the theme's own elements, and what speaks for leaving it.
_THEME = {
    # It makes each level of the navigation a landmark, named alike where titles are alike, and an
    # unnamed one of the buttons at each block of code.
    "landmark-unique": ".md-nav, .md-code__nav",
    # Wide tables and code scroll within an element without a tabindex. Browsers let the keyboard
    # reach such elements, which this version of axe does not know; the test below tries it.
    "scrollable-region-focusable": ".md-typeset__scrollwrap, pre > code",
}
_SCROLLERS = (
    "[...document.querySelectorAll('.md-typeset__scrollwrap, pre > code')]"
    ".filter((one) => one.scrollWidth > one.clientWidth)"
)


@pytest.mark.slow
@NEEDS_ZENSICAL
@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")
@pytest.mark.parametrize("look", ["light", "dark", "phone"])
def test_axe_finds_nothing_and_pages_fit_a_phone(address: str, look: str, tmp_path: Path) -> None:
    browser = Browser(tmp_path / "profile")
    is_phone = look == "phone"
    try:
        width = 390 if is_phone else 1280
        browser.resize(width, 844, dark=look == "dark", phone=is_phone)
        for page in ("index", "guide", "reference/python/improving"):
            browser.visit(f"{address}/{page}.html")
            browser.wait("document.querySelector('pre[id]') != null")  # the script has run
            assert violations(browser, _THEME) == [], page
            assert browser.run("document.documentElement.scrollWidth") <= width, page
            reached = f"{_SCROLLERS}.map((one) => (one.focus(), one === document.activeElement))"
            assert all(browser.run(reached)), page
        assert not is_phone or browser.run(f"{_SCROLLERS}.length > 0")
        assert not browser.complaints
    finally:
        browser.close()
