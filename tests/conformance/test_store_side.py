"""What stands beside tasks: dependencies, calendars, the outbox, counts filled in later, the pause of the scheduler."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from actors.model.calendar import Calendar, CalendarRule, calendar_of
from actors.model.execution import WaitsFor
from actors.model.lifecycle import State
from actors.model.occurrence import Outcome, Reason, Settled
from actors.model.task import Dependencies
from actors.model.trigger import Bounds
from actors.store.port import (
    DELIVERIES_KEPT,
    Commit,
    CountWrite,
    Create,
    DeliveryWrite,
    EventState,
    ExecutionWrite,
    OutboxEntry,
    SchedulerPause,
    Store,
)
from runtime.clock import Instant
from runtime.errors import Conflict, StaleVersion
from tests.actors.records import create, running, task, update

from .store_kit import LATE, add_running, commit, end, stored


def depending(task_id: str, *parents: str) -> Create:
    return create(task_id, dependencies=Dependencies(parents))


def holidays(version: int = 1, tenant: str = "", name: str = "holidays") -> Calendar:
    return calendar_of(
        tenant, name, version, "Europe/Berlin", [(740_000 + version, 740_009)], [(Instant(1), Instant(2))], [5]
    )


def bound_to(*calendars: Calendar) -> Bounds:
    return Bounds(calendars=tuple(CalendarRule(calendar, "include", "next") for calendar in calendars))


# -- dependencies and who runs


def test_edges_are_those_of_the_present_definitions(store: Store) -> None:
    assert store.edges() == []
    commit(store, create("a"), depending("b", "a"), depending("c", "b", "a"))
    assert sorted(store.edges()) == [("b", "a"), ("c", "a"), ("c", "b")]
    edited = stored(store, "c")
    assert edited.definition.dependencies == Dependencies(("b", "a"))
    commit(store, update(edited, definition=attrs.evolve(edited.definition, dependencies=Dependencies(("a",)))))
    assert sorted(store.edges()) == [("b", "a"), ("c", "a")]
    commit(store, update(stored(store, "c"), definition=attrs.evolve(edited.definition, dependencies=None)))
    commit(store, update(stored(store, "a"), delete=True))
    assert store.edges() == [("b", "a")]
    commit(store, update(stored(store, "b"), delete=True))
    assert store.edges() == []


def test_a_lingering_execution_occupies_its_task_and_its_key(store: Store) -> None:
    held = add_running(store, "a", key="one")
    add_running(store, "b", key="two")
    add_running(store, "c", state=State.WAITING, key="one")
    add_running(store, "d", state=State.CRASHED, key="one")
    assert store.occupied() == ["a", "b"]
    assert [entry.id for entry in store.locks(9)] == ["e of a", "e of b"]
    assert commit(store, end(held, State.TIMED_OUT, execution={"lingers": True})) == {}
    assert [(entry.state, entry.lingers) for entry in stored(store, "a").open] == [(State.TIMED_OUT, True)]
    assert store.occupied() == ["a", "b"]
    assert [entry.key for entry in store.locks(1)] == ["one"]
    (lingering,) = stored(store, "a").open
    returned = ExecutionWrite(attrs.evolve(lingering, lingers=False), lingering)
    assert commit(store, update(stored(store, "a"), returned)) == {}
    assert stored(store, "a").open == ()
    assert (store.occupied(), [entry.id for entry in store.locks(9)]) == (["b"], ["e of b"])


def test_an_execution_reads_back_with_all_its_fields(store: Store) -> None:
    made = running(assigned=Instant(95), expires=Instant(300), key="k", waits_for=None)
    commit(store, Create(attrs.evolve(task(), open=(made,)), 0))
    assert stored(store).open == (made,)
    assert store.due(None, LATE, 9) == [(300, "t1")]
    found = store.execution("e1")
    assert found is not None and found.execution == made


def test_a_state_reads_back_with_all_its_fields(store: Store) -> None:
    commit(store, create())
    marks = {"catching_up": Instant(7), "last_admitted": Instant(8), "completed_start": Instant(9)}
    commit(store, update(stored(store), state=marks))
    found = stored(store).state
    assert (found.catching_up, found.last_admitted, found.completed_start) == (7, 8, 9)


# -- calendars


def test_calendars_are_found_by_name_and_version(store: Store) -> None:
    assert (store.calendars(None), store.calendar("", "holidays")) == ([], None)
    made = (holidays(1), holidays(2), holidays(1, "other"), holidays(3, "", "breaks"))
    assert commit(store, calendars=made) == {}
    assert store.calendar("", "holidays") == holidays(2)
    assert store.calendar("", "holidays", 1) == holidays(1)
    assert store.calendar("", "holidays", 3) is None
    assert store.calendars("") == [holidays(3, "", "breaks"), holidays(2)]
    assert store.calendars(None) == [holidays(3, "", "breaks"), holidays(2), holidays(1, "other")]
    assert store.calendars("nobody") == []


def test_a_version_never_changes(store: Store) -> None:
    assert commit(store, calendars=(holidays(),)) == {}
    assert commit(store, calendars=(holidays(),)) == {}
    other = attrs.evolve(holidays(), timezone="UTC")
    assert commit(store, create("a"), calendars=(other,)) == {"/holidays": Conflict}
    assert store.calendar("", "holidays") == holidays()
    assert stored(store, "a").id == "a"


def test_a_definition_reads_back_with_the_versions_it_names(store: Store) -> None:
    made = create("a", bounds=bound_to(holidays(1)))
    assert commit(store, made, calendars=(holidays(1),)) == {}
    assert stored(store, "a") == made.task
    commit(store, calendars=(holidays(2),))
    assert stored(store, "a") == made.task
    newer = attrs.evolve(made.task.definition, bounds=bound_to(holidays(2)))
    commit(store, update(made.task, definition=newer, state={"revision": 2}))
    assert stored(store, "a").definition == newer
    assert [entry.definition for entry in store.revisions("a")] == [made.task.definition, newer]


def test_the_users_of_a_calendar_come_in_pages(store: Store) -> None:
    commit(store, calendars=(holidays(1), holidays(2), holidays(1, "", "breaks")))
    bounds = [bound_to(holidays(1)), bound_to(holidays(2), holidays(1, "", "breaks")), Bounds(), bound_to(holidays(1))]
    commit(store, *(create(name, bounds=one) for name, one in zip("abcd", bounds, strict=True)))
    assert store.calendar_users("", "holidays", after="", limit=9) == ["a", "b", "d"]
    assert store.calendar_users("", "holidays", after="a", limit=1) == ["b"]
    assert store.calendar_users("", "breaks", after="", limit=9) == ["b"]
    assert store.calendar_users("other", "holidays", after="", limit=9) == []
    commit(store, update(stored(store, "a"), definition=attrs.evolve(stored(store, "a").definition, bounds=Bounds())))
    commit(store, update(stored(store, "d"), delete=True))
    assert store.calendar_users("", "holidays", after="", limit=9) == ["b"]


# -- the outbox


def entry(number: int, task_id: str = "t1", due: int = 10, **changes: Any) -> OutboxEntry:
    plain = OutboxEntry(f"d{number}", task_id, "e1", "alarm", Instant(5), Instant(due), '{"a":1}')
    return attrs.evolve(plain, **changes)


def delivery(number: int, state: str = "delivered", task_id: str = "t1", **changes: Any) -> DeliveryWrite:
    return attrs.evolve(DeliveryWrite(f"d{number}", task_id, "e1", "alarm", Instant(20), state), **changes)


def test_entries_come_when_they_are_due_and_leave_when_delivered(store: Store) -> None:
    entries = (entry(1, due=30), entry(2, due=10, execution_id=None), entry(3, due=20))
    assert commit(store, create(), outbox=entries) == {}
    assert store.outbox_due(Instant(20), 9) == [entries[1], entries[2]]
    assert store.outbox_due(LATE, 1) == [entries[1]]
    assert store.outbox_due(Instant(9), 9) == []
    again = delivery(2, "retry", detail="refused", due=Instant(25))
    assert commit(store, deliveries=(again, delivery(3))) == {}
    assert store.outbox_due(LATE, 9) == [attrs.evolve(entries[1], due=Instant(25), tries=1), entries[0]]
    assert store.deliveries("t1", offset=0, limit=9) == ([delivery(3), again], 2)
    assert store.deliveries("t1", offset=1, limit=9) == ([again], 2)
    commit(store, deliveries=(delivery(3, "given_up"), delivery(2, "given_up"), delivery(1, "suppressed")))
    assert store.outbox_due(LATE, 9) == []
    assert [found.state for found in store.deliveries("t1", offset=0, limit=9)[0]] == [
        "suppressed",
        "given_up",
        "delivered",
        "retry",
    ]


def test_an_entry_written_twice_is_one(store: Store) -> None:
    commit(store, create(), outbox=(entry(1),))
    commit(store, deliveries=(delivery(1, "retry", due=Instant(11)),))
    commit(store, outbox=(entry(1), entry(2)))
    assert [(found.id, found.tries) for found in store.outbox_due(LATE, 9)] == [("d2", 0), ("d1", 1)]


def test_what_belongs_to_refused_or_missing_tasks_is_left_out(store: Store) -> None:
    commit(store, create("a"), create("b"))
    stale = attrs.evolve(update(stored(store, "a")), expected=7)
    states = tuple(EventState(name, "alarm", True) for name in ("a", "b", "none"))
    entries = tuple(entry(number, name) for number, name in enumerate(("a", "b", "none")))
    assert commit(store, stale, outbox=entries, event_states=states) == {"a": StaleVersion}
    assert [found.task_id for found in store.outbox_due(LATE, 9)] == ["b"]
    assert store.event_states(["a", "b", "none"]) == [states[1]]


def test_a_trigger_remembers_its_newest_state(store: Store) -> None:
    commit(store, create("a"), create("b"))
    first = (EventState("a", "one", True, Instant(3)), EventState("a", "two"), EventState("b", "one", False))
    commit(store, event_states=first)
    assert store.event_states(["a", "b"]) == list(first)
    commit(store, event_states=(EventState("a", "one", False, Instant(3)),))
    assert store.event_states(["a"]) == [EventState("a", "one", False, Instant(3)), first[1]]
    assert store.event_states([]) == []


def test_the_history_of_deliveries_is_bounded(store: Store) -> None:
    commit(store, create("a"), create("b"))
    numbers = range(DELIVERIES_KEPT + 5)
    commit(store, outbox=(*(entry(number, "a") for number in numbers), entry(9_000, "b")))
    commit(store, deliveries=(*(delivery(number, task_id="a") for number in numbers), delivery(9_000, task_id="b")))
    found, total = store.deliveries("a", offset=0, limit=1)
    assert (found[0].entry_id, total) == (f"d{numbers[-1]}", DELIVERIES_KEPT)
    assert store.deliveries("b", offset=0, limit=9)[1] == 1


def test_nothing_of_it_outlives_its_task(store: Store) -> None:
    commit(store, create(), outbox=(entry(1), entry(2)), event_states=(EventState("t1", "alarm", True),))
    commit(store, deliveries=(delivery(1),))
    commit(store, update(stored(store), delete=True))
    assert (store.outbox_due(LATE, 9), store.event_states(["t1"])) == ([], [])
    assert store.deliveries("t1", offset=0, limit=9) == ([], 0)


# -- counts, reasons, the pause


def settled(first: int, count: int | None, outcome: Outcome = Outcome.MISSED, task_id: str = "t1") -> Settled:
    return Settled(task_id, Instant(first), Instant(first + 5), count, outcome, Reason.DOWNTIME, Instant(99), 1)


def test_counts_can_be_filled_in_later_and_only_once(store: Store) -> None:
    commit(store, create())
    rows = (settled(10, None), settled(20, 3, Outcome.SKIPPED), settled(30, None))
    commit(store, update(stored(store), settled=rows))
    assert store.uncounted(9) == [rows[0], rows[2]]
    assert store.uncounted(1) == [rows[0]]
    assert store.counts().by_reason == {"skipped: downtime": 3}
    writes = (CountWrite("t1", Instant(10), 7), CountWrite("t1", Instant(20), 9), CountWrite("gone", Instant(1), 9))
    assert commit(store, counts=writes) == {}
    assert commit(store, counts=writes) == {}
    assert store.uncounted(9) == [rows[2]]
    assert [row.count for row in store.outcomes("t1", since=Instant(0), until=LATE, limit=9)] == [7, 3, None]
    counts = store.counts()
    assert counts.by_outcome == {"missed": 7, "skipped": 3}
    assert counts.by_reason == {"missed: downtime": 7, "skipped: downtime": 3}


def test_outcomes_are_counted_by_reason_and_without_one(store: Store) -> None:
    outcomes: list[tuple[Outcome, Reason | None]] = [
        (Outcome.FIRED, None),
        (Outcome.LATE, Reason.QUEUE),
        (Outcome.LATE, Reason.DOWNTIME),
        (Outcome.LATE, Reason.QUEUE),
    ]
    for number, (outcome, reason) in enumerate(outcomes):
        add_running(store, f"t{number}", outcome=outcome, reason=reason)
    assert store.counts().by_reason == {"fired": 1, "late: queue": 2, "late: downtime": 1}
    stale = attrs.evolve(update(stored(store, "t0"), settled=(settled(1, 5, task_id="t0"),)), expected=9)
    assert commit(store, stale) == {"t0": StaleVersion}
    commit(store, update(stored(store, "t1"), delete=True))
    assert store.counts().by_reason == {"fired": 1, "late: queue": 2, "late: downtime": 1}


@pytest.mark.parametrize("note", [None, "moving house"])
def test_the_pause_of_the_scheduler_lasts_until_it_is_resumed(store: Store, note: str | None) -> None:
    assert store.scheduler_pause() is None
    pause = SchedulerPause(Instant(5), "me", note)
    store.commit(Commit({}, pause=pause))
    store.commit(Commit({}))
    assert store.scheduler_pause() == pause
    store.commit(Commit({}, pause="resume"))
    assert store.scheduler_pause() is None


def test_the_latest_instant_that_the_governor_has_granted(store: Store) -> None:
    assert store.granted_until() is None
    add_running(store, "a", state=State.WAITING, waits_for=WaitsFor.GOVERNOR, due=Instant(700))
    add_running(store, "b", state=State.WAITING, waits_for=WaitsFor.GOVERNOR, due=Instant(900))
    add_running(store, "c", state=State.WAITING, waits_for=WaitsFor.RETRY, due=Instant(1_000))
    assert store.granted_until() == 900
