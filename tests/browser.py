"""A headless Chromium for tests of the report page, that notes what a page says and asks for."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from bnexp.analysis.presets import question

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def launched() -> Iterator[Any]:
    """The browser; the test is skipped where there is none, unless BNEXP_BROWSER requires it."""
    names = ("chromium", "chromium-browser", "google-chrome")
    executable = next(filter(None, map(shutil.which, names)), None)
    if executable is None:
        if os.environ.get("BNEXP_BROWSER") == "required":
            pytest.fail(f"no browser: none of {', '.join(names)} is installed")
        pytest.skip(f"no browser: none of {', '.join(names)} is installed")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=executable, args=list(FLAGS))
        yield started
        started.close()


def new_tab(browser: Any) -> Any:
    """A tab with `said`, all on its console, and `asked`, all that it asked of a network."""
    opened = browser.new_page(color_scheme="light", viewport={"width": 1200, "height": 900})
    opened.said, opened.asked = [], []
    opened.on("console", lambda message: opened.said.append(message.text))
    opened.on("pageerror", lambda error: opened.said.append(str(error)))
    opened.on("request", lambda request: opened.asked.append(request.url))
    return opened


def opened(page: Any, sweep: str) -> Any:
    """The section of a sweep, unfolded."""
    section = page.locator("details.sweep", has=page.get_by_role("heading", name=headings(sweep)))
    section.evaluate("(one) => { one.open = true; }")
    return section


def headings(sweep: str) -> str:
    """What a sweep's section is called."""
    return question(sweep) or sweep


def chart(page: Any, sweep: str) -> Any:
    """The interactive curves of a sweep, scrolled to, so that they are drawn."""
    if page.locator("details.sweep").count():  # a sweep that is alone is not folded
        opened(page, sweep)
    box = page.get_by_role("group", name=f"Interactive curves of {sweep}", exact=True)
    box.scroll_into_view_if_needed()
    box.locator("canvas").first.wait_for()
    return box
