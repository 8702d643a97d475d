"""The web page of `tts serve` in a real, headless Chromium."""

from collections.abc import Iterator
from typing import Any

import pytest
from browser import Opened, chromium
from served import Served, config, serving, until
from standins import PATIENCE_SECONDS, Talking


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as found:
        yield found


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving(config(), Talking(width=2, steps=4, seconds=0.1)) as found:
        yield found


class Asking(Opened):
    """The page of a server, as one who asks uses it."""

    def ask(self, task: str, n: str = "") -> None:
        """Type and send."""
        self.page.fill("#task", task)
        self.page.fill("#n", n)
        self.page.click("#ask")

    def waits_for(self, condition: str) -> None:
        """Until a JavaScript condition holds; the page's own policy forbids playwright's way."""
        assert until(lambda: self.page.evaluate(condition)), self.text("body")


def asking(browser: Any, url: str) -> Asking:
    """The page, opened in a browser or one of its contexts."""
    found = Asking(browser.new_page())
    found.page.set_default_timeout(1000 * PATIENCE_SECONDS)
    found.listen()
    found.page.goto(url)
    return found


@pytest.fixture
def page(browser: Any, served: Served) -> Iterator[Asking]:
    found = asking(browser, served.url)
    yield found
    found.page.close()


FINISHED = "document.querySelector('.winner') !== null"


def test_candidates_arrive_one_by_one_and_the_winner_is_shown(page: Asking, served: Served) -> None:
    served.generator.held_from = 2
    page.ask("say it", n="6")
    page.waits_for("document.querySelectorAll('.candidate').length >= 2")
    assert page.page.locator(".candidate").count() == 2  # the others are still being sampled
    served.generator.held_from = None
    page.waits_for(FINISHED)
    assert page.page.locator(".candidate").count() == 6
    assert page.text(".winner summary").startswith("Candidate 5: score 5.000, 15 tokens")
    assert page.text("#answer") == "```python\nprint('say it', 5)\n```"
    assert "Candidate 5 won of 6, margin 1.00" in page.text("#state")
    assert page.text("#model") == "stand-in"
    assert not page.said
    assert all(url.startswith(served.url) for url in page.asked)


def test_hostile_text_is_shown_as_text(page: Asking) -> None:
    hostile = "<img src=x onerror=alert(1)><script>alert(2)</script>\u202e" + "x" * 100_000
    page.ask(hostile)
    page.waits_for(FINISHED)
    assert "<img src=x onerror=alert(1)><script>" in page.text("#answer")
    assert page.page.locator("#answer img, #candidates img, #candidates script").count() == 0
    assert not page.said
    assert page.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_stop_cancels_what_is_sampled(page: Asking, served: Served) -> None:
    page.ask("silent")
    assert until(lambda: served.generator.unfinished == 4)
    page.page.click("#stop")
    assert served.idle()
    page.waits_for("document.getElementById('state').textContent === 'Stopped.'")
    assert page.page.locator("#ask").is_enabled()


def test_what_an_early_answer_saved_is_said(browser: Any) -> None:
    early = config(9, stopping={"name": "fixed", "k": 3, "ahead": 0})
    with serving(early, Talking(width=1, steps=1, seconds=0.01)) as served:
        page = asking(browser, served.url)
        page.ask("hi")
        page.waits_for(FINISHED)
        assert "Stopped early, 6 of 9 not needed: 3 were asked for." in page.text("#state")
        assert page.page.locator(".candidate").count() == 3
        assert not page.said
        page.page.close()


def test_an_error_is_shown_and_the_next_task_works(page: Asking) -> None:
    page.ask("refuse me")
    page.waits_for("document.getElementById('error').textContent !== ''")
    assert "more than this server's context of 2048 tokens" in page.text("#error")
    page.ask("next")
    page.waits_for(FINISHED)
    assert page.text("#error") == ""


def test_a_wrong_key_is_told_and_the_right_one_works(browser: Any) -> None:
    with serving(keys=["right"]) as served:
        page = asking(browser, served.url)
        page.ask("hi")
        page.waits_for("document.getElementById('error').textContent !== ''")
        assert "API key is needed" in page.text("#error")
        page.page.fill("#key", "right")
        page.ask("hi")
        page.waits_for(FINISHED)
        page.page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_is_reached_by_keyboard(browser: Any, served: Served, scheme: str) -> None:
    context = browser.new_context(viewport={"width": 360, "height": 740}, color_scheme=scheme)
    page = asking(context, served.url)
    page.page.focus("#task")
    for _ in range(3):
        page.page.keyboard.press("Tab")
    assert page.page.evaluate("document.activeElement.id") == "ask"
    page.page.keyboard.press("Enter")
    page.waits_for(FINISHED)
    assert page.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert not page.said
    context.close()
