"""What is removed, what stays, and what is left of the ledger."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from actors.model.execution import WaitsFor
from actors.model.lifecycle import Phase, State
from actors.model.occurrence import Outcome, Reason, Settled
from actors.model.policy import Policies
from actors.model.retention import PURGES, Keep, Retention, Slice, Stage
from actors.model.task import Dependencies, TaskState
from actors.store.port import Audit, Create, DeliveryWrite, ExecutionWrite, LogWrite, OutboxEntry, Store
from runtime.clock import HOUR, SECOND, Instant, Micros
from tests.actors.records import create, running, task, update
from tests.conformance.store_kit import LATE, add_running, commit, stored, walked

NOW = Instant(100 * HOUR)
FOREVER = Keep(None, None)
NOTHING = Retention(
    states=dict.fromkeys(Retention().states, FOREVER), rows=FOREVER, skipped=FOREVER, folded=None, tasks=None
)
"""Keeps everything; tests change what they are about."""


def retention(**changes: Any) -> Retention:
    """`states` may name the ones that differ."""
    states = {**NOTHING.states, **changes.pop("states", {})}
    return attrs.evolve(NOTHING, states=states, **changes)


def states(keep: Keep) -> dict[State, Keep]:
    return dict.fromkeys(NOTHING.states, keep)


def purge(store: Store, stage: Stage, wanted: Retention, now: Instant = NOW, **more: Any) -> int:
    return walked(store, Slice(stage, wanted, now, **more))


def history(store: Store, task_id: str, ended: int, state: State = State.COMPLETED, **changes: Any) -> None:
    """A task with an open execution, a held one, and then some that ended at 1000, 1001, ... and as many ledger rows."""
    held = [running(f"{task_id} open", task_id, nominal=None), running(f"{task_id} held", task_id, state=State.CRASHED)]
    done = [
        running(
            f"{task_id} {place}",
            task_id,
            state=state,
            nominal=Instant(1000 + place),
            outcome=Outcome.FIRED,
            ended_at=Instant(1000 + place),
        )
        for place in range(ended)
    ]
    held = [attrs.evolve(entry, ended_at=Instant(1), nominal=None) for entry in held]
    commit(store, create(task_id, **changes))
    rows = tuple(
        Settled(task_id, Instant(n), Instant(n), 1, Outcome.MISSED, Reason.DOWNTIME, Instant(n), 1)
        for n in range(2000, 2000 + ended)
    )
    writes = [ExecutionWrite(entry) for entry in (*held, *done)]
    through = {"settled_through": Instant(5000)}
    assert commit(store, update(stored(store, task_id), *writes, settled=rows, state=through)) == {}
    commit(store, logs=tuple(LogWrite(entry.id, 1, ((Instant(1), "INFO", "x"),)) for entry in done))


def left(store: Store, task_id: str) -> list[str]:
    found, _ = store.executions(task_id, offset=0, limit=99)
    return [entry.id.removeprefix(f"{task_id} ") for entry in found]


def rows(store: Store, task_id: str, *, folded: bool = False) -> list[int]:
    """The first instants of the ledger's rows about slots that were not run, or of the folded rows."""
    found = store.outcomes(task_id, since=Instant(0), until=LATE, limit=99)
    return [row.first for row in found if row.folded is folded and row.execution_id is None]


# -- by age


def test_what_ended_long_enough_ago_goes_but_nothing_open(store: Store) -> None:
    history(store, "a", 4)
    history(store, "b", 2)
    young = retention(states=states(Keep(Micros(10))))
    assert purge(store, Stage.EXECUTIONS, young, Instant(1011), task_id="a") == 2
    assert left(store, "a") == ["3", "2", "held", "open"]
    assert left(store, "b") == ["1", "0", "held", "open"]
    assert store.execution("a 0") is None
    assert store.logs("a 0", after=0, limit=9) == []
    assert len(store.logs("a 2", after=0, limit=9)) == 1
    assert purge(store, Stage.EXECUTIONS, retention(states=states(Keep(Micros(0))))) == 4
    assert left(store, "a") == left(store, "b") == ["held", "open"]
    assert purge(store, Stage.EXECUTIONS, retention(states=states(Keep(Micros(0))))) == 0
    assert len(stored(store, "a").open) == 2


@pytest.mark.parametrize("state", [State.COMPLETED, State.FAILED, State.TIMED_OUT, State.CANCELLED])
def test_each_final_state_has_its_own_time(store: Store, state: State) -> None:
    history(store, "a", 2, state)
    others = {other: Keep(Micros(0)) for other in NOTHING.states if other is not state}
    assert purge(store, Stage.EXECUTIONS, retention(states=others)) == 0
    assert purge(store, Stage.EXECUTIONS, retention(states={state: Keep(Micros(0))})) == 2


def test_a_task_may_have_its_own_time(store: Store) -> None:
    history(store, "short", 2, policies=Policies(ttl=Micros(10)))
    history(store, "long", 2, policies=Policies(ttl=Micros(1_000_000)))
    history(store, "usual", 2)
    usual = retention(states=states(Keep(Micros(1000))), rows=Keep(Micros(1000)))
    now = Instant(1011)
    assert purge(store, Stage.EXECUTIONS, usual, now) == 0
    assert purge(store, Stage.TASKS, usual, now) == 2
    assert (left(store, "short"), len(left(store, "long"))) == (["held", "open"], 4)
    assert purge(store, Stage.EXECUTIONS, usual, Instant(9000)) == 2
    assert (left(store, "usual"), len(left(store, "long"))) == (["held", "open"], 4)
    assert purge(store, Stage.LEDGER, usual, Instant(2011)) == 2
    assert purge(store, Stage.ROWS, usual, Instant(9000)) == 2
    assert [rows(store, name) for name in ("short", "usual", "long")] == [[], [], [2000, 2001]]


def test_a_lingering_execution_stays_until_it_returns(store: Store) -> None:
    held = add_running(store, nominal=None)
    lingering = attrs.evolve(held.open[0], state=State.TIMED_OUT, ended_at=Instant(200), lingers=True)
    commit(store, update(held, ExecutionWrite(lingering, held.open[0])))
    at_once = retention(states=states(Keep(Micros(0), 0)))
    assert [purge(store, stage, at_once) for stage in PURGES] == [0, 0, 0]
    commit(store, update(stored(store), ExecutionWrite(attrs.evolve(lingering, lingers=False), lingering)))
    assert purge(store, Stage.EXECUTIONS, at_once) == 1


def test_what_the_watermark_does_not_cover_stays(store: Store) -> None:
    history(store, "a", 3)
    commit(store, update(stored(store, "a"), state={"settled_through": Instant(1001)}))
    at_once = retention(states=states(Keep(Micros(0), 0)), rows=Keep(Micros(0), 0))
    assert purge(store, Stage.EXECUTIONS, at_once) == 2
    assert [purge(store, stage, at_once) for stage in (Stage.TASKS, Stage.ROWS, Stage.LEDGER)] == [0, 0, 0]
    assert (left(store, "a"), rows(store, "a")) == (["2", "held", "open"], [2000, 2001, 2002])


# -- by number


def test_of_each_state_the_newest_are_kept(store: Store) -> None:
    history(store, "a", 4)
    failed = running("a failed", "a", state=State.FAILED, nominal=None, ended_at=Instant(1))
    commit(store, update(stored(store, "a"), ExecutionWrite(failed)))
    history(store, "b", 2)
    some = retention(states={State.COMPLETED: Keep(None, 2)}, rows=Keep(None, 1))
    assert purge(store, Stage.TASKS, some) == 2
    assert (left(store, "a"), left(store, "b")) == (["failed", "3", "2", "held", "open"], ["1", "0", "held", "open"])
    assert purge(store, Stage.LEDGER, some) == 4
    assert (rows(store, "a"), rows(store, "b")) == ([2003], [2001])
    assert purge(store, Stage.TASKS, retention(states={State.COMPLETED: Keep(None, 0)}), task_id="b") == 2
    assert (len(left(store, "a")), left(store, "b")) == (5, ["held", "open"])


def test_skipped_slots_have_a_number_of_their_own(store: Store) -> None:
    commit(store, create("a"))
    kinds = (Outcome.SKIPPED, Outcome.COALESCED, Outcome.MISSED, Outcome.SKIPPED)
    made = tuple(
        Settled("a", Instant(n), Instant(n), 1, kind, Reason.OVERLAP, Instant(n), 1) for n, kind in enumerate(kinds)
    )
    commit(store, update(stored(store, "a"), settled=made, state={"settled_through": Instant(9)}))
    assert purge(store, Stage.LEDGER, retention(rows=Keep(None, 1))) == 1
    assert rows(store, "a") == [0, 2, 3]
    assert purge(store, Stage.ROWS, retention(skipped=Keep(Micros(0)))) == 2
    assert rows(store, "a") == [2]


def test_the_newest_stay_in_any_case(store: Store) -> None:
    history(store, "a", 4)
    history(store, "b", 2)
    strict = retention(states=states(Keep(Micros(0), 0)), rows=Keep(Micros(0), 0), newest=3)
    for stage in (Stage.EXECUTIONS, Stage.TASKS):
        purge(store, stage, strict)
    assert left(store, "a") == ["3", "2", "1", "held", "open"]
    assert left(store, "b") == ["1", "0", "held", "open"]
    for stage in (Stage.ROWS, Stage.LEDGER):
        purge(store, stage, strict)
    assert (rows(store, "a"), rows(store, "b")) == ([2001, 2002, 2003], [2000, 2001])


# -- in slices


@pytest.mark.parametrize("stage", [Stage.EXECUTIONS, Stage.TASKS, Stage.ROWS, Stage.LEDGER])
def test_a_slice_is_bounded_and_the_next_goes_on_where_it_ended(store: Store, stage: Stage) -> None:
    history(store, "a", 5)
    strict = retention(states=states(Keep(Micros(0), 0)), rows=Keep(Micros(0), 0))
    if stage is Stage.TASKS:
        strict = retention(states=states(Keep(None, 0)))
    wanted = Slice(stage, strict, NOW, limit=2)
    removed = []
    for _ in range(10):
        purged = store.purge(wanted)
        removed.append(purged.removed)
        if purged.next is None:
            break
        wanted = attrs.evolve(wanted, after=purged.next)
    assert sum(removed) == 5
    assert max(removed) == 2
    assert len(removed) <= 5


@pytest.mark.parametrize("stage", [Stage.EXECUTIONS, Stage.ROWS])
def test_the_oldest_go_first(store: Store, stage: Stage) -> None:
    history(store, "a", 4)
    wanted = Slice(stage, retention(states=states(Keep(Micros(0))), rows=Keep(Micros(0))), NOW, limit=1)
    for _ in range(9):
        purged = store.purge(wanted)
        if purged.removed or purged.next is None:
            break
        wanted = attrs.evolve(wanted, after=purged.next)
    assert purged.removed == 1
    executions = left(store, "a") == ["3", "2", "1", "held", "open"]
    ledger = rows(store, "a") == [2001, 2002, 2003]
    assert (executions, ledger) == (stage is Stage.EXECUTIONS, stage is Stage.ROWS)


def test_rows_that_stay_are_not_looked_at_twice(store: Store) -> None:
    history(store, "a", 5, State.FAILED)
    mixed = retention(states={State.COMPLETED: Keep(Micros(0))})
    wanted = Slice(Stage.EXECUTIONS, mixed, NOW, limit=2)
    for _ in range(5):
        purged = store.purge(wanted)
        if purged.next is None:
            break
        assert purged.next != wanted.after
        wanted = attrs.evolve(wanted, after=purged.next)
    assert purged.next is None


# -- folding


def test_what_goes_from_the_ledger_is_counted_by_the_hour(store: Store) -> None:
    commit(store, create("a"))
    ends = [
        running(
            f"e{n}", "a", state=State.COMPLETED, nominal=Instant(n * 20 * 60 * SECOND), outcome=outcome, ended_at=NOW
        )
        for n, outcome in enumerate([Outcome.FIRED, Outcome.FIRED, Outcome.LATE, Outcome.FIRED])
    ]
    ends[2] = attrs.evolve(ends[2], reason=Reason.QUEUE)
    made = (
        Settled("a", Instant(4 * HOUR), Instant(7 * HOUR), 30, Outcome.MISSED, Reason.DOWNTIME, NOW, 1),
        Settled("a", Instant(4 * HOUR + 1), Instant(4 * HOUR + 2), 2, Outcome.MISSED, Reason.DOWNTIME, NOW, 1),
        Settled("a", Instant(8 * HOUR), Instant(9 * HOUR), None, Outcome.SKIPPED, Reason.PAUSED, NOW, 1),
    )
    through = {"settled_through": Instant(20 * HOUR)}
    commit(store, update(stored(store, "a"), *map(ExecutionWrite, ends), settled=made, state=through))
    before = store.counts()
    strict = retention(states=states(Keep(Micros(0))), rows=Keep(Micros(0)), skipped=Keep(Micros(0)))
    assert purge(store, Stage.EXECUTIONS, strict) == 4
    assert purge(store, Stage.ROWS, strict) == 2
    found = store.outcomes("a", since=Instant(0), until=LATE, limit=9)
    assert [(row.first, row.last, row.count, row.outcome, row.reason, row.folded) for row in found] == [
        (0, 20 * 60 * SECOND, 2, Outcome.FIRED, None, True),
        (40 * 60 * SECOND, 40 * 60 * SECOND, 1, Outcome.LATE, "queue", True),
        (HOUR, HOUR, 1, Outcome.FIRED, None, True),
        (4 * HOUR, 7 * HOUR, 32, Outcome.MISSED, "downtime", True),
        (8 * HOUR, 9 * HOUR, None, Outcome.SKIPPED, "paused", False),
    ]
    assert store.counts() == before
    assert len(store.outcomes("a", since=Instant(6 * HOUR), until=Instant(6 * HOUR), limit=9)) == 1
    assert store.outcomes("a", since=Instant(10 * HOUR), until=LATE, limit=9) == []
    again = running("e9", "a", state=State.COMPLETED, nominal=Instant(1), outcome=Outcome.FIRED, ended_at=NOW)
    commit(store, update(stored(store, "a"), ExecutionWrite(again)))
    assert purge(store, Stage.EXECUTIONS, strict) == 1
    assert store.outcomes("a", since=Instant(0), until=Instant(2), limit=9)[0].count == 3


def test_folded_counts_go_in_the_end(store: Store) -> None:
    history(store, "a", 2)
    purge(store, Stage.ROWS, retention(rows=Keep(Micros(0))))
    assert rows(store, "a", folded=True) == [2000]
    purge(store, Stage.LEDGER, retention(folded=Micros(10)), Instant(2010))
    assert rows(store, "a", folded=True) == [2000]
    purge(store, Stage.LEDGER, retention(folded=Micros(10)), Instant(2011))
    assert rows(store, "a", folded=True) == []


# -- tasks


def inactive(store: Store, task_id: str, phase: Phase = Phase.FINISHED, **changes: Any) -> None:
    """A task whose last execution ended at 200."""
    state = TaskState(phase=phase, settled_through=Instant(100), last_ended_at=Instant(200))
    done = running(f"{task_id} 1", task_id, state=State.COMPLETED, ended_at=Instant(200))
    assert commit(store, Create(attrs.evolve(task(task_id, state=state, **changes)), 0)) == {}
    assert commit(store, update(stored(store, task_id), ExecutionWrite(done))) == {}


GONE = retention(tasks=Micros(10))


@pytest.mark.parametrize("phase", [Phase.FINISHED, Phase.CANCELLED])
def test_an_inactive_task_goes_with_all_that_belongs_to_it(store: Store, phase: Phase) -> None:
    inactive(store, "a", phase)
    inactive(store, "b", Phase.ACTIVE)
    inactive(store, "c", Phase.PAUSED)
    commit(store, logs=(LogWrite("a 1", 1, ((Instant(1), "INFO", "x"),)),))
    assert purge(store, Stage.TASKS, GONE, Instant(209)) == 0
    assert purge(store, Stage.TASKS, GONE, Instant(210)) == 2
    assert sorted(found.id for found in store.tasks(["a", "b", "c"])) == ["b", "c"]
    assert (store.execution("a 1"), store.find("", "name of a"), store.counts().tasks) == (None, None, 2)
    assert store.outcomes("a", since=Instant(0), until=LATE, limit=9) == []
    assert store.audits(offset=0, limit=9) == [Audit(Instant(210), "system", "purge", "a", "name of a")]
    assert commit(store, create("d", name="name of a")) == {}


def test_a_task_may_stay_longer_or_shorter(store: Store) -> None:
    inactive(store, "long", policies=Policies(ttl=Micros(1000)))
    inactive(store, "short", policies=Policies(ttl=Micros(0)))
    assert purge(store, Stage.TASKS, retention(), Instant(200)) == 2
    assert purge(store, Stage.TASKS, GONE, Instant(300)) == 0
    assert store.tasks(["long", "short"])[0].id == "long"


def test_a_task_that_is_still_needed_stays(store: Store) -> None:
    for name in ("open", "held", "lingering", "parent", "told", "behind", "edited"):
        inactive(store, name)
    for name, changes in {
        "open": {"state": State.WAITING, "waits_for": WaitsFor.SLOT},
        "held": {"state": State.CRASHED},
        "lingering": {"state": State.TIMED_OUT, "lingers": True, "ended_at": Instant(1)},
    }.items():
        entry = running(f"{name} 2", name, **changes)
        assert commit(store, update(stored(store, name), ExecutionWrite(entry))) == {}
    commit(store, create("child", dependencies=Dependencies(("parent",))))
    commit(store, outbox=(OutboxEntry("d1", "told", None, "alarm", Instant(1), Instant(1), "{}"),))
    commit(store, update(stored(store, "behind"), state={"catching_up": Instant(50)}))
    edited = stored(store, "edited")
    newer = {"settled_through": Instant(400), "revision": 2}
    commit(store, update(edited, definition=attrs.evolve(edited.definition, tags=("x",)), state=newer))
    assert purge(store, Stage.TASKS, GONE, Instant(300)) == 0
    commit(store, deliveries=(DeliveryWrite("d1", "told", None, "alarm", Instant(9), "delivered"),))
    commit(store, update(stored(store, "child"), delete=True))
    assert purge(store, Stage.TASKS, GONE, Instant(300)) == 4
    left_over = ["behind", "edited", "held", "lingering", "open"]
    assert sorted(found.id for found in store.tasks([*left_over, "parent", "told"])) == left_over


def test_a_task_with_many_executions_goes_in_slices(store: Store) -> None:
    inactive(store, "a")
    more = [running(f"a {n}", "a", state=State.COMPLETED, nominal=None, ended_at=Instant(200)) for n in range(2, 8)]
    commit(store, update(stored(store, "a"), *map(ExecutionWrite, more)))
    assert purge(store, Stage.TASKS, GONE, Instant(300), limit=3) == 8
    assert store.tasks(["a"]) == []


# -- audits


def test_the_newest_audit_records_are_kept(store: Store) -> None:
    commit(store, audits=tuple(Audit(Instant(n), "me", "add", f"t{n}") for n in range(7)))
    assert purge(store, Stage.AUDITS, retention(audits=3), limit=2) == 4
    assert [entry.at for entry in store.audits(offset=0, limit=9)] == [6, 5, 4]
    assert purge(store, Stage.AUDITS, retention(audits=3)) == 0
