"""The list of tasks: found, followed, changed one by one and many at once."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.console.kit import NARROW, Console, Site

HOURLY = {"every": "1h"}


def add(site: Site, name: str, kind: str = "console.quick", **more: Any) -> dict[str, Any]:
    task: dict[str, Any] = site.client.call(
        "add_task",
        body={"name": name, "taskType": kind, "trigger": HOURLY, "policies": {"retry": {"maxRetries": 0}}} | more,
    )
    return task


@pytest.fixture(scope="module", autouse=True)
def many(site: Site) -> None:
    """More tasks than fit on one page."""
    for number in range(60):
        add(site, f"one of many {number:02}")


def row(page: Page, name: str) -> Locator:
    return page.get_by_role("row").filter(has=page.get_by_role("link", name=name, exact=True))


def test_filters_and_order_are_in_the_address(console: Console) -> None:
    add(console.site, "zebra", "console.long")
    page = console.open("/tasks?text=zebra")
    expect(row(page, "zebra")).to_be_visible()
    expect(page.get_by_text("1 task", exact=True)).to_be_visible()
    page.get_by_label("Name", exact=True).fill("")
    page.get_by_label("Name", exact=True).press("Enter")
    page.get_by_role("button", name="Task", exact=True).click()
    page.get_by_role("button", name="Task ▴").click()
    expect(page).to_have_url(f"{console.site.url}/console/tasks?sortBy=name%3Adesc")
    expect(page.get_by_role("row").nth(1)).to_contain_text("zebra")
    page.reload()
    expect(page.get_by_role("row").nth(1)).to_contain_text("zebra")
    page.get_by_label("Type", exact=True).fill("no.such.type")
    page.get_by_label("Type", exact=True).press("Tab")
    expect(page.get_by_text("No task fits.")).to_be_visible()
    page.get_by_role("button", name="Show all").click()
    expect(row(page, "zebra")).to_be_visible()


def test_pages_are_turned_and_the_browser_goes_back(console: Console) -> None:
    page = console.open("/tasks?text=one of many&sortBy=name")
    expect(row(page, "one of many 00")).to_be_visible()
    page.get_by_role("button", name="Next page").click()
    expect(row(page, "one of many 59")).to_be_visible()
    page.go_back()
    expect(row(page, "one of many 00")).to_be_visible()


def test_row_follows_what_happens(console: Console) -> None:
    client = console.site.client
    add(console.site, "followed", "console.long")
    page = console.open("/tasks?text=followed")
    expect(row(page, "followed")).to_contain_text("Scheduled")
    client.call("run_task", task="followed")
    expect(row(page, "followed")).to_contain_text("Running")
    expect(row(page, "followed").get_by_role("progressbar")).to_be_visible()
    expect(row(page, "followed").locator(".square.is-running")).to_have_count(1)
    execution = client.call("list_executions", task="followed")["list"][0]
    client.call("cancel_execution", execution=execution["id"])
    expect(row(page, "followed")).to_contain_text("Scheduled")
    expect(row(page, "followed").locator(".square.is-cancelled")).to_have_count(1)


def test_failing_task_says_why(console: Console) -> None:
    add(console.site, "broken", "console.fails")
    console.site.client.call("run_task", task="broken")
    page = console.open("/tasks?text=broken")
    expect(row(page, "broken")).to_contain_text("RuntimeError: the disk is full")
    expect(row(page, "broken").locator("a .square.is-failed")).to_have_count(1)


def test_one_task_is_paused_with_a_note_and_activated(console: Console) -> None:
    add(console.site, "by hand")
    page = console.open("/tasks?text=by hand")
    row(page, "by hand").get_by_role("button", name="Pause").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Note").fill("the supplier is away")
    dialog.get_by_role("button", name="As a command").click()
    expect(dialog).to_contain_text("tocsin task pause 'by hand' --note 'the supplier is away'")
    dialog.get_by_role("button", name="Pause").click()
    expect(row(page, "by hand")).to_contain_text("Paused")
    expect(row(page, "by hand")).to_contain_text("the supplier is away")
    row(page, "by hand").get_by_role("button", name="Activate").click()
    dialog.get_by_role("button", name="Activate").click()
    expect(row(page, "by hand")).to_contain_text("Scheduled")


def test_all_that_fit_a_filter_are_paused_at_once_after_a_count(console: Console) -> None:
    page = console.open("/tasks?text=one of many&sortBy=name")
    page.get_by_label("All of this page").check()
    expect(page.get_by_text("50 tasks chosen")).to_be_visible()
    page.get_by_role("button", name="Choose all 60 that fit this filter").click()
    page.get_by_role("region", name="What was chosen").get_by_role("button", name="Pause").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Note").fill("for the night")
    dialog.get_by_role("button", name="Pause: 60 tasks").click()
    expect(page.get_by_text("Pause: 60 tasks")).to_be_visible()
    expect(row(page, "one of many 00")).to_contain_text("Paused")
    assert console.site.client.call("show_task", task="one of many 59")["note"] == "for the night"


def test_what_is_refused_of_many_is_told_with_its_reason(console: Console) -> None:
    add(console.site, "pair: fine")
    add(console.site, "pair: broken", "console.fails")
    console.site.client.call("run_task", task="pair: broken")
    page = console.open("/tasks?text=pair:")
    expect(row(page, "pair: broken")).to_contain_text("RuntimeError")
    page.get_by_label("Choose pair: fine").check()
    page.get_by_label("Choose pair: broken").check()
    page.get_by_role("region", name="What was chosen").get_by_role("button", name="Retry").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_role("button", name="Retry: 2 tasks").click()
    expect(dialog).to_contain_text("1 refused")
    expect(dialog.get_by_role("link", name="pair: fine")).to_be_visible()
    expect(dialog).to_contain_text("has no last execution that failed")


def test_deletion_of_many_wants_a_yes(console: Console) -> None:
    add(console.site, "to go")
    page = console.open("/tasks?text=to go")
    page.get_by_label("Choose to go").check()
    page.get_by_role("button", name="Delete for good").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("button", name="Delete for good: 1 task")).to_be_disabled()
    dialog.get_by_label("Yes, remove them").check()
    dialog.get_by_role("button", name="Delete for good: 1 task").click()
    expect(page.get_by_text("No task fits.")).to_be_visible()


def test_columns_are_chosen_and_remembered(console: Console) -> None:
    page = console.open("/tasks")
    heading = page.get_by_role("columnheader", name="Queue")
    expect(heading).to_have_count(0)
    page.get_by_role("button", name="Columns").click()
    page.get_by_label("Queue").check()
    page.get_by_role("button", name="Done").click()
    expect(heading).to_be_visible()
    page.reload()
    expect(heading).to_be_visible()


def test_flush_counts_before_it_removes(console: Console) -> None:
    page = console.open("/tasks")
    page.get_by_role("button", name="Flush").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Nothing ended so long ago.")
    expect(dialog.get_by_role("button", name="Remove for good")).to_be_disabled()
    dialog.get_by_label("What").select_option("history")
    dialog.get_by_role("button", name="As a command").click()
    expect(dialog).to_contain_text("tocsin purge --older-than 7d")
    expect(dialog).to_contain_text("Nothing ended so long ago.")


def test_own_tasks_of_the_system_are_shown_on_demand(console: Console) -> None:
    page = console.open("/tasks?sortBy=name:desc")
    expect(page.get_by_role("row").nth(1)).to_be_visible()
    expect(page.get_by_role("link", name="system.purge")).to_have_count(0)
    page.get_by_label("The system's own too").check()
    expect(row(page, "system.purge")).to_be_visible()


def test_list_of_many_columns_stacks_where_there_is_no_room(console: Console) -> None:
    console.page.set_viewport_size(NARROW)  # type: ignore[arg-type]
    console.open("/tasks")
    assert not console.overflows()
    assert console.serious_findings() == []
