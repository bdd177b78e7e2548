"""Removal of what is old: ended executions with all that belongs to them, and ledger rows."""

from __future__ import annotations

import json
import sqlite3
from typing import Final

from runtime.clock import Instant

_ENDED: Final = "ended_at IS NOT NULL AND ended_at < ? AND state NOT IN ('WAITING', 'RUNNING', 'CRASHED')"
_PARTS: Final = ("attempts", "results", "checkpoints", "progress", "logs")


def purge(connection: sqlite3.Connection, *, task_id: str | None, before: Instant, keep: int, limit: int) -> int:
    """See the port. Runs inside the caller's transaction. `keep` counts executions and ledger rows each for itself."""
    ids = connection.execute(*_ended(task_id, before, keep, limit)).fetchone()[0]
    for table in _PARTS:
        connection.execute(f"DELETE FROM {table} WHERE execution_id IN (SELECT value FROM json_each(?))", (ids,))
    connection.execute("DELETE FROM executions WHERE id IN (SELECT value FROM json_each(?))", (ids,))
    _purge_ledger(connection, task_id, before, keep, limit)
    return len(json.loads(ids))


def _ended(task_id: str | None, before: Instant, keep: int, limit: int) -> tuple[str, tuple[object, ...]]:
    one_task = "" if task_id is None else "AND task_id = ? "
    # With nothing to keep, `OFFSET -1` finds the row itself, so that every row qualifies.
    newer = (
        "AND EXISTS (SELECT 1 FROM executions AS n WHERE n.task_id = e.task_id AND n.number >= e.number "
        "LIMIT 1 OFFSET ?) "
    )
    statement = (
        "SELECT json_group_array(id) FROM (SELECT id FROM executions AS e "
        f"WHERE {_ENDED} {one_task}{newer}ORDER BY ended_at, number LIMIT ?)"
    )
    return statement, (before, *(() if task_id is None else (task_id,)), keep, limit)


def _purge_ledger(connection: sqlite3.Connection, task_id: str | None, before: Instant, keep: int, limit: int) -> None:
    one_task = "" if task_id is None else "AND task_id = ? "
    connection.execute(
        "DELETE FROM settled WHERE (task_id, first) IN (SELECT task_id, first FROM settled AS s "
        f"WHERE last < ? {one_task}AND EXISTS (SELECT 1 FROM settled AS n WHERE n.task_id = s.task_id "
        "AND n.first >= s.first LIMIT 1 OFFSET ?) ORDER BY last LIMIT ?)",
        (before, *(() if task_id is None else (task_id,)), keep, limit),
    )
