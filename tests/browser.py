"""A real Chromium, driven by playwright: what a reader of a page would see, and what the page asked of the network."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
READY = "html[data-ready=yes]"  # a selector: the page's own policy forbids evaluating a condition again and again


@dataclass
class Opened:
    """A page in the browser, with all that it said, threw, asked for and popped up."""

    page: Any
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def listen(self) -> None:
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: (self.said.append(f"dialog {dialog.message}"), dialog.dismiss()))
        self.page.on("request", lambda request: self.asked.append(request.url))

    def text(self, selector: str) -> str:
        """The text of the first such element, as it is in the document."""
        return str(self.page.locator(selector).first.text_content())

    def field(self, label: str, form: str = "#filter", exact: bool = False) -> Any:
        """A form's field by its label."""
        return self.page.locator(form).get_by_label(label, exact=exact)

    def texts(self, selector: str) -> list[str]:
        return list(self.page.locator(selector).all_text_contents())


@contextmanager
def chromium() -> Iterator[Any]:
    """A headless Chromium; the test is skipped, with the reason, where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = shutil.which("chromium") or pytest.skip("there is no chromium: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def opened(browser: Any, path: Path, **options: Any) -> Iterator[Opened]:
    """A page of the disk, once its scripts have begun."""
    context = browser.new_context(**options)
    found = Opened(context.new_page())
    found.listen()
    found.page.goto(path.as_uri())
    found.page.wait_for_selector(READY, state="attached")
    yield found
    context.close()
