"""What the operation does that removes history."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.model.lifecycle import State
from actors.model.retention import FINAL_STATES
from actors.model.scope import EVERYTHING
from runtime.errors import Forbidden, InvalidRequest

from ..operations.calls import Call
from ..vocabulary.fields import Fields, show
from ..vocabulary.views import Json

if TYPE_CHECKING:
    from actors.node import Node


async def purge(node: Node, call: Call) -> Json:
    """Remove what is not to be kept, or what is older than the body says, of one task or of all."""
    fields = Fields(call["body"] or {})
    reference, age = fields.text("task"), fields.duration("olderThan")
    states = _states(fields.take("states"))
    fields.finish()
    if reference is None and node.scope != EVERYTHING:
        raise Forbidden("purge: only who sees all tenants can purge all tasks; name a task")
    task_id = None if reference is None else (await node.task(reference)).id
    found = await node.purges.purge(call.actor, task_id, age, states)
    total = sum(found.removed.values())
    await node.access.note(call.actor, "Purge", f"{task_id or 'all tasks'}: {total} removed", node.scope.tenant)
    return {
        "removed": total,
        "byPart": {str(stage): number for stage, number in found.removed.items()},
        "complete": found.complete,
    }


def _states(value: object) -> tuple[State, ...]:
    if value is None:
        return ()
    names = value if isinstance(value, list) else [value]
    known = {state.value: state for state in FINAL_STATES}
    found = []
    for name in names:
        if not isinstance(name, str) or name.upper() not in known:
            raise InvalidRequest(f"states: some of {', '.join(known)}, not {show(name)}")
        found.append(known[name.upper()])
    return tuple(found)
