"""The page that shows what was, is and comes."""

from __future__ import annotations

from itertools import product

from playwright.sync_api import expect

from tests.console.kit import Console

FRAME = 25
"""Milliseconds: a browser tells a page once a picture where the mouse is, and of some that is skipped."""


def test_what_runs_ends_and_comes_is_told_as_it_happens(console: Console) -> None:
    client = console.site.client
    page = console.open("/now")
    client.call("add_task", body={"name": "slow one", "taskType": "console.long", "trigger": {"every": "1h"}})
    client.call("add_task", body={"name": "soon", "taskType": "console.quick", "trigger": {"after": "3s"}})
    coming = page.get_by_role("region", name="Coming next")
    expect(coming.get_by_role("link", name="soon")).to_be_visible()
    client.call("run_task", task="slow one")
    running = page.get_by_role("region", name="Running and waiting")
    expect(running.get_by_role("link", name="slow one")).to_be_visible()
    expect(running.get_by_role("progressbar")).to_be_visible()
    ended = page.get_by_role("region", name="Just ended")
    expect(ended.get_by_role("link", name="soon")).to_be_visible()
    client.call("cancel_task", task="slow one")
    expect(ended.get_by_role("link", name="slow one")).to_be_visible()
    expect(running.get_by_role("link", name="slow one")).to_have_count(0)


def test_axis_has_what_ended_and_leads_to_it(console: Console) -> None:
    client = console.site.client
    client.call("add_task", body={"name": "pointed at", "taskType": "console.quick", "trigger": {"after": "1h"}})
    done = client.call("run_task", task="pointed at")
    page = console.open("/now?span=2m")
    axis = page.get_by_role("img", name="What ran")
    expect(page.get_by_text("on 1 node", exact=False).first).to_be_visible()
    expect(page.get_by_role("region", name="Just ended").get_by_role("link", name="pointed at")).to_be_visible()
    box = axis.bounding_box()
    assert box is not None
    # Now is at six tenths behind the names; what ended lies to the left of it, in one of the rows of the lane.
    words = page.locator(".axis-words", has_text="pointed at")
    now = box["x"] + 84 + (box["width"] - 84) * 0.6
    # With reduced motion it is drawn once a second, so it may be passed over before it is there.
    for _, row, step in product(range(3), (31, 47, 63), range(0, 420, 3)):
        page.mouse.move(now - step, box["y"] + row)
        page.wait_for_timeout(FRAME)
        if words.count():
            break
    expect(words).to_be_visible()
    page.mouse.down()
    page.mouse.up()
    expect(page).to_have_url(f"{console.site.url}/console/executions/{done['id']}")


def test_width_of_the_axis_is_in_the_address(console: Console) -> None:
    page = console.open("/now")
    page.get_by_role("button", name="1h").click()
    expect(page).to_have_url(f"{console.site.url}/console/now?span=1h")
    page.reload()
    expect(page.get_by_role("button", name="1h")).to_have_attribute("aria-pressed", "true")


def test_pause_of_everything_is_told(console: Console) -> None:
    console.site.client.call("pause_scheduler", body={"note": "moving house"})
    try:
        page = console.open("/now")
        expect(page.get_by_text("Nothing fires:")).to_be_visible()
        expect(page.get_by_text("moving house")).to_be_visible()
    finally:
        console.site.client.call("resume_scheduler")
