"""The time zone database changes under tasks: their next fires are computed anew, once."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from actors.keeper_calendars import ZONES
from actors.keeper_messages import Settle
from actors.model.lifecycle import Phase
from actors.model.trigger import Bounds, CalendarInterval, Cron, Interval, Union
from actors.store.port import Commit, Update
from actors.when.triggers import next_allowed
from runtime.clock import DAY, HOUR, SECOND, Instant, Micros
from runtime.records import evolve

from .calendar_kit import audits, holidays, made, put, user
from .keeper_kit import START, Rig, definition

BERLIN = Cron("0 9 * * *", "Europe/Berlin")


def shifted(rig: Rig, by: int, *task_ids: str) -> None:
    """Next fires as other rules would have placed them."""
    for task_id in task_ids:
        task = rig.task(task_id)
        assert task.state.next_fire is not None
        changed = Instant(task.state.next_fire + by)
        state = evolve(task.state, version=task.state.version + 1, next_fire=changed)
        assert not rig.store.commit(Commit({}, (), (Update(task_id, 0, task.state.version, state, changed),))).refused


def zones_changed(rig: Rig, boot: str = "boot-2") -> Rig:
    """A new process with another time zone database on the same store."""

    class NewRig(Rig):
        def new_core(self) -> Any:
            core = super().new_core()
            core.calendars._walks[ZONES] = ""
            return core

    return NewRig(boot=boot, store=rig.store, now=rig.now)


def test_next_fires_are_computed_anew_with_an_audit_record_each() -> None:
    rig = Rig()
    union = Union((BERLIN, Cron("30 9 * * *", "Asia/Tokyo")))
    monthly = CalendarInterval(1, "month", 739_000, Micros(9 * HOUR), "Europe/Berlin")
    made(rig, definition("a", BERLIN), definition("b", union), definition("c", monthly), definition("d"))
    made(rig, definition("e", Cron("0 9 * * *")), definition("f", Cron("0 9 * * *", "America/Vancouver")))
    made(rig, user(put(rig, holidays((1, 2))), "g", Interval(DAY, START)))
    right = {task_id: rig.task(task_id).state.next_fire for task_id in "abcdefg"}
    shifted(rig, HOUR, "a", "b", "g")
    shifted(rig, -HOUR, "c")
    other = zones_changed(rig)
    assert {task_id: other.task(task_id).state.next_fire for task_id in "abcdefg"} == right
    assert sorted(task_id for task_id, _ in audits(other, "TimeZonesChanged")) == ["a", "b", "c", "g"]
    assert "next fire 20" in audits(other, "TimeZonesChanged")[0][1]
    assert other.store.open(new_cluster_id="", partitions=1, timezone_database="").timezone_database == "new"


def test_a_due_task_is_looked_at_before_it_is_settled() -> None:
    """By the old rules it was due now, by the new ones it is an hour later."""
    rig = Rig()
    made(rig, definition("t1", BERLIN))
    right = rig.task().state.next_fire
    assert right is not None
    shifted(rig, -HOUR, "t1")
    rig.now = Instant(right - HOUR)
    other = zones_changed(rig)
    other.core.calendars._walks[ZONES] = ""
    other.core._tasks.cache.clear()
    shifted(other, -HOUR, "t1")
    other.send(Settle(("t1",)))
    assert other.ledger() == []
    assert other.task().state.next_fire == right
    other.now = right
    other.settle()
    assert [row[2] for row in other.ledger()] == ["fired"]


def test_a_slot_that_the_new_rules_place_earlier_is_not_lost() -> None:
    rig = Rig()
    made(rig, definition("t1", BERLIN))
    right = rig.task().state.next_fire
    assert right is not None
    shifted(rig, HOUR, "t1")
    rig.now = Instant(right + HOUR // 2)
    other = zones_changed(rig)
    other.settle()
    assert [(first, outcome) for first, _, outcome, _ in other.ledger()] == [((right - START) / SECOND, "late")]


def test_a_paused_task_and_one_that_waits_for_its_delay_stay_as_they_are() -> None:
    rig = Rig()
    made(rig, definition("a", BERLIN), definition("b", Interval(HOUR, START, fixed_delay=True)))
    rig.pause("a")
    other = zones_changed(rig)
    assert audits(other, "TimeZonesChanged") == []
    assert other.task("a").state.next_fire is None


def test_a_trigger_without_a_time_left_is_finished() -> None:
    rig = Rig()
    end = Instant(START + DAY)
    made(rig, definition("t1", BERLIN, Bounds(end=end)))
    task = rig.task()
    state = evolve(task.state, version=task.state.version + 1, settled_through=end)
    rig.store.commit(Commit({}, (), (Update("t1", 0, task.state.version, state, task.due),)))
    other = zones_changed(rig)
    assert (other.task().state.phase, other.task().state.next_fire) == (Phase.FINISHED, None)
    assert audits(other, "TimeZonesChanged")[0][1].startswith("next fire none")


def test_many_tasks_are_walked_through_in_slices_once() -> None:
    rig = Rig()
    names = [f"t{number:04}" for number in range(600)]
    made(rig, *(definition(name, BERLIN) for name in names))
    shifted(rig, HOUR, *names)
    other = zones_changed(rig)
    assert len(audits(other, "TimeZonesChanged")) == 600
    assert not other.core.calendars.zones_changing


@settings(max_examples=60, deadline=None)
@given(
    by=st.sampled_from([-2 * HOUR, -HOUR, 0, HOUR, 2 * HOUR]),
    zone=st.sampled_from(["Europe/Berlin", "America/Vancouver", "Asia/Kolkata"]),
    at=st.integers(-3, 3),
)
def test_case_a9_no_slot_is_lost_or_doubled(by: int, zone: str, at: int) -> None:
    """Whenever the new database comes, and however far the old next fire is from the true one: each day has one outcome."""
    trigger = Cron("0 9 * * *", zone)
    rig = Rig()
    made(rig, definition("t1", trigger))
    task = rig.task()
    begin = task.state.settled_through
    right = task.state.next_fire
    assert right is not None
    if right + by > begin:
        shifted(rig, by, "t1")
    rig.now = Instant(max(rig.now, right + at * HOUR))
    other = zones_changed(rig)
    for _ in range(4):
        if other.task().due is not None and other.task().due <= other.now:  # type: ignore[operator]
            other.settle()
        if other.running:
            other.end()
        other.now = Instant(max(other.now, other.task().state.next_fire or 0))
    expected, slot = [], begin
    through = other.task().state.settled_through
    while (found := next_allowed(trigger, Bounds(), slot)) is not None and found <= through:
        expected.append(found)
        slot = found
    assert [row.first for row in other.outcomes()] == expected
    assert all(row.first == row.last for row in other.outcomes())
