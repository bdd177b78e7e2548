"""What the operations about the scheduler as a whole do: its pause, locks, queues."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING

from actors.keeper_queues import Holder, Lock, QueueUse
from actors.store.port import SchedulerPause
from runtime.errors import InvalidRequest, NotFound

from ..operations.calls import Call
from ..vocabulary.checks import check_note
from ..vocabulary.fields import Fields, show_instant
from ..vocabulary.views import Json

if TYPE_CHECKING:
    from actors.node import Node


async def show_scheduler(node: Node, _call: Call) -> Json:
    """Whether the scheduler is paused."""
    return pause_view(await node.control.scheduler_pause())


def pause_view(pause: SchedulerPause | None) -> Json:
    """The scheduler's pause: since when, by whom, why."""
    if pause is None:
        return {"paused": False, "since": None, "by": None, "note": None}
    return {"paused": True, "since": show_instant(pause.since), "by": pause.actor, "note": pause.note}


async def pause_scheduler(node: Node, call: Call) -> Json:
    """Settle and start nothing until resumed. One that is paused stays paused as it is."""
    fields = Fields(call["body"] or {})
    note = check_note(fields.take("note"))
    fields.finish()
    return pause_view(await node.control.pause(note, call.actor))


async def resume_scheduler(node: Node, call: Call) -> Json:
    """Go on, also if nothing was paused."""
    await node.control.resume(call.actor)
    return pause_view(await node.control.scheduler_pause())


async def list_locks(node: Node, _call: Call) -> Json:
    """The concurrency keys that somebody holds or waits for."""
    locks = node.control.locks()
    names = await names_of(node, (holder.task_id for lock in locks for holder in lock.holders))
    hidden = node.scope.owner is not None
    return {"list": [_lock_view(lock, names, hidden) for lock in locks]}


async def names_of(node: Node, task_ids: Iterable[str]) -> dict[str, str]:
    """The names of those of these tasks that exist."""
    names = {}
    for task_id in sorted(set(task_ids)):
        with suppress(NotFound):
            names[task_id] = (await node.task(task_id)).definition.name
    return names


def _lock_view(lock: Lock, names: Mapping[str, str], hidden: bool) -> Json:
    """hidden: without those holders whose names the caller may not know."""
    return {
        "key": lock.key,
        "tenant": lock.tenant,
        "limit": lock.limit,
        "holders": [_holder_view(one, names) for one in lock.holders if not hidden or one.task_id in names],
        "waiting": lock.waiting,
    }


def _holder_view(holder: Holder, names: Mapping[str, str]) -> Json:
    return {
        "taskId": holder.task_id,
        "task": names.get(holder.task_id),
        "executionId": holder.execution_id,
        "since": show_instant(holder.since),
        "lingers": holder.lingers,
    }


async def release_lock(node: Node, call: Call) -> Json:
    """Take a key from those who hold it; they go on, and count against it no more."""
    fields = Fields(call["body"])
    key, tenant, execution = fields.text("key"), fields.text("tenant"), fields.text("execution")
    fields.finish()
    if key is None:
        raise InvalidRequest("key: required")
    released = await node.control.release_lock(
        key, node.scope.home if tenant is None else tenant, execution, call.actor
    )
    return {"key": key, "released": list(released)}


async def list_queues(node: Node, _call: Call) -> Json:
    """The queues that have a limit or in which somebody waits."""
    return {"list": [_queue_view(queue) for queue in node.control.queues()]}


def _queue_view(queue: QueueUse) -> Json:
    return {"name": queue.name, "limit": queue.limit, "running": queue.running, "waiting": queue.waiting}
