"""A browser for the run, a node for each module, a watched page for each test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from tests.console.kit import WIDE, Console, Site, new_console, running_site

TASKS = "tests.console.console_tasks"

PATIENCE = 30_000
"""Milliseconds that a page may take for what is expected of it: a bound against hanging."""


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium, without a window."""
    program = shutil.which("chromium")
    assert program, "these tests need Chromium: apt-get install chromium"
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        # The sandbox needs what containers do not give; only the own pages are looked at.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A node with the task types of the tests."""
    with running_site(tmp_path_factory.mktemp("console"), TASKS) as site:
        yield site


@pytest.fixture
def visitor(browser: Browser, site: Site) -> Iterator[Console]:
    """A page before its login. It must not complain, and ask nobody but the node."""
    context = browser.new_context(viewport=WIDE, reduced_motion="reduce")
    context.set_default_timeout(PATIENCE)
    console = new_console(site, context)
    yield console
    context.close()
    assert console.elsewhere == []
    assert console.complaints == []


@pytest.fixture
def console(visitor: Console) -> Console:
    """A page of somebody who has logged in as administrator."""
    visitor.log_in()
    return visitor
