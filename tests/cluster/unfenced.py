"""A build without the fence check, for nodes that load this beside their handlers: the judge has to find them out.

What the store compares before it writes is taken away: the partition's epoch, the version of the task's row, the fence and the
state of the attempt, and whether the boot's lease was buried. Everything else is as it is.
"""

from __future__ import annotations

from typing import Any

from actors.store import postgres_bulk as bulk
from actors.store import postgres_tasks, postgres_write

_ID_ALONE = {
    "_UPDATE_TASKS": ("UPDATE tasks", "o.version = v.old_version"),
    "_UPDATE_EXECUTIONS": ("UPDATE executions", "o.fence = v.old_fence AND o.state = v.old_state"),
    "_COUNT_CHECKPOINTS": ("UPDATE executions", "o.fence = v.fence AND o.state = 'RUNNING'"),
}
"""Statement -> how it begins, and the guard in it."""


def _without(statement: bulk.Bulk, begins: str, guard: str) -> None:
    assert statement._statement.startswith(begins) and guard in statement._statement
    statement._statement = statement._statement.replace(guard, "true")


def _nothing(*_: Any) -> dict[str, Any]:
    return {}


for name, (begins, guard) in _ID_ALONE.items():
    _without(getattr(postgres_tasks, name), begins, guard)
for check in ("_stale_versions", "_stale_fences", "_stale_checkpoints"):
    setattr(postgres_tasks, check, _nothing)
for method in ("_stale_epochs", "_lost"):
    setattr(postgres_write._Plan, method, _nothing)
