"""What every adapter promises of its reads: what is due, lost and waiting, lists, the ledger, purge."""

from __future__ import annotations

import attrs
import pytest

from actors.model.execution import WaitsFor
from actors.model.lifecycle import Phase, State, Status
from actors.model.occurrence import Outcome, Reason, Settled
from actors.model.policy import DEFAULT_POLICIES
from actors.model.retention import SYSTEM
from actors.model.system import PURGE_TYPE, SYSTEM_TYPES
from actors.model.task import TaskState
from actors.store.answers import Counts, OutcomeRow, TaskFilter
from actors.store.port import Audit, Create, ExecutionWrite, Store
from runtime.clock import Instant
from runtime.errors import InvalidRequest
from tests.actors.records import create, running, task, update
from tests.conformance.store_kit import LATE, add_running, commit, stored

# -- what is due, lost, waiting


def test_due_is_in_order_of_time_and_by_partition(store: Store) -> None:
    times = {"a": 30, "b": 10, "c": 20, "d": None, "e": 40}
    commit(store, *(create(name, place, next_fire=at) for place, (name, at) in enumerate(times.items())))
    assert store.due(None, Instant(30), 9) == [(10, "b"), (20, "c"), (30, "a")]
    assert store.due(None, Instant(99), 2) == [(10, "b"), (20, "c")]
    assert store.due([0, 2], Instant(99), 9) == [(20, "c"), (30, "a")]
    assert store.due([], Instant(99), 9) == []
    assert store.due(None, Instant(9), 9) == []
    commit(store, update(stored(store, "b"), due=Instant(35)), update(stored(store, "c"), due=None))
    assert store.due(None, Instant(99), 9) == [(30, "a"), (35, "b"), (40, "e")]
    commit(store, update(stored(store, "b"), due=Instant(10)))
    assert store.due(None, Instant(99), 1) == [(10, "b")]


def test_a_retry_before_the_next_fire_is_what_is_due(store: Store) -> None:
    pending = running(state=State.WAITING, waits_for=WaitsFor.RETRY, due=Instant(7))
    commit(store, Create(attrs.evolve(task(), open=(pending,)), 0))
    assert store.due(None, LATE, 9) == [(7, "t1")]


def test_orphans_run_under_a_boot_that_is_not_alive(store: Store) -> None:
    add_running(store, "a", boot="dead")
    add_running(store, "b", boot="alive")
    add_running(store, "c", boot="dead", state=State.CRASHED)
    assert store.orphans(["alive"], 9) == ["a"]
    assert sorted(store.orphans([], 9)) == ["a", "b"]
    assert len(store.orphans([], 1)) == 1


def test_waiting_is_by_priority_then_age(store: Store) -> None:
    for number, (name, priority) in enumerate({"a": 5, "b": 1, "c": 5}.items()):
        pending = running(f"e{number}", name, state=State.WAITING, waits_for=WaitsFor.SLOT)
        made = task(name, policies=attrs.evolve(DEFAULT_POLICIES, priority=priority))
        commit(store, Create(attrs.evolve(made, open=(pending,)), 0))
    add_running(store, "d", state=State.WAITING, waits_for=WaitsFor.RETRY)
    assert store.waiting(9) == ["b", "a", "c"]
    assert store.waiting(1) == ["b"]
    assert store.waiting(9, ["no such type"]) == []
    assert store.waiting(9, ["no such type", stored(store, "a").definition.type]) == ["b", "a", "c"]


# -- lists


@pytest.fixture
def listed(store: Store) -> Store:
    """Ten tasks that differ in everything a list can ask for."""
    statuses = [Status.SCHEDULED, Status.RUNNING, Status.FAILED, Status.SCHEDULED, Status.COMPLETED] * 2
    for place, status in enumerate(statuses):
        state = TaskState(
            status=status,
            next_fire=Instant(50 - place) if place % 3 else None,
            last_started_at=Instant(place % 4) if place % 2 else None,
            failure_count=place % 3,
        )
        made = task(
            f"t{place}",
            state=state,
            name=f"{'Ab' if place % 2 else 'aB'}%_ {9 - place}",
            type=("command", "http")[place % 2],
            tenant=("", "other")[place % 5 == 0],
            created_at=Instant(100 - place),
        )
        assert commit(store, Create(made, 0)) == {}
    return store


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (TaskFilter(), "0123456789"),
        (TaskFilter(status=Status.SCHEDULED), "0358"),
        (TaskFilter(status=Status.FAILED), "27"),
        (TaskFilter(status=Status.CANCELLED), ""),
        (TaskFilter(type="http"), "13579"),
        (TaskFilter(tenant="other"), "05"),
        (TaskFilter(tenant=""), "12346789"),
        (TaskFilter(text="AB%_ 4"), "5"),
        (TaskFilter(text="%"), "0123456789"),
        (TaskFilter(text="a_"), ""),
        (TaskFilter(text="\\"), ""),
        (TaskFilter(id_prefix="no-such-id"), ""),
        (TaskFilter(status=Status.SCHEDULED, type="http", text="ab"), "35"),
        (TaskFilter(sort="name"), "9753186420"),
        (TaskFilter(sort="name", descending=True), "0246813579"),
        (TaskFilter(sort="type"), "0246813579"),
        (TaskFilter(sort="status"), "4927160358"),
        (TaskFilter(sort="coming"), "0369875421"),
        (TaskFilter(sort="coming", descending=True), "1245789630"),
        (TaskFilter(sort="last_started_at"), "0246815937"),
        (TaskFilter(sort="failure_count", descending=True), "8527419630"),
        (TaskFilter(sort="created_at"), "9876543210"),
        (TaskFilter(sort="id", descending=True), "9876543210"),
    ],
)
def test_lists_filter_sort_and_page(listed: Store, wanted: TaskFilter, expected: str) -> None:
    page = listed.page(wanted)
    assert "".join(found.id[1:] for found in page.tasks) == expected
    assert page.total == len(expected)
    part = listed.page(attrs.evolve(wanted, offset=1, limit=2))
    assert part.tasks == page.tasks[1:3]
    assert part.total == len(expected)
    assert listed.page(attrs.evolve(wanted, offset=100)).tasks == ()
    assert listed.page(attrs.evolve(wanted, offset=100)).total == len(expected)


@pytest.mark.parametrize(
    ("wanted", "left_out"),
    [
        (TaskFilter(), 3),
        (TaskFilter(sort="name", descending=True), 3),
        (TaskFilter(status=Status.SCHEDULED), 2),
        (TaskFilter(status=Status.RUNNING, sort="coming"), 1),
        (TaskFilter(status=Status.SCHEDULED, tenant=""), 2),
        (TaskFilter(type=PURGE_TYPE), 1),
        (TaskFilter(type="http"), 0),
        (TaskFilter(text="system."), 3),
    ],
)
def test_the_systems_own_tasks_are_left_out_if_that_is_said(listed: Store, wanted: TaskFilter, left_out: int) -> None:
    for place, kind in enumerate(SYSTEM_TYPES):
        state = TaskState(status=Status.SCHEDULED if place else Status.RUNNING)
        made = task(f"s{place}", state=state, name=kind, type=kind, owner=SYSTEM)
        assert commit(listed, Create(made, 0)) == {}
    everything, rest = (listed.page(attrs.evolve(wanted, system=shown)) for shown in (True, False))
    assert rest.tasks == tuple(found for found in everything.tasks if found.definition.type not in SYSTEM_TYPES)
    assert (everything.total, rest.total) == (len(everything.tasks), everything.total - left_out)
    counts = listed.counts()
    assert (counts.tasks, counts.without_system().tasks) == (13, 10)
    assert {**counts.system} == {"RUNNING": 1, "SCHEDULED": 2}
    assert sum(counts.without_system().by_status.values()) == 10


def test_what_comes_next_is_a_retry_or_a_fire_and_nothing_while_paused(store: Store) -> None:
    pending = running("e", task_id="retried", state=State.WAITING, waits_for=WaitsFor.RETRY, due=Instant(7))
    retried = attrs.evolve(task("retried", state=TaskState(next_fire=Instant(90))), open=(pending,))
    paused = task("paused", state=TaskState(next_fire=Instant(5), phase=Phase.PAUSED))
    early, late = (task(name, state=TaskState(next_fire=Instant(at))) for name, at in (("early", 6), ("late", 80)))
    for made in (late, retried, early, paused):
        assert commit(store, Create(made, 0)) == {}
    page = store.page(TaskFilter(sort="coming"))
    assert [found.id for found in page.tasks] == ["paused", "early", "retried", "late"]
    assert [found.coming for found in page.tasks] == [None, 6, 7, 80]


def test_a_list_cannot_be_sorted_by_anything_else(listed: Store) -> None:
    with pytest.raises(InvalidRequest, match="definition"):
        listed.page(TaskFilter(sort="definition"))


def test_counts_are_by_status(listed: Store) -> None:
    expected = {"SCHEDULED": 4, "RUNNING": 2, "FAILED": 2, "COMPLETED": 2}
    assert listed.counts() == Counts(10, expected, {})


# -- the ledger, audit and purge


def test_the_ledger_merges_executions_and_ranges_in_order_of_time(store: Store) -> None:
    held = add_running(store, first_started_at=Instant(95), outcome=Outcome.FIRED)
    rows = (
        Settled("t1", Instant(10), Instant(50), None, Outcome.SKIPPED, Reason.PAUSED, Instant(60), 1),
        Settled("t1", Instant(95), Instant(95), 1, Outcome.COALESCED, Reason.CATCH_UP, Instant(99), 2, "e of t1"),
    )
    commit(store, update(held, ExecutionWrite(running("manual", nominal=None)), settled=rows))
    first = OutcomeRow(Instant(10), Instant(50), None, Outcome.SKIPPED, Reason.PAUSED, None, None, None, 1)
    second = OutcomeRow(Instant(90), Instant(90), 1, Outcome.FIRED, None, "e of t1", State.RUNNING, Instant(95), 1)
    third = OutcomeRow(Instant(95), Instant(95), 1, Outcome.COALESCED, Reason.CATCH_UP, "e of t1", None, None, 2)
    assert store.outcomes("t1", since=Instant(0), until=LATE, limit=9) == [first, second, third]
    assert store.outcomes("t1", since=Instant(50), until=Instant(90), limit=9) == [first, second]
    assert store.outcomes("t1", since=Instant(51), until=Instant(89), limit=9) == []
    assert store.outcomes("t1", since=Instant(0), until=LATE, limit=1) == [first]
    counted = attrs.evolve(rows[0], count=5)
    commit(store, update(stored(store), settled=(counted,)))
    assert store.outcomes("t1", since=Instant(0), until=Instant(20), limit=9)[0].count == 5
    assert store.counts().by_outcome == {"fired": 1, "coalesced": 1, "skipped": 5}


def test_audit_records_come_newest_first(store: Store) -> None:
    records = [Audit(Instant(number), "me", "add", f"t{number}", "d") for number in range(5)]
    commit(store, audits=tuple(records))
    assert store.audits(offset=1, limit=2) == [records[3], records[2]]
    assert store.audits(offset=9, limit=2) == []


def test_task_ids_come_in_order_and_in_pieces(store: Store) -> None:
    for task_id in ("b", "a", "c"):
        commit(store, create(task_id))
    assert store.task_ids(after="", limit=2) == ["a", "b"]
    assert store.task_ids(after="b", limit=2) == ["c"]


def test_the_recorded_time_zone_database_can_be_changed(store: Store) -> None:
    store.record_timezone_database("2030a")
    identity = store.open(new_cluster_id="other", partitions=1, timezone_database="2026f")
    assert (identity.timezone_database, identity.cluster_id) == ("2030a", "cluster")
