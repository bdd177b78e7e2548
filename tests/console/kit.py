"""What the tests in the browser share: a page that is watched, and what may be asked of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import BrowserContext, ConsoleMessage, Error, Page, Request, expect

from tests.e2e.harness import NodeProcess
from tocsin.client import Client

SERIOUS = ("serious", "critical")

WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@attrs.frozen
class Site:
    """A node as a browser sees it."""

    url: str
    token: str
    client: Client


@attrs.define(slots=False)
class Console:
    """A page of the console. Whatever it complains of, and whatever it asks of others than the node, is kept.

    Not slotted: Playwright leaves a mark on whose methods it calls.
    """

    site: Site
    page: Page
    complaints: list[str] = attrs.field(factory=list)
    elsewhere: list[str] = attrs.field(factory=list)

    def watch(self) -> None:
        """Begin to keep what the page complains of."""
        self.page.on("console", self._said)
        self.page.on("pageerror", self._thrown)
        self.page.on("request", self._asked)

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(f"{message.type}: {message.text}")

    def _thrown(self, error: Error) -> None:
        self.complaints.append(f"thrown: {error}")

    def _asked(self, request: Request) -> None:
        found, own = urlsplit(request.url), urlsplit(self.site.url)
        if found.scheme not in ("data", "blob") and found.netloc != own.netloc:
            self.elsewhere.append(request.url)

    def log_in(self) -> None:
        """From the door into the console."""
        self.page.goto(f"{self.site.url}/console")
        self.page.get_by_label("Token").fill(self.site.token)
        self.page.get_by_role("button", name="Log in").click()
        expect(self.page.locator(".frame")).to_be_visible()

    def open(self, path: str) -> Page:
        """A page of the console by its address after `/console`, and wait for its heading."""
        self.page.goto(f"{self.site.url}/console{path}")
        expect(self.page.locator("main h1")).to_be_visible()
        return self.page

    def forgive(self, text: str) -> None:
        """A complaint that a test provokes: one with this text in it has to be there."""
        assert any(text in complaint for complaint in self.complaints), self.complaints
        self.excuse(text)

    def excuse(self, text: str) -> None:
        """A complaint that a test may provoke: whether one with this text in it is there is chance."""
        self.complaints = [complaint for complaint in self.complaints if text not in complaint]

    def serious_findings(self) -> list[str]:
        """What axe finds of what is serious or worse: rule, and the first place of it."""
        found: list[dict[str, Any]] = Axe().run(self.page).response["violations"]
        return [
            f"{rule['id']}: {rule['help']}: {rule['nodes'][0]['target']} {rule['nodes'][0]['html'][:200]}"
            for rule in found
            if rule["impact"] in SERIOUS
        ]

    def overflows(self) -> bool:
        """Whether the page is wider than its window."""
        return bool(self.page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"))


@contextmanager
def running_site(folder: Path, tasks: str, **settings: str) -> Iterator[Site]:
    """A node over a directory, with the task types of a module and settings of its own."""
    node = NodeProcess(folder / "data", (tasks,), environment={"TOCSIN_STORE_SYNCHRONOUS": "NORMAL"} | settings)
    try:
        with node.up() as client:
            yield Site(client.url, (node.data / "token").read_text("ascii").strip(), client)
        node.terminate()
    finally:
        node.clean_up()


def new_console(site: Site, context: BrowserContext) -> Console:
    """A new page that is watched."""
    console = Console(site, context.new_page())
    console.watch()
    return console
