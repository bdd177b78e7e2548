"""The way in and out, and what every page has."""

from __future__ import annotations

import subprocess

from playwright.sync_api import expect

from tests.console.kit import Console
from tests.e2e.harness import TOCSIN, environment


def test_token_opens_a_session_and_log_out_ends_it(visitor: Console) -> None:
    visitor.log_in()
    page = visitor.open("/tasks")
    expect(page.get_by_role("heading", name="Tasks", exact=True)).to_be_visible()
    stored = page.evaluate(
        "JSON.stringify([Object.values(localStorage), Object.values(sessionStorage), document.cookie])"
    )
    assert visitor.site.token not in stored
    assert page.context.cookies()[0].get("httpOnly") is True
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_label("Token")).to_be_visible()
    page.reload()
    expect(page.get_by_label("Token")).to_be_visible()


def test_ticket_of_the_command_line_opens_once_and_leaves_the_address(visitor: Console) -> None:
    done = subprocess.run(
        [*TOCSIN, "console", "--print"], capture_output=True, text=True, timeout=60, check=True,
        env=environment(TOCSIN_URL=visitor.site.url, TOCSIN_TOKEN=visitor.site.token),
    )  # fmt: skip
    address = done.stdout.strip()
    visitor.page.goto(address)
    expect(visitor.page.locator(".frame")).to_be_visible()
    assert visitor.page.url == f"{visitor.site.url}/console"
    visitor.page.get_by_role("button", name="Log out").click()
    expect(visitor.page.get_by_label("Token")).to_be_visible()
    visitor.page.goto("about:blank")
    visitor.page.goto(address)
    expect(visitor.page.get_by_text("each is for one log-in")).to_be_visible()
    visitor.forgive("401")


def test_wrong_token_is_refused_with_a_reason(visitor: Console) -> None:
    page = visitor.page
    page.goto(f"{visitor.site.url}/console")
    page.get_by_label("Token").fill("not-a-token")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_contain_text("token")
    visitor.forgive("401")


def test_keys_lead_to_pages_and_do_nothing_while_one_writes(console: Console) -> None:
    page = console.open("/tasks")
    page.keyboard.press("d")
    expect(page).to_have_url(f"{console.site.url}/console/audit")
    page.keyboard.press("j")
    expect(page.get_by_role("heading", name="Tasks", exact=True)).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.type("d")
    expect(page).to_have_url(f"{console.site.url}/console/tasks")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_contain_text("Keys")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_colours_are_chosen_and_kept(console: Console) -> None:
    page = console.open("/tasks")
    page.keyboard.press("t")
    page.keyboard.press("t")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.reload()
    expect(page.locator("main h1")).to_be_visible()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_unknown_address_says_so(console: Console) -> None:
    page = console.open("/nowhere/at/all")
    expect(page.get_by_text("There is nothing under this address.")).to_be_visible()
