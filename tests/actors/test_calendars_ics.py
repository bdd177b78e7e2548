"""Calendars read from ICS files."""

from __future__ import annotations

import itertools
from datetime import date, datetime

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given
from hypothesis import strategies as st

from actors.model.calendar import Calendar
from actors.when.ics import MAX_ICS, calendar_from_ics
from actors.when.recurrence import dates, rule_of
from runtime.clock import DAY, Instant, isoformat
from runtime.errors import InvalidRequest, TooLarge

from .trigger_reference import instant

FIRST, LAST = instant("2026-01-01T00:00:00Z"), instant("2028-12-31T23:59:59Z")


def ics(*events: str) -> bytes:
    body = "".join(f"BEGIN:VEVENT\nUID:{number}\n{event}\nEND:VEVENT\n" for number, event in enumerate(events))
    return f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//t//t//EN\n{body}END:VCALENDAR\n".replace("\n", "\r\n").encode()


def read(data: bytes, zone: str = "Europe/Berlin", first: Instant = FIRST, last: Instant = LAST) -> Calendar:
    return calendar_from_ics(data, tenant="acme", name="holidays", version=3, timezone=zone, first=first, last=last)


def days(calendar: Calendar) -> list[tuple[str, str]]:
    return [(date.fromordinal(a).isoformat(), date.fromordinal(b).isoformat()) for a, b in calendar.days]


def windows(calendar: Calendar) -> list[tuple[str, str]]:
    return [(isoformat(a), isoformat(b)) for a, b in calendar.windows]


def test_all_day_events_are_days() -> None:
    calendar = read(
        ics(
            "DTSTART;VALUE=DATE:20261225\nDTEND;VALUE=DATE:20261227",
            "DTSTART;VALUE=DATE:20260501",
            "DTSTART;VALUE=DATE:20260801\nDURATION:P3D",
            "DTSTART;VALUE=DATE:20260102\nSTATUS:CANCELLED",
        )
    )
    assert (calendar.tenant, calendar.name, calendar.version, calendar.timezone) == (
        "acme",
        "holidays",
        3,
        "Europe/Berlin",
    )
    assert days(calendar) == [
        ("2026-05-01", "2026-05-01"),
        ("2026-08-01", "2026-08-03"),
        ("2026-12-25", "2026-12-26"),
    ]
    assert calendar.windows == ()


def test_timed_events_are_windows_by_the_clock_of_their_zone() -> None:
    calendar = read(
        ics(
            "DTSTART:20260701T100000Z\nDTEND:20260701T120000Z",
            "DTSTART;TZID=America/New_York:20260702T100000\nDTEND;TZID=America/New_York:20260702T110000",
            "DTSTART:20260703T100000\nDURATION:PT30M",
            "DTSTART;TZID=Europe/Berlin:20260704T100000\nDTEND:20260704T090000Z",
            "DTSTART;TZID=Europe/Berlin:20260329T023000\nDURATION:PT1H",
        )
    )
    assert windows(calendar) == [
        ("2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"),
        ("2026-07-01T10:00:00Z", "2026-07-01T12:00:00Z"),
        ("2026-07-02T14:00:00Z", "2026-07-02T15:00:00Z"),
        ("2026-07-03T08:00:00Z", "2026-07-03T08:30:00Z"),
        ("2026-07-04T08:00:00Z", "2026-07-04T09:00:00Z"),
    ]


def test_recurring_events_are_written_out_over_the_span() -> None:
    calendar = read(ics("DTSTART;VALUE=DATE:20011003\nRRULE:FREQ=YEARLY"))
    assert [first for first, _ in days(calendar)] == ["2026-10-03", "2027-10-03", "2028-10-03"]
    weekly = read(
        ics(
            "DTSTART;TZID=Europe/Berlin:20260323T090000\nDURATION:PT1H\nRRULE:FREQ=WEEKLY;COUNT=3\n"
            "EXDATE:20260330T070000Z\nRDATE;TZID=Europe/Berlin:20260408T090000"
        )
    )
    assert [first for first, _ in windows(weekly)] == [
        "2026-03-23T08:00:00Z",
        "2026-04-06T07:00:00Z",
        "2026-04-08T07:00:00Z",
    ]


@pytest.mark.parametrize("until", ["20260330T070000Z", "20260330T090000", "20260330"])
def test_the_end_of_a_rule_belongs_to_it(until: str) -> None:
    event = f"DTSTART;TZID=Europe/Berlin:20260323T090000\nDURATION:PT1H\nRRULE:FREQ=WEEKLY;UNTIL={until}"
    assert [first for first, _ in windows(read(ics(event)))] == ["2026-03-23T08:00:00Z", "2026-03-30T07:00:00Z"]


def test_a_rule_may_end_before_the_hour_of_its_last_day() -> None:
    event = "DTSTART;TZID=Europe/Berlin:20260323T090000\nDURATION:PT1H\nRRULE:FREQ=WEEKLY;UNTIL=20260330T060000Z"
    assert [first for first, _ in windows(read(ics(event)))] == ["2026-03-23T08:00:00Z"]


def test_an_event_of_its_own_replaces_an_instance() -> None:
    series = "DTSTART;TZID=Europe/Berlin:20260601T090000\nDURATION:PT1H\nRRULE:FREQ=DAILY;COUNT=3"
    moved = (
        "RECURRENCE-ID;TZID=Europe/Berlin:20260602T090000\nDTSTART;TZID=Europe/Berlin:20260602T150000\nDURATION:PT1H"
    )
    gone = "RECURRENCE-ID:20260603T070000Z\nDTSTART:20260603T070000Z\nDURATION:PT1H\nSTATUS:CANCELLED"
    gone = gone.replace("DTSTART:20260603T070000Z", "DTSTART;TZID=Europe/Berlin:20260603T090000")
    text = ics(series, moved, gone).replace(b"UID:1", b"UID:0").replace(b"UID:2", b"UID:0")
    assert [first for first, _ in windows(read(text))] == ["2026-06-01T07:00:00Z", "2026-06-02T13:00:00Z"]


def test_what_lies_outside_the_span_is_cut() -> None:
    text = ics(
        "DTSTART;VALUE=DATE:20251230\nDTEND;VALUE=DATE:20260103",
        "DTSTART;VALUE=DATE:20300101",
        "DTSTART:20281231T230000Z\nDURATION:PT3H",
    )
    calendar = read(text)
    assert days(calendar) == [("2026-01-01", "2026-01-02")]
    assert windows(calendar) == [("2028-12-31T23:00:00Z", "2028-12-31T23:59:59Z")]


def test_a_zone_that_only_the_file_knows() -> None:
    zone = (
        "BEGIN:VTIMEZONE\nTZID:Office\nBEGIN:STANDARD\nDTSTART:19700101T000000\n"
        "TZOFFSETFROM:+0300\nTZOFFSETTO:+0300\nEND:STANDARD\nEND:VTIMEZONE\n"
    ).replace("\n", "\r\n")
    text = ics("DTSTART;TZID=Office:20260601T090000\nDURATION:PT1H")
    with_zone = text.replace(b"BEGIN:VEVENT", zone.encode() + b"BEGIN:VEVENT", 1)
    assert windows(read(with_zone)) == [("2026-06-01T06:00:00Z", "2026-06-01T07:00:00Z")]
    with pytest.raises(InvalidRequest, match="unknown time zone 'Office'"):
        read(text)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"hello", "not a readable iCalendar file"),
        (b"\xff\xfe\x00", "ics:"),
        (ics("SUMMARY:empty"), "'empty' has no readable 'DTSTART'"),
        (ics("SUMMARY:x\nDTSTART;VALUE=DATE:20260102\nDTEND;VALUE=DATE:20260101"), "'x' ends before it begins"),
        (ics("DTSTART;VALUE=DATE:20260102\nDTEND:20260103T100000Z"), "a date at one end"),
        (ics("DTSTART:20260102T100000Z\nDURATION:PT1H\nRRULE:FREQ=SECONDLY"), "more often than daily"),
        (ics("DTSTART:20260102T100000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY;BYHOUR=1,2"), "BYHOUR is not supported"),
        (ics("DTSTART:20260102T100000Z\nDURATION:PT1H\nRRULE:FREQ=YEARLY;BYMONTH=13"), "BYMONTH=13 is not within"),
        (ics("DTSTART;VALUE=DATE:20260102\nRRULE:FREQ=DAILY;INTERVAL=0"), "INTERVAL=0 is less than 1"),
        (ics("DTSTART;VALUE=DATE:20260102\nRRULE:FREQ=WEEKLY;WKST=1"), "ics: "),
        (ics("DTSTART;VALUE=DATE:18991231\nRRULE:FREQ=YEARLY"), "recurs since 1899-12-31, before 1900"),
        (ics(*["DTSTART;VALUE=DATE:20260102\nRRULE:FREQ=YEARLY"] * 1_001), "more than 1000 recurring"),
        (ics(*[f"DTSTART;VALUE=DATE:{20260101 + n}\nRRULE:FREQ=DAILY" for n in range(12)]), "more than 10000 inst"),
    ],
)
def test_what_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        read(data)


def test_a_rule_that_never_holds_ends() -> None:
    assert read(ics("DTSTART;VALUE=DATE:20260102\nRRULE:FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30")).days == (
        (date(2026, 1, 2).toordinal(), date(2026, 1, 2).toordinal()),
    )


PARTS = {
    "BYMONTH": st.lists(st.integers(1, 12), min_size=1, max_size=2, unique=True),
    "BYMONTHDAY": st.lists(st.sampled_from([1, 13, 28, 30, 31, -1, -3]), min_size=1, max_size=2, unique=True),
    "BYDAY": st.lists(st.sampled_from(["MO", "TU", "FR", "SU"]), min_size=1, max_size=3, unique=True),
    "BYSETPOS": st.lists(st.sampled_from([1, 2, -1, -2]), min_size=1, max_size=2, unique=True),
    "WKST": st.sampled_from([["MO"], ["SU"], ["WE"]]),
    "INTERVAL": st.lists(st.integers(1, 5), min_size=1, max_size=1),
}


@given(
    st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]),
    st.fixed_dictionaries({}, optional=PARTS),
    st.dates(date(2020, 1, 1), date(2024, 12, 31)),
    st.sampled_from(["", "", "1", "2", "-1"]),
)
def test_rules_mean_what_dateutil_says(frequency: str, parts: dict, begin: date, position: str) -> None:
    if position and "BYDAY" in parts and frequency in ("MONTHLY", "YEARLY") and "BYMONTHDAY" not in parts:
        parts["BYDAY"] = [position + day for day in parts["BYDAY"]]
    last = date(2030, 1, 1)
    found = list(dates(rule_of({"FREQ": [frequency], **parts}, begin), begin, last))
    if "BYSETPOS" in parts and frequency == "DAILY":
        return  # dateutil goes through all days until 9999 for a second date in a day
    text = ";".join(f"{key}={','.join(map(str, values))}" for key, values in parts.items())
    midnight = datetime.combine(begin, datetime.min.time())
    series = rrulestr(f"FREQ={frequency};{text}".rstrip(";"), dtstart=midnight)
    assert found == [day.date() for day in itertools.takewhile(lambda day: day.date() <= last, series)]


def test_sizes() -> None:
    with pytest.raises(TooLarge, match="at most"):
        read(b" " * (MAX_ICS + 1))
    with pytest.raises(InvalidRequest, match="50 years"):
        read(ics(), last=Instant(FIRST + 60 * 366 * DAY))
    assert read(ics()).days == ()
