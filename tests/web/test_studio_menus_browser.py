"""Picture models, writers and tokens in the studio."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from promptlift import Improver
from promptlift.prompts.picture_models.table import NAMES
from promptlift.records import Improvement
from tests.browser import CHROMIUM, Browser
from tests.conftest import POCKET, with_forms
from tests.llm.server import Reply, answer, dripping, serving
from tests.web.server_process import Studio
from tests.web.studio_page import (
    READY,
    ask,
    blameless,
    chosen,
    clipboard,
    is_hidden,
    pick,
    shown,
    text_of,
)

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")
TOKEN = "a-token-of-some-length"


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
    assert any("estimated" in note for note in made.notes)
    assert "estimated" not in text_of(browser, ".notes")  # "about" says it

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
def test_the_usual_form_is_the_picture_models(
    open_page: Callable[[str], Browser], tmp_path: Path
) -> None:
    folder = with_forms(POCKET, tmp_path / "model")
    studio = Studio("--model", str(folder))
    try:
        browser = open_page(studio.address)
        ask(browser, "a lighthouse at night")
        pick(browser, "form", "a paragraph")
        browser.wait(READY)
        assert text_of(browser, "#set") == "set: form"
        pick(browser, "picture_model", "FLUX.1")
        browser.wait(READY)
        assert chosen(browser, "form") == "a paragraph" and not is_hidden(browser, "form")
        assert text_of(browser, "#set") == ""  # the form is the usual one again
        seed = int(browser.run("document.getElementById('seed').value"))
        [first, *_] = Improver.load(folder).improve(
            "a lighthouse at night", n=3, seed=seed, picture_model="flux"
        )
        assert shown(browser)[0] == first.prompt
        pick(browser, "picture_model", "Ideogram 4")
        browser.wait(READY)
        assert chosen(browser, "form") == "JSON"
        blameless(browser, studio.address)
    finally:
        studio.kill()


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
            assert not is_hidden(browser, "artists")

            pick(browser, "writer", "writer")
            browser.wait(READY)
            seed = int(browser.run("document.getElementById('seed').value"))
            expected = Improver.load("writer").improve("a lighthouse at night", n=3, seed=seed)
            assert shown(browser) == [one.prompt for one in expected]
            assert chosen(browser, "form") == "tags"
            assert is_hidden(browser, "artists")  # it names none, so the option would do nothing
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
        assert browser.run("document.querySelector('[data-draw]').hidden")  # nothing can be drawn
    finally:
        studio.kill()
