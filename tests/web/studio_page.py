"""What tests do on the studio's page: type, wait, read, and look for faults."""

import json

from tests.browser import Browser

OUTSIDE = "[...document.querySelectorAll('article .text')].map((one) => one.textContent)"
READY = (
    "document.getElementById('results').getAttribute('aria-busy') === 'false' && "
    "document.querySelectorAll('.why').length > 0 && "
    "[...document.querySelectorAll('article')].every((one) => "
    "!one.querySelector('.chip') || one.querySelector('.why li'))"
)


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


def unfold(browser: Browser) -> None:
    """Open the options."""
    browser.run("document.getElementById('folded').open = true")


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
