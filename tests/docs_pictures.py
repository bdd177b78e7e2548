"""The pictures of the console in the documentation: `python -m tests.docs_pictures` takes them of a real node that has lived.

Every page, in both colours, at both widths, goes to `docs/assets/console/NAME-{wide,narrow}-{light,dark}.png`; those that no page
of the documentation shows go to the directory that is named, if one is: `python -m tests.docs_pictures /tmp/pictures`.
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, expect, sync_playwright

from tests.console.kit import NARROW, WIDE, Console, Site, new_console
from tests.e2e.harness import NodeProcess
from tests.source import ROOT

TARGET: Final = ROOT / "docs/assets/console"

SIZES: Final = {"wide": WIDE, "narrow": NARROW}

LIVED_SECONDS: Final = 45
"""How long the node runs before it is looked at: an axis needs a past."""

DAY: Final = {"timezone": "Europe/Berlin"}

TASKS: Final[tuple[dict[str, Any], ...]] = (
    {"name": "invoices", "taskType": "shop.report", "trigger": {"cron": "30 2 * * mon-fri", **DAY}, "tags": ["money"]},
    {"name": "stock", "taskType": "shop.sync", "trigger": {"every": "5s"}, "tags": ["shop"]},
    {"name": "prices", "taskType": "shop.sync", "trigger": {"every": "7s"}, "tags": ["shop"]},
    {"name": "mail queue", "taskType": "shop.mail", "trigger": {"every": "9s"}},
    {"name": "nightly backup", "taskType": "shop.backup", "trigger": {"cron": "0 1 * * *", **DAY}},
    {"name": "warehouse", "taskType": "shop.report", "trigger": {"every": "20s"}, "tags": ["money"]},
    {"name": "newsletter", "taskType": "shop.mail", "trigger": {"cron": "0 9 * * tue", **DAY}},
)


def shown() -> set[str]:
    """The pictures that the documents show."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    return {name for page in pages for name in re.findall(r"assets/console/([\w-]+\.png)", page.read_text("utf-8"))}


def furnish(site: Site) -> dict[str, str]:
    """Give the node something to show; answers name -> address of each page."""
    call = site.client.call
    call("put_calendar", calendar="holidays", body={"days": ["2026-12-25", "2026-12-26", "2027-01-01"]})
    for task in TASKS:
        call("add_task", body=task)
    call("pause_task", task="newsletter", body={"note": "until the new layout is there"})
    time.sleep(LIVED_SECONDS)
    running = call("run_task", task="nightly backup")["id"]
    task = call("find_task", reference="warehouse")["itemId"]
    text = (ROOT / "tocsin/console/static/js/pages.js").read_text("utf-8")
    paths = re.findall(r'path: "([^"]+)"', text)
    named = {path: path.replace("/*", "-one").replace("/", "-") for path in paths}
    return {
        named[path]: "/" + path.replace("executions/*", f"executions/{running}").replace("*", task) for path in paths
    }


def pictures(browser: Browser, site: Site, pages: dict[str, str]) -> Iterator[tuple[str, Console]]:
    """Each page, as it is to be taken."""
    for size, viewport in SIZES.items():
        for theme in ("light", "dark"):
            context = browser.new_context(viewport=viewport, color_scheme=theme, locale="en-GB")  # type: ignore[arg-type]
            console = new_console(site, context)
            console.log_in()
            for name, address in pages.items():
                page = console.open(address)
                expect(page.locator(".loading")).to_have_count(0)
                page.wait_for_timeout(800)
                yield f"{name}-{size}-{theme}.png", console
            context.close()


def take(others: Path | None) -> None:
    """Take all of them."""
    wanted = shown()
    TARGET.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        node = NodeProcess(Path(folder) / "data", (str(ROOT / "tests/docs_shop.py"),))
        try:
            client = node.up()
            site = Site(client.url, (node.data / "token").read_text("ascii").strip(), client)
            browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
            for name, console in pictures(browser, site, furnish(site)):
                if name in wanted:
                    console.page.screenshot(path=TARGET / name)
                if others is not None:
                    console.page.screenshot(path=others / name, full_page=True)
            browser.close()
        finally:
            node.clean_up()


if __name__ == "__main__":
    take(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
