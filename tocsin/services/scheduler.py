"""What the operations about the scheduler as a whole do: its pause, locks, queues."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from actors.keeper_queues import Holder, Lock, QueueUse
from actors.model.execution import Execution
from actors.model.lifecycle import State
from actors.store.port import SchedulerPause
from runtime.clock import MINUTE, Instant, Micros
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
    return {"list": [await _lock_view(node, lock, names, hidden) for lock in locks]}


async def names_of(node: Node, task_ids: Iterable[str]) -> dict[str, str]:
    """The names of those of these tasks that exist."""
    names = {}
    for task_id in sorted(set(task_ids)):
        with suppress(NotFound):
            names[task_id] = (await node.task(task_id)).definition.name
    return names


async def _lock_view(node: Node, lock: Lock, names: Mapping[str, str], hidden: bool) -> Json:
    """hidden: without those holders whose names the caller may not know."""
    return {
        "key": lock.key,
        "tenant": lock.tenant,
        "limit": lock.limit,
        "holders": [_holder_view(one, names) for one in lock.holders if not hidden or one.task_id in names],
        "waiting": lock.waiting,
        "oldest": show_instant(await node.control.waiting_for_since(lock.tenant, lock.key)),
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


THROUGHPUT: Final = Micros(5 * MINUTE)
"""The time of which it is told how much of a queue began and ended."""


async def list_queues(node: Node, _call: Call) -> Json:
    """The queues that have a limit, in which somebody waits, or of which something ran lately."""
    uses = {use.name: use for use in node.control.queues()}
    passed, running = throughput(node), Counter(one.policies.queue for one in node.journal.running())
    names = sorted({*uses, *(name for name, _ in passed), *running})
    found = [uses.get(name) or QueueUse(name, None, running[name], 0) for name in names]
    return {"list": [await _queue_view(node, use, passed, running[use.name]) for use in found]}


def throughput(node: Node) -> Counter[tuple[str, bool]]:
    """How many executions of each queue this node has begun (False) and ended (True) of late."""
    found: Counter[tuple[str, bool]] = Counter()
    for what, definition in node.journal.since(Instant(node.world.now() - THROUGHPUT)):
        if isinstance(what, Execution) and definition is not None and what.state is not State.WAITING:
            found[definition.policies.queue, what.state is not State.RUNNING] += 1
    return found


async def _queue_view(node: Node, use: QueueUse, passed: Mapping[tuple[str, bool], int], running: int) -> Json:
    return {
        "name": use.name,
        "limit": use.limit,
        "running": use.running if use.limit is not None else running,
        "waiting": use.waiting,
        "oldest": show_instant(await node.control.waiting_since(use.name)),
        "started5m": passed.get((use.name, False), 0),
        "ended5m": passed.get((use.name, True), 0),
        "chosen": use.chosen,
    }
