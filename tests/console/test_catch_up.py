"""A real backlog in a browser: what a pause owes, what would become of it, what waits for the governor, and dropping it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.console.conftest import TASKS
from tests.console.kit import NARROW, WIDE, Console, Site, running_site

OWED = ("many <owed>", "more owed")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A node whose governor lets one recovered execution run at a time: what is owed stays to be looked at."""
    slow = {"TOCSIN_CATCH_UP_RATE": "1", "TOCSIN_CATCH_UP_BURST": "1", "TOCSIN_CATCH_UP_RUNNING": "1"}
    with running_site(tmp_path_factory.mktemp("catch up"), TASKS, **slow) as site:
        yield site


def test_what_a_pause_owes_is_previewed_made_up_for_and_dropped(console: Console) -> None:
    site = console.site
    page = console.open("/catch-up")
    governor = page.get_by_role("region", name="The governor")
    expect(governor).to_contain_text("1 start catch_up.burst")
    expect(governor).to_contain_text("1 a second, over the whole cluster")
    expect(governor).to_contain_text("Nobody")
    site.client.call("pause_scheduler", body={"note": "a test"})
    policies = {"catchUp": "all", "overlap": "allow"}
    long = {"taskType": "console.long", "trigger": {"every": "1s"}, "parameters": {"steps": 5000}}
    for name in OWED:
        site.client.call("add_task", body={"name": name, "policies": policies} | long)
    folded = {"name": "folded", "taskType": "console.quick", "trigger": {"every": "1s"}}
    site.client.call("add_task", body=folded | {"policies": {"catchUp": "latest"}})
    rows = page.get_by_role("table", name="Tasks that are owed something").get_by_role("row")
    expect(rows.filter(has_text=OWED[0])).to_be_visible()
    page.get_by_role("button", name="Preview").first.click()
    expect(page).to_have_url(re.compile("preview=all"))
    decided = page.get_by_role("table", name="What would become of what is overdue").get_by_role("row")
    expect(decided.filter(has_text="folded")).to_contain_text("coalesced")
    # More than five seconds late: what is less late never asks the governor.
    expect(decided.filter(has_text=OWED[0]).get_by_role("cell").nth(3)).to_have_text(re.compile("^(8|9|[1-9][0-9])$"))
    assert console.serious_findings() == []
    page.set_viewport_size(NARROW)  # type: ignore[arg-type]
    assert not console.overflows()
    page.set_viewport_size(WIDE)  # type: ignore[arg-type]
    page.get_by_role("button", name="Close").click()
    page.get_by_role("button", name="Resume all").click()
    page.get_by_role("dialog").get_by_role("button", name="Resume all").click()
    for name in OWED:
        expect(rows.filter(has_text=name)).to_contain_text(re.compile("[0-9]+ executions? of"))
        site.client.call("pause_task", task=name, body={})
    expect(governor).to_contain_text("The last may start")
    assert console.serious_findings() == []
    drop_one(page, rows.filter(has_text=OWED[0]).get_by_role("button", name="Discard"))
    expect(rows.filter(has_text=OWED[0])).to_have_count(0)
    page.get_by_role("button", name="Choose all that wait").click()
    drop_one(page, page.get_by_role("button", name="Discard 1 task"))
    expect(governor).to_contain_text("Nobody")
    for name in OWED:
        found = site.client.call("list_outcomes", task=name)["list"]
        assert "skipped" in {row["outcome"] for row in found}
        site.client.call("cancel_task", task=name, permanent=True)
    site.client.call("cancel_task", task="folded", permanent=True)
    expect(page.get_by_text("Nothing is owed.")).to_be_visible()


def drop_one(page: Page, button: Locator) -> None:
    """Press, read how many that are, and do it."""
    button.click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("status")).to_have_text(re.compile(r"^[1-9][0-9]* executions?\."))
    dialog.get_by_role("button", name=re.compile("^Discard: [1-9]")).click()
    expect(dialog).to_have_count(0)
    expect(page.get_by_text(re.compile("^[1-9][0-9]* executions? discarded")).first).to_be_visible()


def test_a_node_that_cannot_tell_says_so(console: Console) -> None:
    console.page.route("**/api/catchup", lambda route: route.fulfill(status=404, json={"error": "NotFound"}))
    page = console.open("/catch-up")
    expect(page.get_by_text("This node cannot tell what is owed.")).to_be_visible()
    console.forgive("404")
