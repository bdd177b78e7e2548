"""Calendars: made by pressing days or from iCalendar, shown by the year, deleted when no task uses them."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import expect

from tests.console.kit import NARROW, Console

EVENT = (
    "BEGIN:VEVENT",
    "UID:1",
    "DTSTAMP:20260101T000000Z",
    "DTSTART;VALUE=DATE:20260501",
    "SUMMARY:May",
    "END:VEVENT",
)
ICS = "\n".join(("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:x", *EVENT, "END:VCALENDAR", ""))


def kept(console: Console, name: str) -> dict[str, Any]:
    found: dict[str, Any] = console.site.client.call("show_calendar", calendar=name)
    return found


def test_empty_page_says_how_to_begin_and_a_calendar_is_made_by_pressing_days(console: Console) -> None:
    page = console.open("/calendars?year=2026")
    expect(page.get_by_text("No calendars yet.")).to_be_visible()
    page.get_by_role("button", name="New calendar").click()
    page.get_by_label("Name", exact=True).fill("plant")
    page.get_by_label("Time zone").fill("Europe/Vienna")
    page.get_by_label("sun", exact=True).check()
    page.get_by_role("button", name="2026-12-24", exact=True).click()
    page.get_by_label("Days", exact=True).press("End")
    page.get_by_label("Days", exact=True).fill("2026-12-24\n2026-12-26 .. 2026-12-29")
    page.get_by_role("button", name="2026-12-28: a day of it").click()
    page.get_by_role("button", name="Save").click()
    expect(page).to_have_url(f"{console.site.url}/console/calendars?year=2026&name=plant")
    expect(page.get_by_title("2026-12-24: a day of it")).to_be_visible()
    expect(page.get_by_title("2026-11-29: by its weekday")).to_be_visible()
    expect(page.get_by_title("2026-12-28", exact=True)).to_be_visible()
    assert kept(console, "plant")["days"] == ["2026-12-24", {"first": "2026-12-26", "last": "2026-12-27"}, "2026-12-29"]


def test_error_stands_at_its_field_and_json_is_taken_too(console: Console) -> None:
    page = console.open("/calendars?edit=new&year=2026")
    page.get_by_label("Name", exact=True).fill("second")
    page.get_by_label("Time zone").fill("Europe/Wien")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_label("Time zone")).to_have_attribute("aria-invalid", "true")
    console.forgive("400")
    page.get_by_role("button", name="JSON", exact=True).click()
    page.get_by_label("As JSON").fill('{"windows": [{"begin": "2026-06-01T22:00:00Z", "end": "2026-06-02T02:00:00Z"}]}')
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_title("2026-06-02: some of the day")).to_be_visible()


def test_icalendar_is_read(console: Console) -> None:
    page = console.open("/calendars?edit=new&year=2026")
    page.get_by_label("Name", exact=True).fill("imported")
    page.get_by_role("button", name="iCalendar").click()
    page.get_by_label("Its text").fill(ICS)
    page.get_by_label("Recurring events from").fill("2026-01-01")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_title("2026-05-01: a day of it")).to_be_visible()


def test_calendar_in_use_names_its_tasks_and_is_not_deleted(console: Console) -> None:
    client = console.site.client
    client.call("put_calendar", calendar="used", body={"weekdays": ["sat"]})
    trigger = {"cron": "0 6 * * *", "calendars": [{"calendar": "used"}]}
    client.call("add_task", body={"name": "keeps to it", "taskType": "console.quick", "trigger": trigger})
    page = console.open("/calendars?name=used")
    expect(page.get_by_role("link", name="keeps to it")).to_be_visible()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("dialog").get_by_role("alert")).to_contain_text("keeps to it")
    page.get_by_role("button", name="Leave it").click()
    console.forgive("409")
    client.call("cancel_task", task="keeps to it", permanent=True)
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("dialog").get_by_role("button", name="Delete").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    assert "used" not in [one["name"] for one in client.call("list_calendars")["list"]]


def test_year_is_accessible_and_fits_a_narrow_window(console: Console) -> None:
    console.site.client.call("put_calendar", calendar="wide", body={"weekdays": ["sat"], "days": ["2026-02-02"]})
    for path in ("/calendars?name=wide&year=2026", "/calendars?name=wide&year=2026&edit=1"):
        page = console.open(path)
        expect(page.get_by_text("December", exact=True)).to_be_visible()
        assert console.serious_findings() == []
    console.page.set_viewport_size(NARROW)  # type: ignore[arg-type]
    assert not console.overflows()
