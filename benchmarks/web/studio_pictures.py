"""The pictures of docs/studio.md: `python -m benchmarks.web.studio_pictures docs/studio`."""

import sys
import tempfile
from pathlib import Path

from tests.browser import Browser
from tests.web.server_process import Studio
from tests.web.studio_page import READY, ask, pick

SEED = "17"


def main(folder: Path) -> None:
    """Write light.png, dark.png and phone.png, by the bundled model."""
    studio = Studio(PROMPTLIFT_MODEL="")
    with tempfile.TemporaryDirectory() as profile:
        browser = Browser(Path(profile), width=1200, height=760)
        browser.visit(studio.address)
        browser.wait("document.getElementById('picture_model').options.length > 0")
        browser.run(
            f"document.getElementById('seed').value = '{SEED}';"
            "document.getElementById('seed').dispatchEvent(new Event('input'))"
        )
        ask(browser, "a lighthouse at night")
        browser.click("article .star")
        browser.run("document.activeElement.blur(); scrollTo(0, 0)")
        browser.shoot(folder / "light.png")
        browser.resize(390, 844, phone=True)
        browser.shoot(folder / "phone.png")
        browser.resize(1200, 980, dark=True)
        pick(browser, "picture_model", "FLUX.1")
        browser.wait(READY)
        browser.run("document.querySelector('article details').open = true; scrollTo(0, 0)")
        browser.shoot(folder / "dark.png")
        browser.close()
    studio.kill()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
