"""The page of a task: what comes, what was, why, and what can be done; live."""

from __future__ import annotations

import re
from typing import Any

from playwright.sync_api import Locator, Page, expect

from tests.console.kit import NARROW, Console, Site

HOURLY = {"every": "1h"}
ONCE = {"retry": {"maxRetries": 0}}


def add(site: Site, name: str, kind: str = "console.quick", **more: Any) -> str:
    body = {"name": name, "taskType": kind, "trigger": HOURLY, "policies": ONCE} | more
    return str(site.client.call("add_task", body=body)["itemId"])


def card(page: Page, name: str) -> Locator:
    return page.get_by_role("region", name=name, exact=True)


def confirm(page: Page, label: str) -> None:
    page.get_by_role("dialog").get_by_role("button", name=label, exact=True).click()


def test_cron_task_is_made_fires_fails_is_retried_explained_paused_and_activated(console: Console) -> None:
    """The life of a task, as one person sees it, without a reload."""
    page = console.open("/new")
    page.get_by_label("Name", exact=True).fill("the whole way")
    page.get_by_label("Task type").select_option("console.fails")
    page.get_by_label("why").fill("the <b>disk</b> is full")
    page.get_by_role("textbox", name="Cron").fill("*/2 * * * * *")
    expect(page.get_by_role("region", name="Preview")).to_contain_text("every 2nd second")
    page.get_by_text("When it fails").click()
    page.get_by_label("Retries", exact=True).fill("1")
    page.get_by_label("Time between attempts", exact=True).fill("1s")
    page.get_by_role("button", name="Make the task").click()
    expect(page.get_by_role("heading", name="the whole way", exact=True)).to_be_visible()

    expect(card(page, "Now")).to_contain_text("next try")
    expect(card(page, "Now")).to_contain_text("RuntimeError: the <b>disk</b> is full")
    expect(card(page, "Ledger").get_by_label("Legend")).to_contain_text("Failed")
    expect(card(page, "Recent executions")).to_contain_text("Failed")
    expect(card(page, "Why")).to_contain_text("'the whole way' runs every 2nd second")

    page.get_by_role("button", name="Pause", exact=True).click()
    page.get_by_label("Note").fill("the disk is being changed")
    confirm(page, "Pause")
    expect(page.locator(".note.warn")).to_contain_text("Paused by administrator: the disk is being changed")
    expect(card(page, "Next times")).to_contain_text("it is paused")
    page.get_by_role("button", name="Activate", exact=True).click()
    confirm(page, "Activate")
    expect(page.get_by_role("button", name="Pause", exact=True)).to_be_visible()
    expect(card(page, "Next times").get_by_role("row")).to_have_count(9)
    console.site.client.call("cancel_task", task="the whole way", permanent=False)
    expect(page.get_by_text("none: it is cancelled")).to_be_visible()


def test_why_of_a_time_is_in_the_address(console: Console) -> None:
    task = add(console.site, "explained", trigger={"cron": "0 6 * * *"})
    page = console.open(f"/tasks/{task}?at=2099-03-01T06:00:00Z")
    expect(card(page, "Why")).to_contain_text("Will fire")
    expect(card(page, "Why")).to_contain_text("is in the future")
    page.get_by_label("At", exact=True).fill("2099-03-01T06:30:00")
    card(page, "Why").get_by_role("button", name="Ask").click()
    expect(page).to_have_url(re.compile(r"at=2099-03-01T\d\d%3A30%3A00\.000Z"))
    card(page, "Why").get_by_role("button", name="The last time").click()
    expect(page).to_have_url(f"{console.site.url}/console/tasks/{task}")


def test_card_of_clock_changes(console: Console) -> None:
    zoned = add(console.site, "zoned", trigger={"cron": "30 2 * * *", "timezone": "Europe/Berlin"})
    page = console.open(f"/tasks/{zoned}")
    expect(card(page, "When clocks change")).to_contain_text("clocks go forward, +01:00 to +02:00")
    expect(card(page, "When clocks change")).to_contain_text("Times that come twice run the first time only.")
    plain = add(console.site, "plain")
    page = console.open(f"/tasks/{plain}")
    expect(card(page, "When clocks change")).to_contain_text("No change of the clock concerns it")


def test_excluded_times_say_by_which_calendar(console: Console) -> None:
    console.site.client.call("put_calendar", calendar="weekend", body={"weekdays": ["sat", "sun"]})
    task = add(console.site, "workdays", trigger={"cron": "0 6 * * *", "calendars": [{"calendar": "weekend"}]})
    page = console.open(f"/tasks/{task}")
    expect(card(page, "Next times").locator("tr.excluded").first).to_contain_text("excluded by weekend")


def test_policies_say_where_they_come_from(console: Console) -> None:
    task = add(console.site, "policed", "console.fails", policies={"priority": 2})
    page = console.open(f"/tasks/{task}")
    policies = card(page, "Policies")
    expect(policies.get_by_role("listitem").filter(has_text="Priority")).to_contain_text("its own")
    expect(policies.get_by_role("listitem").filter(has_text="Time between attempts")).to_contain_text("from its type")
    policies.get_by_text("that are as by default").click()
    expect(policies.get_by_role("listitem").filter(has_text="Times missed")).to_contain_text("default")


def test_history_has_figures_a_chart_and_a_table(console: Console) -> None:
    task = add(console.site, "history")
    page = console.open(f"/tasks/{task}")
    expect(card(page, "History")).to_contain_text("It has not run yet.")
    for _ in range(3):
        console.site.client.call("run_task", task=task)
    history = card(page, "History")
    expect(history.locator("svg .bar")).to_have_count(3)
    expect(history).to_contain_text("median")
    history.get_by_text("The same as a table").click()
    expect(history.get_by_role("row")).to_have_count(4)
    history.get_by_role("button", name="Lateness").click()
    expect(page).to_have_url(re.compile("view=lateness"))


def test_progress_of_what_runs_moves_and_cancel_ends_it(console: Console) -> None:
    task = add(console.site, "moving", "console.long", parameters={"steps": 100_000, "rest": 0.05})
    page = console.open(f"/tasks/{task}")
    page.get_by_role("button", name="Run now").click()
    confirm(page, "Run now")
    expect(card(page, "Now").get_by_role("progressbar")).to_be_visible()
    expect(card(page, "Now")).to_contain_text(re.compile(r"step \d\d"))
    page.get_by_role("button", name="Cancel", exact=True).click()
    confirm(page, "Cancel")
    expect(card(page, "Now").get_by_role("progressbar")).to_have_count(0)
    expect(card(page, "Recent executions")).to_contain_text("Cancelled")


def test_run_with_other_parameters_leaves_the_tasks_own(console: Console) -> None:
    task = add(console.site, "parameters", parameters={"word": "own"})
    page = console.open(f"/tasks/{task}")
    page.get_by_role("button", name="Run with …").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Parameters of this run").fill('{"word": ')
    confirm(page, "Run with …")
    expect(dialog.get_by_role("alert")).to_contain_text("parameters")
    dialog.get_by_label("Parameters of this run").fill('{"word": "other"}')
    confirm(page, "Run with …")
    expect(card(page, "Recent executions")).to_contain_text("by hand")
    listed = console.site.client.call("list_executions", task=task)["list"]
    assert [one["parameters"] for one in listed] == [{"word": "other"}]
    console.forgive("400")


def test_finished_task_is_activated_with_another_trigger(console: Console) -> None:
    task = add(console.site, "again", trigger={"every": "10ms", "maxRuns": 1})
    page = console.open(f"/tasks/{task}")
    expect(page.get_by_text("none: it has finished")).to_be_visible()
    page.get_by_role("button", name="Activate with …").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Kind").select_option("cron")
    dialog.get_by_role("textbox", name="Cron").fill("0 6 * * *")
    expect(dialog.get_by_role("region", name="Preview")).to_contain_text("at 06:00")
    confirm(page, "Activate")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(card(page, "Next times")).to_contain_text("at 06:00")


def test_failed_task_is_retried_and_deleted_for_good(console: Console) -> None:
    task = add(console.site, "failing", "console.fails")
    console.site.client.call("run_task", task=task)
    page = console.open(f"/tasks/{task}")
    page.get_by_role("button", name="Retry", exact=True).click()
    confirm(page, "Retry")
    expect(card(page, "Recent executions").get_by_role("row").nth(1)).to_contain_text("2")
    page.get_by_role("button", name="Delete for good").click()
    confirm(page, "Delete for good")
    expect(page).to_have_url(f"{console.site.url}/console/tasks")
    assert [one["name"] for one in console.site.client.call("list_tasks", text="failing")["list"]] == []


def test_task_that_somebody_else_deletes_says_so(console: Console) -> None:
    task = add(console.site, "doomed")
    page = console.open(f"/tasks/{task}")
    expect(card(page, "Now")).to_contain_text("never")
    console.site.client.call("cancel_task", task=task, permanent=True)
    expect(page.get_by_text("administrator deleted this task, with its history.")).to_be_visible()
    console.excuse("404")  # what the page asked after the deletion, before it was told of it


def test_dependencies_lead_to_each_other(console: Console) -> None:
    add(console.site, "parent")
    child = add(console.site, "child", dependencies=["parent"])
    page = console.open(f"/tasks/{child}")
    page.get_by_role("group", name="Waits for").get_by_role("link", name="parent").click()
    expect(page.get_by_role("heading", name="parent", exact=True)).to_be_visible()
    expect(page.get_by_role("group", name="Waited for by")).to_contain_text("child")


def test_task_is_accessible_and_fits_a_narrow_window(console: Console) -> None:
    task = add(
        console.site,
        "fits",
        trigger={"cron": "30 2 * * *", "timezone": "Europe/Berlin"},
        tags=["a" * 64],
        labels={"b" * 60: "c" * 200},
    )
    for _ in range(2):
        console.site.client.call("run_task", task=task)
    page = console.open(f"/tasks/{task}")
    expect(card(page, "History").locator("svg .bar")).to_have_count(2)
    assert console.serious_findings() == []
    console.page.set_viewport_size(NARROW)  # type: ignore[arg-type]
    assert not console.overflows()


def test_unknown_task_says_so(console: Console) -> None:
    console.page.goto(f"{console.site.url}/console/tasks/no-such-task")
    expect(console.page.get_by_role("alert")).to_contain_text("no task")
    console.forgive("404")
