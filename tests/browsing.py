"""Chromium, where the machine has one, for tests of pages; they are skipped by name without it."""

import shutil
from contextlib import contextmanager

import pytest

playwright = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed (extra: browser)"
)
CHROMIUM = shutil.which("chromium")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")


@contextmanager
def chromium():
    """The browser, without a window."""
    with playwright.sync_playwright() as started:
        found = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


class Windows:
    """Windows of a browser in which no script may fail, and nothing is asked of the network."""

    def __init__(self, browser):
        self.browser = browser
        self.contexts = []
        self.errors = []

    def open(self, address, width=1280, height=900, **settings):
        """A page in a window of its own."""
        size = {"width": width, "height": height}
        self.contexts.append(self.browser.new_context(viewport=size, **settings))
        page = self.contexts[-1].new_page()
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.goto(address)
        page.wait_for_function("state.answer !== null")
        return page

    def close(self):
        """All of them; fails if a script did."""
        for context in self.contexts:
            context.close()
        assert not self.errors
