"""A year of mixed schedules in ten zones on a node whose time is virtual, equal to what brute force enumerates.

`YEAR_SCHEDULES=1000` is the whole of it, in less than two minutes; the suite takes a part of it.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from datetime import UTC, date, datetime, timedelta

import tocsin
from actors.handling.catalogue import Catalogue, task_type
from actors.model.calendar import CalendarRule, calendar_of
from actors.model.task import Definition, Task
from actors.model.trigger import (
    UNBOUNDED,
    Bounds,
    CalendarInterval,
    Cron,
    Interval,
    Missing,
    Single,
    Trigger,
    Union,
    Unit,
)
from actors.store.answers import OutcomeRow
from runtime.clock import DAY, HOUR, MINUTE, SECOND, Instant, Micros, from_datetime
from tests.rehearsal.kit import keeping
from tests.scenarios.year_reference import Year, excluded
from tocsin import testing
from tocsin.testing import VirtualNode

SCHEDULES = int(os.environ.get("YEAR_SCHEDULES", "100"))
START = datetime(2026, 1, 1, tzinfo=UTC)
END = datetime(2027, 1, 1, tzinfo=UTC)
ZONES = (
    "UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe",
    "America/St_Johns", "Africa/Casablanca", "Pacific/Apia", "America/Santiago", "Asia/Tokyo",
)  # fmt: skip
HOLIDAYS = calendar_of(
    "", "holidays", 1, "Europe/Berlin", days=[(date(2026, 12, 24).toordinal(), date(2026, 12, 26).toordinal())], weekdays=(5, 6)
)  # fmt: skip
NOT_ON_HOLIDAYS = CalendarRule(HOLIDAYS)


async def nothing(ctx: tocsin.Context) -> None:
    """Takes no time."""


def mixed(chance: random.Random, number: int) -> tuple[Trigger, Bounds]:
    """One of the kinds of schedules that people have, in one of the ten zones."""
    zone = ZONES[number % len(ZONES)]
    kind = chance.randrange(20)
    if kind < 13:
        return cron(chance, zone), UNBOUNDED
    if kind < 14:
        return Cron(f"{chance.randrange(60)} {chance.randrange(24)} * * *", zone), Bounds(calendars=(NOT_ON_HOLIDAYS,))
    if kind < 16:
        return interval(chance), UNBOUNDED
    if kind < 18:
        return calendar_interval(chance, zone), UNBOUNDED
    return Union((cron(chance, zone), calendar_interval(chance, ZONES[chance.randrange(10)]))), UNBOUNDED


def cron(chance: random.Random, zone: str) -> Cron:
    minute, hour = chance.choice((0, 0, 0, 15, 30, chance.randrange(60))), chance.randrange(24)
    return Cron(
        chance.choice(
            (
                f"{minute} {hour} * * *",
                f"{minute} {hour} * * mon-fri",
                *(f"{minute} {hour} * * {chance.randrange(7)}" for _ in range(6)),
                *(f"{minute} {hour} {chance.randrange(1, 32)} * *" for _ in range(4)),
                f"{minute} {hour},{(hour + 7) % 24} 1,15 * *",
                f"{minute} {hour} 1 */2 *",
                f"*/20 {hour} * * 0",
                f"{minute} */6 * * 1",
            )
        ),
        zone,
    )


def interval(chance: random.Random) -> Interval:
    every = chance.choice((2 * DAY, 3 * DAY, 7 * DAY, 11 * DAY, DAY + 7 * SECOND))
    return Interval(Micros(every), Instant(from_datetime(START) + chance.randrange(7 * 24 * 60) * MINUTE))


def calendar_interval(chance: random.Random, zone: str) -> Single:
    first = date(2025, 12, 1) + timedelta(days=chance.randrange(60))
    time_of_day = Micros(chance.randrange(24) * HOUR + chance.choice((0, 30)) * MINUTE)
    unit: Unit = chance.choice(("day", "week", "month", "year"))
    missing: Missing = chance.choice(("skip", "last_day"))
    return CalendarInterval(chance.randrange(1, 4), unit, first.toordinal(), time_of_day, zone, missing)


def checked(task: Task, rows: list[OutcomeRow], slots: list[int]) -> Counter[str]:
    """Each slot of the enumeration has exactly one outcome, and nothing else has one."""
    rules = task.definition.bounds.calendars
    outcomes: Counter[str] = Counter()
    place = 0
    for row in rows:
        assert slots[place] == row.first, f"{task.definition}: row {row} where {slots[place]} comes next"
        inside = [at for at in slots[place:] if at <= row.last] if row.last > row.first else slots[place : place + 1]
        assert len(inside) == row.count and inside[-1] == row.last, f"{task.definition}: {row}"
        for at in inside:
            assert any(excluded(rule, at) for rule in rules) == (row.reason == "calendar"), f"{row} at {at}"
        outcomes[f"{row.outcome}" if row.reason is None else f"{row.outcome}: {row.reason}"] += len(inside)
        place += len(inside)
    left = [at for at in slots[place:] if not any(excluded(rule, at) for rule in rules)]
    assert not left, f"{task.definition}: {left[:3]} have no outcome"
    return outcomes


def test_a_year_of_mixed_schedules_equals_the_enumeration():
    chance = random.Random(2026)
    when = [mixed(chance, number) for number in range(SCHEDULES)]
    year = Year(int(START.timestamp()), int(END.timestamp()))

    async def check(node: VirtualNode) -> Counter[str]:
        began = node.world.now()
        definitions = [
            Definition(node.world.new_id(), f"schedule {number}", "nothing", trigger, bounds, created_at=began)
            for number, (trigger, bounds) in enumerate(when)
        ]
        assert await node.inner.calendars.put(HOLIDAYS, "test") == HOLIDAYS
        made = await node.create(definitions, "test")
        tasks = [task for task in made if isinstance(task, Task)]
        assert len(tasks) == SCHEDULES, [error for error in made if isinstance(error, Exception)][:1]
        await node.advance(to=datetime(2026, 3, 29, 0, 50, tzinfo=UTC))
        await node.crash(down="6h")
        await node.advance(to=END)
        total: Counter[str] = Counter()
        for task in tasks:
            rows = await node.inner.outcomes(task.id, since=Instant(0), until=node.world.now(), limit=10_000)
            total += checked(task, rows, year.slots(task.definition.trigger))
        return total

    total = testing.run(
        check, start=START, catalogue=Catalogue([task_type("nothing", nothing)]), retention=keeping(Micros(3_650 * DAY))
    )
    assert total["fired"] > SCHEDULES * 50
    assert sum(total.values()) < 300_000
    assert total["late: downtime"] > 0
    assert total["skipped: calendar"] > 0
    assert set(total) <= {"fired", "late: downtime", "coalesced: catch_up", "skipped: calendar"}
