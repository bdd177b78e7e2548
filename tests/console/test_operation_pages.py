"""The pages about how a node does: its actors, health, queues and keys, what is owed, what is to come."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.console.kit import Console, Site

Change = Callable[[dict[str, Any]], None]


def answer_changed(page: Page, path: str, change: Change) -> None:
    """Let the page see an answer of the node with something in it that is hard to bring about."""

    def changed(route: Route) -> None:
        response = route.fetch()
        body = response.json()
        change(body)
        route.fulfill(response=response, json=body)

    page.route(re.compile(f"/api{re.escape(path)}(\\?|$)"), changed)


def add(site: Site, name: str, task_type: str = "console.quick", **more: Any) -> str:
    body = {"name": name, "taskType": task_type, "trigger": {"every": "1d"}, **more}
    return str(site.client.call("add_task", body=body)["itemId"])


# -- nodes, where there is one


def test_one_node_says_so_and_how_to_try_three(console: Console) -> None:
    page = console.open("/nodes")
    expect(page.get_by_text("tocsin cluster examples/tasks.py --nodes 3")).to_be_visible()
    expect(page.get_by_text("256 of 256 partitions")).to_be_visible()


def test_what_is_wrong_with_a_cluster_is_said_in_words(console: Console) -> None:
    def wrong(body: dict[str, Any]) -> None:
        [own] = body["list"]
        body["list"].append(
            own | {"name": "far", "here": False, "leader": False, "offsetMs": -2500.0, "address": "a:1"}
        )
        body["list"].append(own | {"name": "zoned", "here": False, "leader": False, "timezoneDatabase": "2020a"})
        body["coordination"]["gate"] = "cold start: 2 of 3 nodes are here"

    answer_changed(console.page, "/nodes", wrong)
    page = console.open("/nodes")
    expect(page.get_by_text("cold start: 2 of 3 nodes are here")).to_be_visible()
    expect(page.get_by_text("2.5 s, far off")).to_be_visible()
    expect(page.get_by_text("Time zone databases differ:")).to_be_visible()
    page = console.open("/health")
    expect(page.get_by_text("The clock of far is off by 2.5 s")).to_be_visible()
    expect(page.get_by_text("Something is wrong: 1 problem below")).to_be_visible()


def test_the_history_of_hand_overs_is_shown_for_a_span_of_the_address(console: Console) -> None:
    page = console.open("/nodes?span=7d")
    spans = page.get_by_role("group", name="How far back")
    expect(spans.get_by_role("button", name="7 days")).to_have_attribute("aria-pressed", "true")
    happened = page.get_by_role("list", name="Hand-overs, the newest first").get_by_role("listitem")
    expect(happened.filter(has_text="Founded")).to_contain_text("256 partitions")
    spans.get_by_role("button", name="10 minutes").click()
    expect(page).to_have_url(re.compile(r"\?span=10m$"))
    expect(page.get_by_text("older version")).to_have_count(0)


def test_a_node_without_a_history_says_so(console: Console) -> None:
    console.page.route(
        "**/api/partitions/history*", lambda route: route.fulfill(status=404, json={"error": "NotFound"})
    )
    page = console.open("/nodes")
    expect(page.get_by_text("This node runs an older version, which keeps no history")).to_be_visible()
    console.forgive("404")


# -- actors


def test_the_tree_is_walked_with_the_keyboard(console: Console) -> None:
    page = console.open("/actors")
    tree = page.get_by_role("tree")
    expect(tree.get_by_role("treeitem", name=re.compile("durable keeper"))).to_be_visible()
    tree.get_by_role("treeitem").first.focus()
    page.keyboard.press("ArrowDown")
    expect(page).to_have_url(re.compile("actor="))
    chosen = tree.locator('[aria-selected="true"]')
    expect(chosen).to_be_focused()
    expect(chosen).to_contain_text("durable")
    page.keyboard.press("ArrowLeft")
    expect(chosen).to_have_attribute("aria-expanded", "false")
    expect(tree.get_by_role("treeitem", name=re.compile("durable keeper"))).to_have_count(0)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(chosen).to_contain_text("durable keeper")
    expect(page.get_by_role("region", name="durable keeper")).to_contain_text("Handled")


def test_actors_in_trouble_come_first_with_the_reason(console: Console) -> None:
    def hurt(body: dict[str, Any]) -> None:
        lane = next(child for child in body["tree"]["children"] if child["name"] == "durable")
        actor = lane["children"][0]
        actor["restarts"] = 2
        actor["last_error"] = "ValueError: <b>bad</b>"
        actor["statistics"]["mailbox"]["depth"] = actor["statistics"]["mailbox"]["capacity"]

    console.page.goto(f"{console.site.url}/console/nodes")
    node = console.site.client.call("list_nodes")["list"][0]["name"]
    answer_changed(console.page, f"/nodes/{node}/tree", hurt)
    page = console.open("/actors")
    trouble = page.get_by_role("status").filter(has_text="Worth a look:")
    expect(trouble).to_contain_text("was started again 2 times after a crash")
    expect(trouble).to_contain_text("ValueError: <b>bad</b>")
    expect(trouble).to_contain_text("messages in a mailbox")
    trouble.get_by_role("button", name="durable keeper").click()
    crash = page.get_by_role("region", name="Last crash")
    expect(crash).to_contain_text("ValueError")
    expect(crash).to_contain_text("<b>bad</b>")


# -- health


def test_health_of_a_node_that_is_well(console: Console) -> None:
    page = console.open("/health")
    expect(page.get_by_text("The node keeps time, and nothing is wrong.")).to_be_visible()
    figures = page.get_by_role("region", name="Figures of this node")
    expect(figures.get_by_role("img", name=re.compile("^Running, attempts: now 0"))).to_be_visible()


def test_a_node_that_keeps_no_time_is_told_with_what_to_do(console: Console) -> None:
    body = {"error": "StoreUnavailable", "code": "503", "message": "the durable store cannot commit: disk full"}
    console.page.route("**/api/health/ready", lambda route: route.fulfill(status=503, body=json.dumps(body)))
    page = console.open("/health")
    expect(page.get_by_text("the durable store cannot commit: disk full")).to_be_visible()
    expect(page.get_by_text("What to do: Look at the disk or the database, and at the log.")).to_be_visible()
    expect(page.get_by_text(re.compile("^Something is wrong"))).to_be_visible()
    console.page.unroute("**/api/health/ready")
    expect(page.get_by_text("The node keeps time, and nothing is wrong.")).to_be_visible()
    console.forgive("503")


def test_a_pause_is_found_by_health_and_ended_in_queues(console: Console) -> None:
    page = console.open("/queues")
    page.get_by_role("button", name="Pause all").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Note").fill("moving <b>house</b>")
    dialog.get_by_role("button", name="As a command").click()
    expect(dialog).to_contain_text("tocsin scheduler pause --note 'moving <b>house</b>'")
    dialog.get_by_role("button", name="Pause all").click()
    expect(page.get_by_text("The scheduler is paused by administrator")).to_be_visible()
    page = console.open("/health")
    expect(page.get_by_text("The scheduler is paused by administrator: moving <b>house</b>")).to_be_visible()
    page = console.open("/queues")
    page.get_by_role("button", name="Resume all").click()
    page.get_by_role("dialog").get_by_role("button", name="Resume all").click()
    expect(page.get_by_role("button", name="Pause all")).to_be_visible()
    assert console.site.client.call("show_scheduler")["paused"] is False


# -- queues and keys


def test_empty_queues_teach(console: Console) -> None:
    page = console.open("/queues")
    expect(page.get_by_text("No queue has a limit, and nobody waits.")).to_be_visible()
    expect(page.get_by_text("Nobody holds a key.")).to_be_visible()


def test_who_holds_a_key_who_waits_and_a_release(console: Console) -> None:
    site = console.site
    key = {"policies": {"concurrency": {"key": "the <warehouse>", "limit": 1}, "queue": "loads"}}
    page = console.open("/queues")
    for name in ("holder", "waiter"):
        add(site, name, "console.long", parameters={"steps": 5000}, **key)
        site.client.call("run_task", task=name)
    shown = page.get_by_role("region", name="Key the <warehouse>")
    expect(shown).to_contain_text("holder holds it in")
    expect(shown).to_contain_text("1 execution waits")
    expect(page.get_by_role("table", name="Queues")).to_contain_text("loads")
    shown.get_by_role("button", name="Release").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("The work goes on, and counts against the key no more")
    dialog.get_by_role("button", name="Release").click()
    expect(shown).to_contain_text("waiter holds it in")
    expect(shown).to_contain_text("Nobody waits for it.")
    for name in ("holder", "waiter"):
        site.client.call("cancel_task", task=name, permanent=True)
    expect(page.get_by_text("Nobody holds a key.")).to_be_visible()


# -- catch-up


def test_nothing_owed_teaches(console: Console) -> None:
    page = console.open("/catch-up")
    expect(page.get_by_text("Nothing is owed.")).to_be_visible()
    expect(page.get_by_text("One run, of the newest time, stands for all. The default.")).to_be_visible()


# -- load map


@pytest.fixture
def crowd(site: Site) -> list[str]:
    """Eight tasks that fire in the same minute of each day, and nothing else."""
    at = datetime.now(UTC)
    names = [f"crowded {number}" for number in range(8)]
    for name in names:
        add(site, name, trigger={"cron": f"{at.minute} {(at.hour + 3) % 24} * * *", "timezone": "UTC"})
    return names


def test_the_worst_minute_is_shown_and_spread(console: Console, crowd: list[str]) -> None:
    page = console.open("/load")
    worst = page.get_by_role("table", name="The worst minutes").get_by_role("row").nth(1)
    expect(worst).to_contain_text("crowded")
    worst.get_by_role("button").click()
    expect(page).to_have_url(re.compile("minute="))
    tasks = page.get_by_role("table", name="Tasks of the minute")
    for name in crowd:
        expect(tasks.get_by_role("link", name=name)).to_be_visible()
    page.get_by_role("button", name="Spread these").click()
    proposal = page.get_by_role("region", name="Proposal")
    expect(proposal).to_contain_text(re.compile("The worst minute falls from [0-9]+ to [0-9]+"))
    proposal.get_by_role("button", name="Apply", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Apply", exact=True).click()
    expect(page.get_by_text("Applied: the load is spread")).to_be_visible()
    for name in crowd:
        console.site.client.call("cancel_task", task=name, permanent=True)


def test_a_proposal_is_looked_at_as_a_plan(console: Console, crowd: list[str]) -> None:
    page = console.open("/load")
    worst = page.get_by_role("table", name="The worst minutes").get_by_role("row").nth(1)
    worst.get_by_role("button").click()
    page.get_by_label("Each may start later by at most").select_option("5m")
    expect(page).to_have_url(re.compile("within=5m"))
    page.get_by_role("button", name="Spread these").click()
    page.get_by_role("button", name="Look at the difference first").click()
    expect(page).to_have_url(re.compile("/plan$"))
    expect(page.locator("textarea").first).to_have_value(re.compile("spread: 5m"))
    for name in crowd:
        console.site.client.call("cancel_task", task=name, permanent=True)


def test_minutes_are_walked_with_the_keyboard(console: Console, crowd: list[str]) -> None:
    page = console.open("/load")
    page.get_by_role("application").first.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(".heat-words").first).to_contain_text(re.compile("fire|not looked at"))
    for name in crowd:
        console.site.client.call("cancel_task", task=name, permanent=True)


SLOW = """
const own = window.fetch;
window.fetch = async (where, options) => {
  if (String(where).startsWith("/api/nodes")) await new Promise((resolve, reject) => {
    setTimeout(resolve, 2500);
    options.signal.addEventListener("abort", () => reject(options.signal.reason));
  });
  return own(where, options);
};
"""


def test_answers_that_take_longer_than_the_time_between_two_looks_are_shown(console: Console) -> None:
    console.page.add_init_script(SLOW)
    page = console.open("/nodes")
    expect(page.get_by_text("256 of 256 partitions")).to_be_visible()
