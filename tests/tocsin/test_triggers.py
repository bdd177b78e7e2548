"""Triggers as they are written: the golden definition, calendar intervals from what people say, unions, seeds."""

from __future__ import annotations

import zlib
from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.model.trigger import UNBOUNDED, Bounds, CalendarInterval, Cron, Interval, Once, Trigger, Union
from actors.when.triggers import upcoming
from runtime.clock import DAY, HOUR, MINUTE, SECOND, Instant, Micros, from_datetime, to_datetime
from runtime.errors import InvalidRequest
from tests.tocsin.bad_input import CALENDAR, KNOWN, NOW
from tests.tocsin.test_builder import FakeNode
from tocsin.building.builder import TaskBuilder
from tocsin.cli.bodies import trigger_body
from tocsin.cli.options import When
from tocsin.vocabulary.triggers import seeded, trigger_from_json
from tocsin.vocabulary.words import WEEKDAYS

FEBRUARY = from_datetime(datetime(2026, 2, 10, 12, tzinfo=UTC))
"""A Tuesday."""


def build(builder: TaskBuilder) -> tuple[Trigger, Bounds]:
    found = builder.build(KNOWN)
    return found.trigger, found.bounds


def new() -> TaskBuilder:
    return TaskBuilder(FakeNode(), "greet")


def test_after_two_weeks_twice_an_hour_twelve_times_is_one_definition() -> None:
    start = Instant(NOW + 14 * DAY)
    golden = Interval(Micros(30 * MINUTE), start), Bounds(start, None, 12)
    assert trigger_from_json({"every": "30m", "start": "2w", "maxRuns": 12}, NOW) == golden
    assert build(new().with_period("30m").starting("2w").max_runs(12)) == golden
    assert trigger_from_json(trigger_body(When(every=["30m"], start="2w", max_runs=12)), NOW) == golden
    assert len(upcoming(*golden, NOW, 3)) == 3
    assert upcoming(*golden, NOW, 1) == [start]


BERLIN = "Europe/Berlin"
MIDNIGHT = Micros(0)
CALENDAR_INTERVAL = CalendarInterval(
    1, "month", date(2027, 1, 31).toordinal(), Micros(9 * HOUR + 30 * MINUTE), BERLIN, "last_day", "skip", "both"
)

SAME: list[tuple[dict[str, Any], TaskBuilder, When, tuple[Trigger, Bounds]]] = [
    (
        {"everyMonths": 1, "day": 31, "at": "09:30", "missing": "last_day", "timezone": BERLIN, "gap": "skip", "fold": "both"},
        new().every_months(1, day=31, at=time(9, 30), missing="last_day", timezone=BERLIN, gap="skip", fold="both"),
        When(every_months=1, day="31", at=["9:30"], missing="last_day", timezone=BERLIN, gap="skip", fold="both"),
        (CALENDAR_INTERVAL, UNBOUNDED),
    ),
    (
        {"everyMonths": 3, "anchor": "2027-01-31"},
        new().every_months(3, anchor=date(2027, 1, 31)),
        When(every_months=3, anchor="2027-01-31"),
        (CalendarInterval(3, "month", date(2027, 1, 31).toordinal(), MIDNIGHT), UNBOUNDED),
    ),
    (
        {"everyDays": 2, "at": "23:00"},
        new().every_days(2, at="23:00"),
        When(every_days=2, at=["23:00"]),
        (CalendarInterval(2, "day", date(2027, 1, 15).toordinal(), Micros(23 * HOUR)), UNBOUNDED),
    ),
    (
        {"everyWeeks": 2, "weekday": "mon", "start": "1d"},
        new().every_weeks(2, weekday="mon").starting("1d"),
        When(every_weeks=2, weekday="mon", start="1d"),
        (
            CalendarInterval(2, "week", date(2027, 1, 18).toordinal(), Micros(8 * HOUR)),
            Bounds(Instant(NOW + DAY)),
        ),
    ),
    (
        {"everyYears": 1, "month": 12, "day": 24, "at": "18:00:00.5"},
        new().every_years(1, month=12, day=24, at="18:00:00.5"),
        When(every_years=1, month=12, day="24", at=["18:00:00.500"]),
        (
            CalendarInterval(1, "year", date(2027, 12, 24).toordinal(), Micros(18 * HOUR + 500_000)),
            UNBOUNDED,
        ),
    ),
    (
        {"any": [{"cron": "0 9 * * mon"}, {"cron": "0 17 * * fri"}], "timezone": BERLIN, "maxRuns": 4, "end": "90d"},
        new().with_cron("0 9 * * mon", timezone=BERLIN).or_cron("0 17 * * fri", timezone=BERLIN).max_runs(4).ending("90d"),
        When(cron=["0 9 * * mon", "0 17 * * fri"], timezone=BERLIN, max_runs=4, end="90d"),
        (
            Union((Cron("0 9 * * mon", BERLIN), Cron("0 17 * * fri", BERLIN))),
            Bounds(None, Instant(NOW + 90 * DAY), 4),
        ),
    ),
    (
        {"any": [{"every": "10m"}, {"every": "1h30m"}, {"everyMonths": 1, "day": 1}]},
        new().with_period("10m").or_every("1h30m").or_trigger({"everyMonths": 1, "day": 1}),
        When(every=["10m", "1h30m"], every_months=1, day="1"),
        (
            Union((
                Interval(Micros(10 * MINUTE), NOW), Interval(Micros(90 * MINUTE), NOW),
                CalendarInterval(1, "month", date(2027, 2, 1).toordinal(), MIDNIGHT),
            )),
            UNBOUNDED,
        ),
    ),
    (
        {"every": "1d", "spread": "10m", "calendars": [{"calendar": "holidays", "shift": "next"}]},
        new().with_period("1d").spread("10m").excluding("holidays", shift="next"),
        When(every=["1d"], spread="10m", exclude=["holidays:next"]),
        None,  # type: ignore[list-item]
    ),
    (
        {"cron": "0 0 * * *", "calendars": [{"calendar": "holidays", "mode": "include"}]},
        new().with_cron("0 0 * * *").including("holidays"),
        When(cron=["0 0 * * *"], include=["holidays"]),
        None,  # type: ignore[list-item]
    ),
    (
        {"every": "90s", "fixedDelay": True, "start": "2027-02-01T00:00:00Z"},
        new().with_fixed_delay(timedelta(seconds=90)).starting(datetime(2027, 2, 1, tzinfo=UTC)),
        When(every=["90s"], fixed_delay=True, start="2027-02-01T00:00:00Z"),
        (
            Interval(Micros(90 * SECOND), from_datetime(datetime(2027, 2, 1, tzinfo=UTC)), fixed_delay=True),
            Bounds(from_datetime(datetime(2027, 2, 1, tzinfo=UTC))),
        ),
    ),
    ({"after": "2h"}, new().after("2h"), When(in_="2h"), (Once(Instant(NOW + 2 * HOUR)), UNBOUNDED)),
    (
        {"at": "2027-06-01T14:00:00", "timezone": BERLIN},
        new().at(datetime(2027, 6, 1, 12, tzinfo=UTC)),
        When(at=["2027-06-01 14:00"], timezone=BERLIN),
        (Once(from_datetime(datetime(2027, 6, 1, 12, tzinfo=UTC))), UNBOUNDED),
    ),
]  # fmt: skip


@pytest.mark.parametrize(("body", "builder", "typed", "expected"), SAME, ids=lambda value: str(value)[:60])
def test_the_same_is_said_in_json_in_python_and_on_the_command_line(
    body: dict[str, Any], builder: TaskBuilder, typed: When, expected: tuple[Trigger, Bounds] | None
) -> None:
    found = trigger_from_json(body, NOW, known=KNOWN)
    assert build(builder) == found
    assert build(new().with_trigger(body)) == found
    assert trigger_from_json(trigger_body(typed), NOW, known=KNOWN) == found
    if expected is not None:
        assert found == expected
    else:
        assert found[1].calendars[0].calendar == CALENDAR


def test_bounds_of_the_builder_stand_beside_those_of_a_trigger_object() -> None:
    body = {"everyDays": 1, "at": "10:00", "calendars": ["holidays"]}
    found = build(new().with_trigger(body).max_runs(3).spread("5m").starting("1d").ending("9d"))
    said = body | {"maxRuns": 3, "spread": "5m", "start": "1d", "end": "9d"}
    assert found == trigger_from_json(said, NOW, known=KNOWN)


@pytest.mark.parametrize(
    ("builder", "complaint"),
    [
        (new().every_days(1).or_trigger({"every": "5m", "maxRuns": 3}), "any[1].maxRuns: does not go with every"),
        (new().with_fixed_delay("5m").or_every("1h"), "trigger.any[0].fixedDelay: does not go with a union"),
        (new().with_trigger({"any": [{"every": "5m"}]}).or_every("1h"), "trigger: a union holds no other"),
        (new().or_every("1h"), "needs one, for example"),
        (new().after("1h").max_runs(2), "trigger.maxRuns: does not go with a trigger that fires once: 2"),
        (new().with_period("1h").starting("2w").ending("1w"), "trigger.start"),
        (new().with_period("1h").excluding("nothing"), "calendars[0].calendar: no calendar 'nothing'"),
        (new().with_period("1h").excluding("holidays").including("holidays"), "calendars: each calendar only once"),
        (new().with_period("1h").excluding("holidays", shift="x"), "calendars[0].shift: one of skip, next, previous"),
        (new().every_weeks(1, weekday="monday"), "trigger.weekday: one of mon"),
    ],
)
def test_wrong_verbs_are_named(builder: TaskBuilder, complaint: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        builder.build(KNOWN)
    assert complaint in str(caught.value)


@pytest.mark.parametrize("verb", [lambda task: task.or_trigger("5m"), lambda task: task.with_trigger("5m")])
def test_a_trigger_object_is_an_object(verb: Any) -> None:
    with pytest.raises(InvalidRequest, match="trigger: an object, not '5m'"):
        verb(new())


FIRSTS: list[tuple[dict[str, Any], list[str]]] = [
    ({"everyMonths": 1, "day": 31, "missing": "last_day"}, ["2026-02-28", "2026-03-31", "2026-04-30"]),
    ({"everyMonths": 3, "day": 31, "missing": "last_day"}, ["2026-02-28", "2026-05-31", "2026-08-31"]),
    ({"everyMonths": 1, "day": 31}, ["2026-03-31", "2026-05-31", "2026-07-31"]),
    ({"everyMonths": 12, "day": 31, "missing": "last_day"}, ["2026-03-31", "2027-03-31"]),
    ({"everyMonths": 1, "day": "last"}, ["2026-02-28", "2026-03-31"]),
    ({"everyMonths": 1, "day": 10, "at": "11:00"}, ["2026-03-10", "2026-04-10"]),
    ({"everyMonths": 1, "day": 10, "at": "13:00"}, ["2026-02-10", "2026-03-10"]),
    ({"everyWeeks": 2, "weekday": "tue", "at": "11:00"}, ["2026-02-17", "2026-03-03"]),
    ({"everyWeeks": 1}, ["2026-02-11", "2026-02-18"]),
    ({"everyYears": 1, "month": 2, "day": 29}, ["2028-02-29", "2032-02-29"]),
    ({"everyYears": 1, "month": 2, "day": 29, "missing": "last_day"}, ["2026-02-28", "2027-02-28", "2028-02-29"]),
    ({"everyYears": 4, "month": 2, "day": "last"}, ["2028-02-29", "2032-02-29"]),
    ({"everyYears": 1, "month": 2, "day": "last"}, ["2026-02-28", "2027-02-28", "2028-02-29"]),
]


@pytest.mark.parametrize(("body", "days"), FIRSTS, ids=str)
def test_the_first_day_is_the_next_that_fits(body: dict[str, Any], days: list[str]) -> None:
    found = upcoming(*trigger_from_json(body, FEBRUARY), FEBRUARY, len(days))
    assert [to_datetime(instant).date().isoformat() for instant in found] == days


def fits(day: date, said: dict[str, Any]) -> bool:
    """The rule in words: the weekday, or the day of the month (its last one where it is short and that is wanted)."""
    if "weekday" in said:
        return day.weekday() == WEEKDAYS.index(said["weekday"])
    if "month" in said and day.month != said["month"]:
        return False
    length = monthrange(day.year, day.month)[1]
    wanted = (
        min(31 if said["day"] == "last" else said["day"], length)
        if "missing" in said or said["day"] == "last"
        else said["day"]
    )
    return bool(day.day == wanted)


said_of_months = st.fixed_dictionaries(
    {"everyMonths": st.integers(1, 11), "day": st.integers(1, 31) | st.just("last")},
    optional={"missing": st.just("last_day")},
).filter(lambda said: said["everyMonths"] % 12 or said["day"] != 29)
said_of_weeks = st.fixed_dictionaries({"everyWeeks": st.integers(1, 9), "weekday": st.sampled_from(WEEKDAYS)})
said_of_years = st.fixed_dictionaries(
    {"everyYears": st.just(1), "month": st.integers(1, 12), "day": st.integers(1, 28)}
)


@given(
    st.one_of(said_of_months, said_of_weeks, said_of_years),
    st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)),  # noqa: DTZ001
    st.integers(0, 23),
)
def test_the_first_slot_is_the_first_fitting_day_from_now_on(said: dict[str, Any], naive: datetime, hour: int) -> None:
    now = from_datetime(naive.replace(tzinfo=UTC))
    first = upcoming(*trigger_from_json(said | {"at": f"{hour:02}:00"}, now), Instant(now - 1), 1)[0]
    candidates = (naive.date() + timedelta(days=number) for number in range(800))
    at = time(hour)
    expected = next(
        day for day in candidates if fits(day, said) and datetime.combine(day, at, UTC) >= naive.replace(tzinfo=UTC)
    )
    assert to_datetime(first) == datetime.combine(expected, at, UTC)


def test_a_seed_is_there_only_for_what_spreads_by_it() -> None:
    task_id = "01890000-0000-7000-8000-000000000001"
    spread = Cron("H H * * *")
    assert seeded(spread, task_id) == Cron("H H * * *", seed=zlib.crc32(task_id.encode()))
    plain: tuple[Trigger, ...] = (Cron("0 0 * * thu"), Cron("@hourly"), Interval(Micros(SECOND), NOW), Once(NOW))
    assert [seeded(one, task_id) for one in plain] == list(plain)
    both = seeded(Union((spread, Once(NOW))), task_id)
    assert both == Union((Cron("H H * * *", seed=zlib.crc32(task_id.encode())), Once(NOW)))
