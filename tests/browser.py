"""A headless Chromium, driven through the pipe of its DevTools protocol."""

import base64
import json
import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from axe_core_python.base import AXE_FILE_PATH

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
_TIMEOUT_S = 120.0
_KEYS = {"Escape": 27, "ArrowLeft": 37, "ArrowRight": 39, "Enter": 13, "Tab": 9, "End": 35}


class Browser:
    """A page in a browser of its own, with its profile in `folder`."""

    def __init__(self, folder: Path, *, width: int = 1280, height: int = 900) -> None:
        assert CHROMIUM is not None
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        line = [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            "--disable-background-networking", "--remote-debugging-pipe",
            f"--user-data-dir={folder}", f"--window-size={width},{height}", "about:blank",
        ]  # fmt: skip

        def hand_over() -> None:  # DevTools reads 3 and writes 4
            first, second = os.dup(theirs_in), os.dup(theirs_out)
            os.dup2(first, 3)
            os.dup2(second, 4)

        self._process = subprocess.Popen(
            line, close_fds=False, preexec_fn=hand_over, env={**os.environ, "HOME": str(folder)},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(theirs_in)
        os.close(theirs_out)
        self._in, self._out = os.fdopen(ours_in, "rb"), os.fdopen(ours_out, "wb")
        self._number, self._session, self._left = 0, "", b""
        self.requested: list[str] = []
        self._under_way: set[str] = set()
        self.complaints: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.call(f"{domain}.enable")
        self.resize(width, height)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A command of the protocol, and its result; events on the way are noted."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        self._out.write(json.dumps(message).encode() + b"\0")
        self._out.flush()
        while True:
            found = self._read()
            if found.get("id") == self._number:
                assert "error" not in found, found
                return dict(found["result"])

    def open(self, page: Path, suffix: str = "") -> None:
        """Load a file and wait for it; opening it anew, though only the end may differ."""
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=page.resolve().as_uri() + suffix)
        self.wait("location.href.startsWith('file:') && document.readyState === 'complete'")

    def visit(self, address: str) -> None:
        """Load a page of a server and wait for it."""
        self.call("Page.navigate", url="about:blank")
        self.call("Page.navigate", url=address)
        self.wait("location.href.startsWith('http') && document.readyState === 'complete'")

    def tap(self, selector: str) -> None:
        """A touch in the middle of an element."""
        x, y = self._middle(selector)
        self.call("Emulation.setTouchEmulationEnabled", enabled=True)
        self.call("Input.dispatchTouchEvent", type="touchStart", touchPoints=[{"x": x, "y": y}])
        self.call("Input.dispatchTouchEvent", type="touchEnd", touchPoints=[])

    def _middle(self, selector: str) -> tuple[float, float]:
        self.run(f"document.querySelector({selector!r}).scrollIntoView({{block: 'center'}})")
        x, y = self.run(
            f"(() => {{ const b = document.querySelector({selector!r}).getBoundingClientRect();"
            " return [b.x + b.width / 2, b.y + b.height / 2] })()"
        )
        return x, y

    def run(self, script: str) -> Any:
        """The value of an expression, or of the promise that it is."""
        found = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def wait(self, script: str) -> None:
        """Until an expression is true."""
        end = time.monotonic() + _TIMEOUT_S
        while not self.run(script):
            assert time.monotonic() < end, f"never true: {script}"

    def settle(self) -> None:
        """Until all that the page has asked its server for was answered, and the answers taken."""
        while self._under_way:
            self.run("1")  # what happened meanwhile comes before its answer
        self.run("fetch('/healthz').then((answer) => answer.text())")  # an answer after all others

    def press(self, key: str, *, control: bool = False, shift: bool = False) -> None:
        """A key, as a person presses it."""
        code = _KEYS.get(key) or ord(key.upper())
        about: dict[str, Any] = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        about["modifiers"] = 2 * control + 8 * shift
        writes = not control and (key == "Enter" or len(key) == 1)
        text = {"text": "\r" if key == "Enter" else key} if writes else {}
        self.call("Input.dispatchKeyEvent", type="keyDown", **about, **text)
        self.call("Input.dispatchKeyEvent", type="keyUp", **about)

    def type(self, text: str) -> None:
        """Text where the cursor is."""
        self.call("Input.insertText", text=text)

    def drop(self, file: Path, selector: str) -> None:
        """A file, dragged from outside onto an element."""
        x, y = self._middle(selector)
        data = {"items": [], "files": [str(file)], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            self.call("Input.dispatchDragEvent", type=kind, x=x, y=y, data=data)

    def offline(self, off: bool) -> None:
        """Cut the browser off from the network, or connect it again."""
        about = {"latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        self.call("Network.emulateNetworkConditions", offline=off, **about)

    def click(self, selector: str) -> None:
        """A click with the mouse in the middle of an element."""
        x, y = self._middle(selector)
        about = {"x": x, "y": y, "button": "left", "clickCount": 1}
        self.call("Input.dispatchMouseEvent", type="mousePressed", **about)
        self.call("Input.dispatchMouseEvent", type="mouseReleased", **about)

    def resize(self, width: int, height: int, *, dark: bool = False, phone: bool = False) -> None:
        """Another window."""
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=phone)  # fmt: skip
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.call("Emulation.setEmulatedMedia", features=scheme)

    def shoot(self, path: Path) -> None:
        """A picture of what the window shows."""
        data = self.call("Page.captureScreenshot", format="png")["data"]
        path.write_bytes(base64.b64decode(data))

    def close(self) -> None:
        """End the browser."""
        self._session = ""
        with suppress(OSError, AssertionError):
            self.call("Browser.close")
        self._in.close()
        with suppress(OSError):
            self._out.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._left:
            more = os.read(self._in.fileno(), 1 << 20)
            assert more, "the browser ended"
            self._left += more
        message, _, self._left = self._left.partition(b"\0")
        found: dict[str, Any] = json.loads(message)
        if found.get("method") == "Network.requestWillBeSent":
            self.requested.append(found["params"]["request"]["url"])
            self._under_way.add(found["params"]["requestId"])
        elif found.get("method") in ("Network.loadingFinished", "Network.loadingFailed"):
            self._under_way.discard(found["params"]["requestId"])
        elif found.get("method") == "Log.entryAdded":
            entry = found["params"]["entry"]
            if entry["level"] != "info":  # such as an autofocus that came after a click
                self.complaints.append(entry["text"])
        elif found.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(found["params"]["exceptionDetails"]))
        return found


def violations(browser: Browser, excluded: Mapping[str, str] | None = None) -> list[Any]:
    """What axe finds wrong with the page: rule, impact and elements.

    Args:
        excluded: by rule, a selector of the elements to which it does not apply.
    """
    if not browser.run("'axe' in window"):
        browser.run(Path(AXE_FILE_PATH).read_text("utf-8") + "; 1")
    passed, found = browser.run(
        "((excluded) => axe.run({ elementRef: true }).then((found) => ["
        "  found.passes.length,"
        "  found.violations.map(({ id, impact, nodes }) => [id, impact, nodes"
        "    .filter(({ element }) => !(id in excluded && element.matches(excluded[id])))"
        "    .map(({ html }) => html.slice(0, 200))]).filter(([, , nodes]) => nodes.length),"
        f"]))({json.dumps(excluded or {})})"
    )
    assert passed > 10
    return list(found)
