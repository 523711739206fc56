"""What the studio copies for ComfyUI: a text and nodes, pasted in ComfyUI itself where it is."""

import base64
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.browser import CHROMIUM, Browser
from tests.integrations.comfyui_host import NEEDS_IT, Host, base_folder, free_port, running
from tests.web.server_process import Studio
from tests.web.studio_page import READY, ask, blameless, clipboard, pick, shown, text_of, unfold

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium")

BUTTON = "document.querySelector('[data-copy=comfyui]')"
HTML = (
    "navigator.clipboard.read({unsanitized: ['text/html']})"
    ".then(([item]) => item.getType('text/html')).then((found) => found.text())"
)
# To the letter, as ComfyUI's front end 1.58 has it.
FORM = re.compile(
    "(?:<meta charset='utf-8'>)?"
    r'<meta charset="utf-8"><div><span data-metadata="([A-Za-z0-9+/=]+)"></span></div>'
    r'<span style="white-space:pre-wrap;">Text</span>'
)
OLDEST = (1, 30)  # front end that pastes nodes from the clipboard


def copy(browser: Browser) -> None:
    browser.wait(f"{BUTTON}.textContent === 'ComfyUI'")
    browser.click("[data-copy=comfyui]")
    browser.wait(f"{BUTTON}.textContent === 'Copied'")


def copied_nodes(browser: Browser) -> list[list[str]]:
    found = FORM.fullmatch(str(browser.run(HTML)))
    assert found is not None
    nodes = json.loads(base64.b64decode(found[1]).decode("ascii"))["nodes"]
    assert {node["type"] for node in nodes} == {"CLIPTextEncode"}
    return [[node["title"], *node["widgets_values"]] for node in nodes]


def set_negative(browser: Browser, text: str) -> None:
    unfold(browser)
    browser.run("document.getElementById('negative').select()")
    browser.type(text)
    written = json.dumps(f'"negative":{json.dumps(text, ensure_ascii=False)}')
    browser.wait(f"localStorage.getItem('promptlift.state')?.includes({written}) && {READY}")
    browser.settle()


def test_text_and_nodes_are_copied_with_the_server_and_without(
    address: str, open_page: Callable[[str], Browser]
) -> None:
    browser = open_page(address)
    ask(browser, "a café at night, (rain:1.2)")
    copy(browser)
    assert text_of(browser, "#state") == "Copied: press Ctrl+V on ComfyUI's canvas"
    whole = shown(browser)[0]
    assert clipboard(browser, address) == whole
    assert copied_nodes(browser) == [["CLIP Text Encode (Positive Prompt)", whole]]

    set_negative(browser, "naïve 🌊")
    last = browser.run("document.querySelector('.text > span:last-of-type .chip').textContent")
    whole = shown(browser)[0]
    browser.offline(True)
    browser.run("document.querySelector('.text > span:last-of-type .chip').click()")
    copy(browser)
    less = whole.removesuffix(f", {last}")
    assert clipboard(browser, address) == less != whole
    assert copied_nodes(browser) == [
        ["CLIP Text Encode (Positive Prompt)", less],
        ["CLIP Text Encode (Negative Prompt)", "naïve 🌊"],
    ]


@pytest.mark.slow
def test_braces_of_json_are_kept_from_comfyui(
    address: str, open_page: Callable[[str], Browser]
) -> None:
    browser = open_page(address)
    ask(browser, "a red fox")
    pick(browser, "picture_model", "Ideogram 4")
    browser.wait(f"document.querySelector('.text.json') !== null && {READY}")
    copy(browser)
    text = clipboard(browser, address)
    assert text.startswith("\\{") and text.endswith("\\}")
    assert json.loads(text.replace("\\{", "{").replace("\\}", "}")) == json.loads(
        text_of(browser, ".text")
    )
    assert copied_nodes(browser) == [["CLIP Text Encode (Positive Prompt)", text]]
    blameless(browser, address)


@pytest.mark.slow
def test_it_copies_on_a_page_without_tls_too(
    tmp_path: Path, open_page: Callable[[str], Browser]
) -> None:
    (tmp_path / "token").write_text("a-token-that-nobody-guesses-123")
    studio = Studio(
        "--host", "0.0.0.0", "--allow-host", "0.0.0.0",
        "--token-file", str(tmp_path / "token"),
    )  # fmt: skip
    try:
        browser = open_page(f"http://0.0.0.0:{studio.port}")
        assert browser.run("isSecureContext") is False
        browser.wait("document.getElementById('sign-in').open")
        browser.type("a-token-that-nobody-guesses-123")
        browser.press("Enter")
        ask(browser, "a red fox")
        copy(browser)
        whole = shown(browser)[0]
        local = f"http://127.0.0.1:{studio.port}"
        browser.visit(local)  # a page that may read the clipboard
        assert clipboard(browser, local) == whole
        assert copied_nodes(browser) == [["CLIP Text Encode (Positive Prompt)", whole]]
    finally:
        studio.kill()


@pytest.mark.slow
def test_it_says_where_the_browser_lets_only_text_through(
    address: str, open_page: Callable[[str], Browser]
) -> None:
    browser = open_page(address)
    ask(browser, "a red fox")
    whole = shown(browser)[0]
    browser.visit(address)  # where nobody has clicked yet, HTML is refused
    browser.wait(f"document.querySelector('article') && {READY}")
    for name in ("clipboard-read", "clipboard-write"):
        browser.call("Browser.setPermission", origin=address, setting="granted",
                     permission={"name": name})  # fmt: skip
    browser.run(f"{BUTTON}.click()")
    browser.wait(f"{BUTTON}.textContent === 'Only text copied'")
    assert text_of(browser, "#state").endswith("press Ctrl+V in a text field of ComfyUI")
    assert clipboard(browser, address) == whole
    assert browser.run("navigator.clipboard.read().then(([item]) => item.types.join())") == (
        "text/plain"
    )


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    base = base_folder(tmp_path_factory.mktemp("comfyui"))
    (base / "user" / "default").mkdir()
    settings = {"Comfy.TutorialCompleted": True}  # no window before the canvas
    (base / "user" / "default" / "comfy.settings.json").write_text(json.dumps(settings))
    with running(base, free_port()) as found:
        yield found


def paste(browser: Browser) -> None:
    """Ctrl+V."""
    about: dict[str, Any] = {"key": "v", "code": "KeyV", "windowsVirtualKeyCode": 86}
    browser.call(
        "Input.dispatchKeyEvent", type="rawKeyDown", commands=["paste"], modifiers=2, **about
    )
    browser.call("Input.dispatchKeyEvent", type="keyUp", **about)


def pasted(browser: Browser, host: Host) -> list[list[str]]:
    """Title and text of the nodes that are on the empty canvas after Ctrl+V."""
    browser.visit(host.address)
    browser.wait("window.app?.graph?.nodes.length > 0")  # the workflow that it begins with
    version = str(browser.run("window.__COMFYUI_FRONTEND_VERSION__"))
    if tuple(map(int, version.split(".")[:2])) < OLDEST:
        pytest.skip(f"ComfyUI's front end {version} pastes only what it copied itself")
    browser.run("app.graph.clear()")
    paste(browser)
    browser.wait("app.graph.nodes.length > 0")
    for node in browser.run("app.graph.nodes.map((one) => [one.type, one.inputs[0].name])"):
        assert node == ["CLIPTextEncode", "clip"]
    found: list[list[str]] = browser.run(
        "app.graph.nodes.map((one) => [one.title, one.widgets[0].value])"
    )
    return found


@pytest.mark.slow
@NEEDS_IT
def test_comfyui_pastes_the_nodes(
    address: str, host: Host, open_page: Callable[[str], Browser]
) -> None:
    browser = open_page(address)
    ask(browser, "a café at night, (rain:1.2) \\(wet\\)")
    set_negative(browser, "naïve 🌊")
    copy(browser)
    whole = shown(browser)[0]
    assert pasted(browser, host) == [
        ["CLIP Text Encode (Positive Prompt)", whole],
        ["CLIP Text Encode (Negative Prompt)", "naïve 🌊"],
    ]
    tops = "app.graph.nodes.map((one) => [one.pos[1], one.pos[1] + one.size[1]])"
    [(_, end), (start, _)] = browser.run(tops)
    assert start > end  # one below the other
    # In old front ends a field with the focus brings its node to the end of the list.
    browser.run("window.field = app.graph.nodes[0].widgets[0].inputEl; 0")
    browser.wait("field.getBoundingClientRect().width > 0")  # it is drawn
    browser.run("field.value = ''; field.focus()")
    paste(browser)
    browser.wait(f"field.value === {json.dumps(whole)}")
    assert browser.run("app.graph.nodes.length") == 2


@pytest.mark.slow
@NEEDS_IT
def test_comfyui_encodes_json_as_it_was_written(
    address: str, host: Host, open_page: Callable[[str], Browser]
) -> None:
    browser = open_page(address)
    ask(browser, "a red fox")
    pick(browser, "picture_model", "Ideogram 4")
    browser.wait(f"document.querySelector('.text.json') !== null && {READY}")
    made = json.loads(text_of(browser, ".text"))
    copy(browser)
    assert len(pasted(browser, host)) == 1
    queued = browser.run(
        "app.graphToPrompt().then(({ output }) => Object.values(output)[0].inputs)"
    )
    assert json.loads(queued["text"]) == made
