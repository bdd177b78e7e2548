"""What the operation that changes many tasks at once does: each change is a command of its own, with its own audit record.

Some are under way together, so that the keeper commits them together. One that is refused is told and stops no other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import attrs
import trio

from actors.command_messages import (
    ActivateTask,
    CancelTask,
    DeleteTask,
    PauseTask,
    ResumeTask,
    RetryTask,
    RunTask,
)
from actors.model.system import is_system
from actors.model.task import Task
from actors.store.answers import TaskFilter
from runtime.errors import InvalidRequest, NotFound, TocsinError, TooLarge

from ..operations.calls import Call
from ..operations.error_table import row_of
from ..operations.overviews import BULK_ACTIONS, BULK_LIMIT, BULK_LIMIT_HIGH
from ..queue.jobs import at_level
from ..vocabulary.checks import check_note, parse_status
from ..vocabulary.fields import Fields, show
from ..vocabulary.views import Json

if TYPE_CHECKING:
    from actors.node import Node

T = TypeVar("T")

AT_ONCE: Final = 50
"""Changes that are under way together: they go into one commit or a few."""

BULK_SECONDS: Final = 20.0
"""How long one request may take, below every client's patience; whoever asks again goes on where it ended."""

PAGE: Final = 500
"""Tasks that are read together when a filter names them."""


@attrs.frozen
class Wanted:
    """A request that was read. `ids`: references of tasks; None: those that fit the filter."""

    action: str
    ids: tuple[str, ...] | None
    filter: TaskFilter
    level: str | None
    note: str | None
    dry: bool
    most: int


@attrs.define
class Refusal:
    """A task that was not changed, or not found, and why."""

    reference: str
    name: str | None
    error: TocsinError

    def view(self) -> Json:
        row = row_of(self.error)
        return {
            "task": self.reference,
            "name": self.name,
            "error": row.title,
            "code": str(row.status),
            "message": str(self.error),
        }


async def bulk(node: Node, call: Call) -> Json:
    """Do the same with many tasks, or say how many it would be done with."""
    wanted = read_wanted(call["body"])
    tasks, refused = await _tasks(at_level(node, call, wanted.level), wanted)
    done, left = 0, 0
    if not wanted.dry:
        done, left = await _change_all(node, call, wanted, tasks, refused)
    return {
        "action": wanted.action,
        "dryRun": wanted.dry,
        "matched": len(tasks),
        "done": done,
        "refused": [one.view() for one in refused],
        "more": left > 0,
    }


def read_wanted(body: Any) -> Wanted:
    """The body of a request. Raises InvalidRequest, TooLarge."""
    fields = Fields(body)
    action = fields.choice("action", BULK_ACTIONS)
    ids, conditions = fields.take("tasks"), fields.take("filter")
    note, dry = check_note(fields.take("note")), fields.flag("dryRun") or False
    most = fields.whole("most", 1, BULK_LIMIT_HIGH) or BULK_LIMIT
    fields.finish()
    if action is None:
        raise InvalidRequest(f"action: one of {', '.join(BULK_ACTIONS)}")
    if (ids is None) == (conditions is None):
        raise InvalidRequest("tasks, filter: exactly one of them")
    if note is not None and action != "pause":
        raise InvalidRequest(f"note: only a pause has one, not {action!r}")
    wanted, level = (TaskFilter(), None) if conditions is None else _read_filter(conditions)
    return Wanted(action, None if ids is None else _read_ids(ids, most), wanted, level, note, dry, most)


def _read_ids(value: Any, most: int) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(one, str) for one in value):
        raise InvalidRequest(f"tasks: a list of ids or names, not {show(value)}")
    ids = tuple(dict.fromkeys(value))
    if len(ids) > most:
        raise TooLarge(f"tasks: {len(ids)} of them; at most {most} at a time (most)")
    return ids


def _read_filter(value: Any) -> tuple[TaskFilter, str | None]:
    fields = Fields(value, "filter.")
    status, type_, text = fields.text("status"), fields.text("type"), fields.text("text")
    level = fields.text("level")
    fields.finish()
    return TaskFilter(
        status=None if status is None else parse_status(status), type=type_, text=text, system=False
    ), level


async def _tasks(node: Node, wanted: Wanted) -> tuple[list[Task], list[Refusal]]:
    """The tasks that are meant, and the references that mean none. A filter means none of the system's own."""
    if wanted.ids is None:
        return await _fitting(node, wanted), []
    tasks: dict[str, Task] = {}
    refused: list[Refusal] = []
    for reference in wanted.ids:
        try:
            task = await node.task(reference)
        except NotFound as error:
            refused.append(Refusal(reference, None, error))
        else:
            tasks[task.id] = task
    return list(tasks.values()), refused


async def _fitting(node: Node, wanted: Wanted) -> list[Task]:
    found: list[Task] = []
    offset, total = 0, 1
    while offset < total:
        page = await node.page(attrs.evolve(wanted.filter, offset=offset, limit=PAGE))
        found += [task for task in page.tasks if not is_system(task.definition)]
        if len(found) > wanted.most:
            raise TooLarge(f"filter: {page.total} tasks fit; at most {wanted.most} at a time (most)")
        offset, total = offset + PAGE, page.total
    return found


async def _change_all(
    node: Node, call: Call, wanted: Wanted, tasks: Sequence[Task], refused: list[Refusal]
) -> tuple[int, int]:
    """Change the tasks. Answers how many were changed, and how many were not come to in time."""
    return await carry_out(
        tasks,
        lambda task: _ACTIONS[wanted.action](node, call, task, wanted),
        lambda task, error: Refusal(task.id, task.definition.name, error),
        refused,
    )


async def carry_out(
    items: Sequence[T],
    change: Callable[[T], Awaitable[object]],
    refusal: Callable[[T, TocsinError], Refusal],
    refused: list[Refusal],
) -> tuple[int, int]:
    """Change each of these, some at a time; what is refused is added to `refused`.

    Answers how many were changed, and how many were not come to within `BULK_SECONDS`.
    """
    until, changed = trio.current_time() + BULK_SECONDS, 0

    async def attempt(item: T) -> None:
        nonlocal changed
        try:
            await change(item)
        except TocsinError as error:
            refused.append(refusal(item, error))
        else:
            changed += 1

    for first in range(0, len(items), AT_ONCE):
        if trio.current_time() >= until:
            return changed, len(items) - first
        async with trio.open_nursery() as nursery:
            for item in items[first : first + AT_ONCE]:
                nursery.start_soon(partial(attempt, item))
    return changed, 0


# -- what can be done with each of them

Action = Callable[["Node", Call, Task, Wanted], Awaitable[object]]


async def _pause(node: Node, call: Call, task: Task, wanted: Wanted) -> None:
    await node.command(task.id, lambda reply: PauseTask(task.id, wanted.note, call.actor, reply))


async def _activate(node: Node, call: Call, task: Task, _wanted: Wanted) -> None:
    await node.command(task.id, lambda reply: ActivateTask(task.id, None, None, call.actor, reply))


async def _cancel(node: Node, call: Call, task: Task, _wanted: Wanted) -> None:
    await node.command(task.id, lambda reply: CancelTask(task.id, call.actor, reply))


async def _delete(node: Node, call: Call, task: Task, _wanted: Wanted) -> None:
    await node.command(task.id, lambda reply: DeleteTask(task.id, call.actor, reply))


async def _run(node: Node, call: Call, task: Task, _wanted: Wanted) -> None:
    await node.command(task.id, lambda reply: RunTask(task.id, None, call.channel, None, call.actor, reply))


async def _retry(node: Node, call: Call, task: Task, _wanted: Wanted) -> None:
    await retry(node, task, call.actor, reset=False)


async def _resume(node: Node, call: Call, task: Task, _wanted: Wanted) -> None:
    await node.command(task.id, lambda reply: ResumeTask(task.id, call.actor, reply))


async def retry(node: Node, task: Task, actor: str, *, reset: bool) -> Task:
    """Run a task's last execution again, which has failed. reset: count failures from 0 again. Raises Conflict."""
    last = await node.execution(task.state.last_execution) if task.state.last_execution else None
    execution = None if last is None else last.execution
    return await node.command(task.id, lambda reply: RetryTask(task.id, execution, reset, actor, reply))


_ACTIONS: Final[Mapping[str, Action]] = {
    "pause": _pause,
    "activate": _activate,
    "cancel": _cancel,
    "delete": _delete,
    "run": _run,
    "retry": _retry,
    "resume": _resume,
}
