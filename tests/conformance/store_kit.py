"""What the suites over the store's adapters share."""

from __future__ import annotations

from typing import Any

import attrs
import psycopg

from actors.model.lifecycle import State
from actors.model.retention import Slice
from actors.model.task import Task
from actors.store.port import (
    Commit,
    Create,
    ExecutionWrite,
    Update,
)
from actors.store.postgres_schema import migrations
from actors.store.shared import SharedStore
from runtime.clock import SECOND, Instant
from runtime.errors import TocsinError
from tests.actors.records import running, task, update

LATE = Instant(10**15)


@attrs.define
class SteppedClock:
    """A clock that goes on when it is told to."""

    now: Instant = Instant(1_800_000_000 * SECOND)

    def __call__(self) -> Instant:
        return self.now

    def step(self, seconds: float) -> None:
        self.now = Instant(self.now + round(seconds * SECOND))


def founded(store: SharedStore) -> SharedStore:
    store.open(new_cluster_id="cluster", partitions=16, timezone_database="2026f")
    return store


def commit(store: SharedStore, *changes: Create | Update, **more: Any) -> dict[str, type[TocsinError]]:
    """The classes of the refusals."""
    creates = tuple(change for change in changes if isinstance(change, Create))
    updates = tuple(change for change in changes if isinstance(change, Update))
    result = store.commit(Commit(more.pop("epochs", {}), creates, updates, **more))
    return {task_id: type(error) for task_id, error in result.refused.items()}


def stored(store: SharedStore, task_id: str = "t1") -> Task:
    (found,) = store.tasks([task_id])
    return found


def add_running(store: SharedStore, task_id: str = "t1", **changes: Any) -> Task:
    """A task with one running execution."""
    execution = running(f"e of {task_id}", task_id, **changes)
    assert commit(store, Create(attrs.evolve(task(task_id), open=(execution,)), 0)) == {}
    return stored(store, task_id)


def end(stored_task: Task, state: State = State.COMPLETED, **more: Any) -> Update:
    """Its only open execution ends."""
    (execution,) = stored_task.open
    ended = attrs.evolve(execution, state=state, ended_at=Instant(200), **more.pop("execution", {}))
    write = {"former": execution, **more.pop("write", {})}
    return update(stored_task, ExecutionWrite(ended, **write), **more)


def walked(store: SharedStore, wanted: Slice) -> int:
    """How much all slices of a walk remove."""
    removed = 0
    while True:
        purged = store.purge(wanted)
        removed += purged.removed
        if purged.next is None:
            return removed
        wanted = attrs.evolve(wanted, after=purged.next)


_EMPTY = """
DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'tocsin' LOOP
        EXECUTE 'DELETE FROM tocsin.' || quote_ident(name);
    END LOOP;
    IF to_regclass('tocsin.meta') IS NOT NULL THEN
        INSERT INTO tocsin.meta VALUES ('schema_version', '{version}');
        INSERT INTO tocsin.graph VALUES (0);
    END IF;
END $$
"""
"""Deleting from tables that hold next to nothing is quicker than making them anew."""


def emptied(dsn: str) -> str:
    """The database with the store's tables as they are when they are made, if they have been."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(_EMPTY.replace("{version}", str(max(migrations()))))
    return dsn
