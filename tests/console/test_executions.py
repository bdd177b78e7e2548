"""The list of executions, and the page of one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, expect

from tests.console.kit import Console


def started(console: Console, name: str, kind: str, **more: Any) -> dict[str, Any]:
    """An execution of a new task, just asked for."""
    client = console.site.client
    client.call("add_task", body={"name": name, "taskType": kind, "trigger": {"every": "1h"}} | more)
    run: dict[str, Any] = client.call("run_task", task=name)
    return run


def card(page: Page, name: str) -> Any:
    return page.get_by_role("region", name=name, exact=True)


def test_newer_ones_are_counted_and_shown_when_asked_for(console: Console) -> None:
    started(console, "first", "console.quick")
    page = console.open("/executions")
    expect(page.get_by_role("link", name="first", exact=True)).to_be_visible()
    expect(page.get_by_text("Live")).to_be_visible()
    # What was read before the events were followed is read once more, within a second.
    page.wait_for_timeout(2_500)
    started(console, "second", "console.quick")
    expect(page.get_by_role("button", name="1 new: show")).to_be_visible()
    expect(page.get_by_role("link", name="second", exact=True)).to_have_count(0)
    page.get_by_role("button", name="1 new: show").click()
    expect(page.get_by_role("link", name="second", exact=True)).to_be_visible()
    page.get_by_label("Follow").check()
    started(console, "third", "console.quick")
    expect(page.get_by_role("link", name="third", exact=True)).to_be_visible()


def test_states_are_switches_and_stand_in_the_address(console: Console) -> None:
    started(console, "goes wrong", "console.fails", policies={"retry": {"maxRetries": 0}})
    started(console, "goes well", "console.quick")
    page = console.open("/executions")
    states = page.get_by_role("group", name="States")
    states.get_by_role("button", name="Failed").click()
    expect(page).to_have_url(re.compile(r"state=FAILED"))
    expect(page.get_by_role("link", name="goes wrong", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name="goes well", exact=True)).to_have_count(0)
    expect(page.get_by_text("RuntimeError: the disk is full")).to_be_visible()
    states.get_by_role("button", name="Completed").click()
    expect(page.get_by_role("link", name="goes well", exact=True)).to_be_visible()
    page.get_by_label("Task", exact=True).fill("goes wrong")
    page.get_by_label("Task", exact=True).press("Tab")
    expect(page.get_by_role("link", name="goes well", exact=True)).to_have_count(0)
    page.reload()
    expect(page.get_by_role("link", name="goes wrong", exact=True)).to_be_visible()
    expect(states.get_by_role("button", name="Failed")).to_have_attribute("aria-pressed", "true")


def test_running_one_is_followed_and_cancelled(console: Console) -> None:
    run = started(console, "long one", "console.long")
    page = console.open(f"/executions/{run['id']}")
    expect(page.get_by_role("heading", name="long one", exact=True)).to_be_visible()
    expect(card(page, "Progress").get_by_role("progressbar")).to_be_visible()
    log = page.get_by_role("log")
    expect(log).to_contain_text("step 3 of 1000")
    expect(card(page, "Progress")).to_contain_text("a second")
    page.get_by_role("button", name="Cancel").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Note").fill("wrong <i>region</i>")
    dialog.get_by_role("button", name="As a command").click()
    expect(dialog).to_contain_text(f"tocsin execution cancel {run['id']} --note 'wrong <i>region</i>'")
    dialog.get_by_role("button", name="Cancel").click()
    expect(page.locator(".head .state")).to_have_text("Cancelled")
    expect(page.get_by_text("Cancelled by administrator: wrong <i>region</i>", exact=True)).to_be_visible()
    expect(card(page, "Checkpoint")).to_be_visible()


def test_log_is_filtered_paused_and_downloaded(console: Console, tmp_path: Path) -> None:
    run = started(console, "talks", "console.long", parameters={"steps": 2000, "rest": 0.05})
    page = console.open(f"/executions/{run['id']}")
    log = page.get_by_role("log")
    expect(log).to_contain_text("step 40 of")
    log.evaluate("(box) => { box.scrollTop = 0; }")
    expect(page.get_by_role("button", name="Follow ↓")).to_be_visible()
    page.get_by_role("button", name="Follow ↓").click()
    expect(page.get_by_role("button", name="Follow ↓")).to_have_count(0)
    page.get_by_label("Find in the log").fill("step 7 of")
    expect(log.locator(".line")).to_have_count(1)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    target = tmp_path / "log"
    download.value.save_as(target)
    assert re.fullmatch(r"\S+Z INFO \[1\] step 7 of 2000\n", target.read_text("utf-8"))
    page.get_by_label("Find in the log").fill("")
    page.get_by_label("Level").select_option("error")
    expect(page.get_by_text("No line fits.")).to_be_visible()
    expect(page).to_have_url(re.compile("log=error"))
    console.site.client.call("cancel_execution", execution=run["id"])


def test_failure_shows_the_users_own_frames_and_each_try(console: Console) -> None:
    run = started(console, "fails twice", "console.fails", policies={"retry": {"maxRetries": 1, "delay": "1s"}})
    page = console.open(f"/executions/{run['id']}")
    expect(page.locator(".head .state")).to_have_text("Failed")
    wrong = card(page, "What went wrong")
    expect(wrong).to_contain_text("RuntimeError")
    expect(wrong).to_contain_text("the disk is full")
    frames = wrong.get_by_role("list", name="Where, the innermost first")
    expect(frames.get_by_role("listitem")).to_have_count(1)
    expect(frames).to_contain_text("raise RuntimeError(why)")
    wrong.get_by_text("The whole traceback").click()
    expect(wrong).to_contain_text("Traceback (most recent call last)")
    expect(card(page, "Attempts").get_by_role("listitem")).to_have_count(2)
    expect(card(page, "Why")).to_contain_text("Attempt 2")
    page.get_by_role("button", name="Retry", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Retry").click()
    expect(card(page, "Attempts").get_by_role("listitem")).to_have_count(3)


def test_result_and_parameters_are_shown_and_run_again(console: Console) -> None:
    client = console.site.client
    client.call("add_task", body={"name": "speaks", "taskType": "console.quick", "trigger": {"every": "1h"}})
    run = client.call("run_task", task="speaks", body={"parameters": {"word": "<b>hi</b>"}})
    page = console.open(f"/executions/{run['id']}")
    expect(card(page, "Result")).to_contain_text('"<b>hi</b>"')
    expect(card(page, "Parameters")).to_contain_text("of this run alone")
    page.get_by_role("button", name="Run again").click()
    page.get_by_role("dialog").get_by_role("button", name="Run again").click()
    expect(page).not_to_have_url(re.compile(run["id"]))
    expect(card(page, "Result")).to_contain_text('"<b>hi</b>"')
    expect(card(page, "Parameters")).to_contain_text("of this run alone")
    page.get_by_role("link", name="Before").click()
    expect(page).to_have_url(re.compile(run["id"]))
    expect(page.get_by_role("link", name="Next")).to_be_visible()
    page.keyboard.press("]")
    expect(page).not_to_have_url(re.compile(run["id"]))


def test_unknown_execution_says_so(console: Console) -> None:
    page = console.open("/executions/01a20000-0000-7000-8000-000000000000")
    expect(page.get_by_role("alert")).to_contain_text("no execution")
    console.forgive("404")
