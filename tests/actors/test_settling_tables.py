"""Late and missed, row by row: every catch-up policy with and without calendars, lateness limits and run limits."""

from __future__ import annotations

from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.model.calendar import CalendarRule, calendar_of
from actors.model.policy import CatchUp, Overlap, Policies
from actors.model.task import Task, TaskState
from actors.model.trigger import UNBOUNDED, Bounds, Cron, Interval, Once, Trigger, Union
from actors.rules import selecting
from actors.rules.settling import settle
from actors.when.triggers import next_after, next_allowed, previous_slots
from runtime.clock import DAY, HOUR, MINUTE, SECOND, Instant, Micros
from runtime.records import evolve

from .keeper_kit import EVERY_TEN, START, definition
from .progression_kit import Driver

CLOSED = Bounds(
    calendars=(
        CalendarRule(
            calendar_of(
                "",
                "closed",
                1,
                windows=[
                    (Instant(START + 25 * SECOND), Instant(START + 45 * SECOND)),
                    (Instant(START + 95 * SECOND), Instant(START + 105 * SECOND)),
                ],
            )
        ),
    )
)


def at(seconds: float) -> Instant:
    return Instant(START + round(seconds * SECOND))


def told(found: Driver) -> list[str]:
    """The ledger in order of time: first-last, how many, what became of them; executions with what they wait for."""
    entries = [
        ((row.first - START) // SECOND, (row.last - START) // SECOND, f"x{row.count} {row.outcome} {row.reason}")
        for row in found.rows
    ]
    for one in found.executions.values():
        assert one.nominal is not None
        slot = (one.nominal - START) // SECOND
        entries.append((slot, slot, f"runs {one.outcome} {one.reason}" if one.outcome else f"waits {one.waits_for}"))
    return [f"{first}-{last} {what}" if first != last else f"{first} {what}" for first, last, what in sorted(entries)]


# Down from 0 to 88, every ten seconds: 10 to 80 are owed, 30 and 40 are excluded where there is a calendar.
TABLE = [
    ("latest", None, False, ["10-70 x7 coalesced catch_up", "80 runs late downtime"]),
    ("latest", 5, False, ["10-80 x8 skipped too_late"]),
    ("latest", 8, False, ["10-70 x7 coalesced catch_up", "80 runs late downtime"]),
    ("skip", None, False, ["10-80 x8 missed downtime"]),
    ("skip", 8, False, ["10-70 x7 missed downtime", "80 runs late downtime"]),
    ("earliest", None, False, ["10 runs late downtime", "20-80 x7 coalesced catch_up"]),
    ("earliest", 30, False, ["10-50 x5 skipped too_late", "60 runs late downtime", "70-80 x2 coalesced catch_up"]),
    ("earliest", 5, False, ["10-80 x8 skipped too_late"]),
    ("all", None, False, ["10-50 x5 missed downtime", "60 runs late downtime", "70 waits overlap", "80 waits overlap"]),
    (
        "all",
        20,
        False,
        ["10-50 x5 missed downtime", "60 x1 skipped too_late", "70 runs late downtime", "80 waits overlap"],
    ),
    ("all", 5, False, ["10-50 x5 missed downtime", "60-80 x3 skipped too_late"]),
    (
        "latest",
        None,
        True,
        [
            "10-20 x2 coalesced catch_up",
            "30-40 x2 skipped calendar",
            "50-70 x3 coalesced catch_up",
            "80 runs late downtime",
        ],
    ),
    ("latest", 5, True, ["10-20 x2 skipped too_late", "30-40 x2 skipped calendar", "50-80 x4 skipped too_late"]),
    ("skip", None, True, ["10-20 x2 missed downtime", "30-40 x2 skipped calendar", "50-80 x4 missed downtime"]),
    (
        "earliest",
        70,
        True,
        [
            "10 x1 skipped too_late",
            "20 runs late downtime",
            "30-40 x2 skipped calendar",
            "50-80 x4 coalesced catch_up",
        ],
    ),
    (
        "earliest",
        50,
        True,
        [
            "10-20 x2 skipped too_late",
            "30-40 x2 skipped calendar",
            "50 runs late downtime",
            "60-80 x3 coalesced catch_up",
        ],
    ),
    (
        "all",
        None,
        True,
        [
            "10-20 x2 missed downtime",
            "30-40 x2 skipped calendar",
            "50 x1 missed downtime",
            "60 runs late downtime",
            "70 waits overlap",
            "80 waits overlap",
        ],
    ),
]


@pytest.mark.parametrize(("catch_up", "lateness", "calendar", "expected"), TABLE)
def test_after_a_downtime(catch_up: str, lateness: int | None, calendar: bool, expected: list[str]):
    policies = Policies(
        catch_up=CatchUp(catch_up),
        catch_up_limit=3,
        lateness_limit=None if lateness is None else Micros(lateness * SECOND),
    )
    found = Driver(definition("t1", EVERY_TEN, CLOSED if calendar else UNBOUNDED, policies), START)
    found.settle_fully(at(88))
    assert told(found) == expected
    assert (found.task.state.settled_through, found.task.state.next_fire) == (at(80), at(90))


@pytest.mark.parametrize(
    ("catch_up", "expected"),
    [
        ("latest", ["10 runs late downtime"]),
        ("earliest", ["10 runs late downtime"]),
        ("all", ["10 runs late downtime"]),
        ("skip", ["10 x1 missed downtime"]),
    ],
)
def test_one_slot_that_is_late(catch_up: str, expected: list[str]):
    found = Driver(definition("t1", EVERY_TEN, policies=Policies(catch_up=CatchUp(catch_up))), START)
    found.settle_fully(at(12))
    assert told(found) == expected
    once = Driver(definition("t1", Once(at(10)), policies=Policies(catch_up=CatchUp(catch_up))), START)
    once.settle_fully(at(12))
    assert told(once) == expected


def test_a_one_time_task_made_for_an_instant_past_has_missed_nothing():
    once = Driver(definition("t1", Once(at(10)), policies=Policies(catch_up=CatchUp.SKIP)), at(50))
    once.settle_fully(at(50))
    assert told(once) == ["10 runs late downtime"]


OVERLAPS = {
    "allow": ["10 runs fired None", "20 runs fired None", "30 runs fired None", "40 runs fired None"],
    "skip": ["10 runs fired None", "20 x1 skipped overlap", "30 x1 skipped overlap", "40 x1 skipped overlap"],
    "queue": ["10 runs fired None", "20 waits overlap", "30 x1 skipped overlap", "40 x1 skipped overlap"],
    "queue_all": ["10 runs fired None", "20 waits overlap", "30 waits overlap", "40 x1 skipped overlap"],
    "replace": ["10 runs fired None", "20 runs skipped overlap", "30 runs skipped overlap", "40 waits overlap"],
}


@pytest.mark.parametrize("overlap", Overlap)
def test_while_the_former_one_runs(overlap: Overlap):
    policies = Policies(overlap=overlap, overlap_limit=2)
    found = Driver(definition("t1", EVERY_TEN, policies=policies), START)
    for second in (10, 20, 30, 40):
        found.settle_fully(at(second))
    assert told(found) == OVERLAPS[overlap]
    blockers = {row.execution for row in found.rows}
    assert blockers <= {"e000001"}


def test_what_is_excluded_is_settled_with_what_comes_next():
    found = Driver(definition("t1", EVERY_TEN, CLOSED), START)
    for second in (10, 20, 30, 40):
        found.settle_fully(at(second))
        for one in found.running:
            found.end(one.id, at(second))
    assert (found.rows, found.task.state.settled_through, found.task.state.next_fire) == ([], at(20), at(50))
    found.settle_fully(at(50))
    assert told(found)[2] == "30-40 x2 skipped calendar"


def test_a_series_that_ends_in_excluded_time_is_finished():
    found = Driver(definition("t1", EVERY_TEN, evolve(CLOSED, end=at(42))), START)
    found.settle_fully(at(20))
    assert found.task.state.phase == "finished"
    late = Driver(definition("t1", EVERY_TEN, evolve(CLOSED, end=at(42))), START)
    late.settle_fully(at(60))
    assert told(late) == ["10 x1 coalesced catch_up", "20 runs late downtime", "30-40 x2 skipped calendar"]
    assert (late.task.state.phase, late.task.state.settled_through) == ("finished", at(40))


def test_a_next_fire_that_has_come_to_be_excluded():
    task = Task(definition("t1", EVERY_TEN, CLOSED), TaskState(next_fire=at(30), settled_through=at(20)))
    found = settle(task, at(44))
    assert (found.admitted, found.next_fire, found.settled_through) == ((), at(50), at(40))
    assert [row.count for row in found.dropped] == [2]


def test_a_search_that_gave_up_goes_on():
    """`next_allowed` may answer an excluded slot where calendars are too fine for one search."""
    task = Task(definition("t1", EVERY_TEN, CLOSED), TaskState(next_fire=at(30), settled_through=at(20)))
    with patch.object(selecting, "next_allowed", next_after):
        found = settle(task, at(61))
    assert [one.nominal for one in found.admitted] == [at(60)]
    assert [row.count for row in found.dropped] == [2, 1]


def test_the_newest_of_all_may_be_excluded():
    for catch_up, ran in (("latest", 90), ("earliest", 10), ("all", 80)):
        policies = Policies(catch_up=CatchUp(catch_up), catch_up_limit=2)
        found = Driver(definition("t1", EVERY_TEN, CLOSED, policies), START)
        found.settle_fully(at(104))
        assert found.running[0].nominal == at(ran)
        assert found.task.state.settled_through == at(100)
        assert told(found)[-1] == "100 x1 skipped calendar"


@pytest.mark.parametrize(
    "trigger",
    [
        Cron("*/5 * * * *"),
        Cron("*/5 * * * *", "Europe/Berlin"),
        Union((Interval(Micros(7 * MINUTE), START), Cron("*/5 * * * *"))),
    ],
)
def test_a_large_limit_is_counted(trigger: Trigger):
    policies = Policies(catch_up=CatchUp.ALL, catch_up_limit=2_000)
    task = Task(
        definition("t1", trigger, UNBOUNDED, policies),
        TaskState(next_fire=next_after(trigger, UNBOUNDED, START), settled_through=START),
    )
    now = Instant(START + 30 * DAY)
    found = settle(task, now)
    expected = 1_000 if isinstance(trigger, Union) else 2_000
    assert found.admitted[0].nominal == previous_slots(trigger, UNBOUNDED, START, now, expected)[0]
    assert len(found.admitted) == 100


spans = st.lists(st.tuples(st.integers(0, 5_000), st.integers(1, 900)), max_size=12)


@given(spans, st.sampled_from([10, 61, 600]), st.integers(1, 40), st.integers(100, 6_000))
@settings(max_examples=60, deadline=None)
def test_the_newest_ones_that_may_run_are_those_found_one_by_one(
    closed: list[tuple[int, int]], every: int, limit: int, down: int
):
    windows = [(at(begin), at(begin + long)) for begin, long in closed]
    bounds = Bounds(calendars=(CalendarRule(calendar_of("", "closed", 1, windows=windows)),))
    trigger = Interval(Micros(every * SECOND), START)
    first = next_allowed(trigger, bounds, START)
    allowed: list[Instant] = []
    one = first
    while one is not None and one <= at(down):
        allowed.append(one)
        one = next_allowed(trigger, bounds, one)
    if len(allowed) < 2:
        return
    policies = Policies(catch_up=CatchUp.ALL, catch_up_limit=limit, overlap=Overlap.ALLOW)
    found = Driver(definition("t1", trigger, bounds, policies), START)
    found.settle_fully(at(down))
    ran = sorted(one.nominal or 0 for one in found.executions.values())
    assert ran == allowed[-limit:]


def test_a_yearly_slot_is_found_behind_years():
    rare = Cron("0 12 29 2 *")
    weekdays = Bounds(calendars=(CalendarRule(calendar_of("", "weekend", 1, weekdays=[5, 6])),))
    policies = Policies(catch_up=CatchUp.ALL, catch_up_limit=2)
    found = Driver(definition("t1", rare, weekdays, policies), START)
    found.settle_fully(Instant(START + 12 * 366 * DAY + 12 * HOUR))
    assert len(found.executions) == 2
    assert [f"{row.count} {row.reason}" for row in found.rows] == ["1 calendar"]
