"""A data directory of a former version opens and goes on."""

from __future__ import annotations

import sqlite3
from importlib import resources
from pathlib import Path

import attrs
import pytest

from actors.model.calendar import CalendarRule, calendar_of
from actors.model.execution import Execution
from actors.model.lifecycle import State
from actors.model.occurrence import Outcome, Reason
from actors.model.placement import ANYWHERE
from actors.model.policy import Policies
from actors.model.task import Dependencies, Extra
from actors.model.trigger import Bounds
from actors.store.access import AuditFilter
from actors.store.port import Audit, Commit, CountWrite, ExecutionWrite, SchedulerPause
from actors.store.shared import Shared
from actors.store.sqlite import SqliteStore
from runtime.clock import Instant, Micros
from tests.actors.records import create, task, update
from tests.conformance.store_kit import LATE, stored

VERSION_1 = Path(__file__).with_name("store_version_1.sql")
"""The dump of a store that the first schema's version made."""


VERSION_2 = VERSION_1.with_name("store_version_2.sql")
"""The same of the second version."""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return restored(VERSION_1, tmp_path / "store.db")


def restored(dump: Path, found: Path) -> Path:
    with sqlite3.connect(found) as old:
        old.executescript(dump.read_text(encoding="utf-8"))
    old.close()
    return found


def opened(path: Path) -> SqliteStore:
    store = SqliteStore(path)
    identity = store.open(new_cluster_id="other", partitions=1, timezone_database="other")
    assert (identity.cluster_id, identity.partitions, identity.schema_version) == ("cluster", 16, 7)
    return store


def of(store: SqliteStore, execution_id: str) -> Execution:
    detail = store.execution(execution_id)
    assert detail is not None
    return detail.execution


def test_what_was_stored_reads_as_before(path: Path) -> None:
    store = opened(path)
    found = {entry.id: entry for entry in store.tasks(["t1", "t2", "t3", "t4"])}
    assert found["t3"].definition == task("t3", extra=Extra(b"\0x"), parameters='{"a":"' + "x" * 2100 + '"}').definition
    assert found["t4"].definition == task("t4", name="renamed", policies=Policies(priority=3), tags=("a",)).definition
    assert [entry.state for entry in found["t2"].open + found["t3"].open] == [State.WAITING, State.CRASHED]
    assert store.due(None, Instant(500), 9) == [(500, "t2")]
    ended = of(store, "e1")
    assert (ended.state, ended.lingers, ended.key, ended.assigned, ended.expires) == (
        State.COMPLETED,
        False,
        None,
        None,
        None,
    )
    assert [row.count for row in store.outcomes("t1", since=Instant(0), until=LATE, limit=9)] == [3, None, 1]
    assert [revision.definition.name for revision in store.revisions("t4")] == ["name of t4", "renamed"]
    assert [entry.action for entry in store.audits(offset=0, limit=9)] == ["edit"]
    assert store.last_grants() == {0: 1, 1: 1}
    counts = store.counts()
    assert (counts.tasks, counts.by_outcome) == (4, {"fired": 2, "late": 1, "skipped": 3})
    assert counts.by_reason == {"fired": 2, "late: downtime": 1, "skipped: paused": 3}
    assert (store.edges(), store.occupied(), store.scheduler_pause()) == ([], [], None)
    store.close()


def test_it_goes_on_with_everything_that_is_new(path: Path) -> None:
    store = opened(path)
    (row,) = store.uncounted(9)
    assert (row.task_id, row.first, row.outcome, row.reason) == ("t1", 60, Outcome.MISSED, Reason.DOWNTIME)
    holidays = calendar_of("", "holidays", 1, days=[(740_000, 740_001)])
    made = create(
        "t5",
        bounds=Bounds(calendars=(CalendarRule(holidays),)),
        policies=Policies(ttl=Micros(5)),
        dependencies=Dependencies(("t1",)),
    )
    first = stored(store, "t2")
    again = attrs.evolve(first.open[0], state=State.RUNNING, waits_for=None, due=None, fence=2, key="k", attempt=2)
    commit = Commit(
        {0: 1, 1: 1},
        (made,),
        (update(first, ExecutionWrite(again, first.open[0]), partition=1),),
        calendars=(holidays,),
        counts=(CountWrite("t1", Instant(60), 4),),
    )
    assert store.commit(commit).refused == {}
    assert stored(store, "t5") == made.task
    assert (store.edges(), store.occupied(), store.uncounted(9)) == ([("t5", "t1")], ["t2"], [])
    assert [entry.id for entry in store.locks(9)] == ["e2"]
    assert store.counts().by_reason["missed: downtime"] == 4
    store.close()
    opened(path).close()


def test_what_version_2_stored_is_shared_from_now_on(tmp_path: Path) -> None:
    path = restored(VERSION_2, tmp_path / "store.db")
    store = opened(path)
    pause = SchedulerPause(Instant(5), "me", "note")
    assert store.shared() == Shared(pause, graph=0, calendars=2, timezone_database="2026f")
    assert store.epochs() == {0: 2, 1: 1}
    assert store.told_to_stop("boot", 9) == ["t1"]
    assert (store.orphans([], 9, [1]), sorted(store.orphans([], 9, [0]))) == ([], ["t1", "t3"])
    assert [entry.id for entry in store.outbox_due(LATE, 9, [0])] == ["d1"]
    found = {entry.id: entry for entry in store.tasks(["t1", "t2", "t3"])}
    assert [entry.id for task_id in found for entry in found[task_id].open] == ["e1", "e2", "e3"]
    assert {entry.target for task_id in found for entry in found[task_id].open} == {None}
    assert {entry.definition.placement for entry in found.values()} == {ANYWHERE}
    store.enrol("boot", "node", 1000.0)
    (former,) = found["t2"].open
    started = attrs.evolve(former, state=State.RUNNING, waits_for=None, fence=1, key="k", boot="boot")
    here = attrs.evolve(former, id="e4", target="node")
    writes = (ExecutionWrite(started, former, key_limit=2), ExecutionWrite(here))
    claim = update(
        found["t2"], *writes, partition=1, definition=attrs.evolve(found["t2"].definition, dependencies=None)
    )
    assert store.commit(Commit({0: 2, 1: 1}, updates=(claim,), boot="boot", graph=0)).refused == {}
    assert store.shared() == Shared(pause, graph=1, calendars=2, timezone_database="2026f", live=("boot",))
    assert stored(store, "t2").open == (started, here)
    store.close()
    opened(path).close()


def test_the_audit_log_of_a_former_version_begins_its_chain_now(path: Path) -> None:
    store = opened(path)
    assert (store.unchained(), store.audit_page(AuditFilter())[1]) == (0, 1)
    store.commit(Commit({}, audits=(Audit(Instant(9), "ada", "EditTask", "t1", "", "acme"),)))
    rows, total = store.audit_page(AuditFilter())
    assert (total, [(row.chain, row.number) for row in rows]) == (2, [(1, 1), (None, 0)])
    assert (store.unchained(), len(store.audit_chain(1, after=0, limit=9))) == (0, 1)
    store.close()


@pytest.mark.parametrize("folder", ["migrations", "migrations_postgres"])
def test_no_two_migrations_have_one_number(folder: str) -> None:
    files = sorted(
        file.name for file in (resources.files("actors.store") / folder).iterdir() if file.name.endswith(".sql")
    )
    assert [int(name.partition("_")[0]) for name in files] == list(range(1, len(files) + 1))
