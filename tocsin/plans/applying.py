"""Carrying out a plan.

All of it is checked before anything is written. What is written goes in this order: calendars; new tasks, parents first,
`TOGETHER` of them in one transaction of the store; changes of tasks, parents first; deletions. Each of the last two is a
transaction for itself, because a task's row is where everything about it is put in order (a task that fires just now, or that
somebody else edits, is decided anew for itself), and each is under the guard that the definition is the one that was compared.

So a plan is not one transaction, and what was reached is recorded where it cannot contradict the truth: in the definitions
themselves. A plan is always made from what is stored, so applying the same files again after a crash or a refusal does what
is left, and nothing twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import attrs

from actors.command_messages import ActivateTask, DeleteTask, EditTask, PauseTask
from actors.model.task import Definition, Task
from actors.model.trigger import UNBOUNDED, Once
from runtime.clock import DAY, Instant
from runtime.errors import (
    Conflict,
    Forbidden,
    InvalidRequest,
    NotFound,
    StaleVersion,
    TocsinError,
    TooLarge,
)
from runtime.records import evolve

from .planning import Action, Plan, TaskChange, make_plan
from .targets import OWNERSHIP, shown

if TYPE_CHECKING:
    from actors.node import Node

    from .documents import FileSet

TOGETHER: Final = 20
"""New tasks in one transaction: the keeper decides them in two milliseconds, the store writes them in two, and others wait."""

NOT_YET: Final = 9 * 366 * DAY
"""So far off is the time of a task that is made paused until it is: nothing fires between the two."""

SHOWN: Final = 5
"""Refusals that an error names."""

_OF_ONE: Final = (Conflict, Forbidden, InvalidRequest, NotFound, StaleVersion, TooLarge)
"""Errors about one task, which do not hinder the others."""


@attrs.define(eq=False)
class Progress:
    """What was done, and what was refused."""

    done: list[str] = attrs.field(factory=list)
    refused: list[str] = attrs.field(factory=list)


async def carry_out(node: Node, files: FileSet, plan: Plan, *, actor: str, owner: str, label: str | None) -> list[str]:
    """Make every change of the plan. Answers what was done, in words.

    Raises Conflict if some changes were refused, and the error that stopped it: either says how far it came.
    """
    progress = Progress()
    try:
        for target in plan.calendars:
            await node.calendars.put(target.calendar, actor)
            progress.done.append(f"calendar {target.calendar.name} kept")
        if plan.calendars:
            # Definitions hold the calendars that they keep to: those that were just kept have got their versions.
            prune = any("delete" in change.actions for change in plan.changes)
            plan = await make_plan(node, files, owner=owner, label=label, prune=prune)
        made = await _create(node, plan, actor, progress)
        for change in in_order(plan.changes):
            if "create" not in change.actions:
                await _steps(node, change, change.actions, change.task, actor, progress)
            elif "pause" in change.actions and (task := made.get(change.definition.id)) is not None:
                await _steps(node, change, ("pause", "edit"), task, actor, progress)
    except TocsinError as error:
        raise type(error)(f"{error}; {len(progress.done)} step(s) were done: apply again for the rest") from None
    if progress.refused:
        more = len(progress.refused) - SHOWN
        text = "; ".join(progress.refused[:SHOWN]) + (f"; and {more} more" if more > 0 else "")
        raise Conflict(f"{text}. {len(progress.done)} step(s) were done: apply again for the rest")
    return progress.done


async def _create(node: Node, plan: Plan, actor: str, progress: Progress) -> dict[str, Task]:
    """Make the new tasks. One that shall be paused gets its trigger when it is. Answers those that were made, by id."""
    new = [change for change in in_order(plan.changes) if "create" in change.actions]
    begin = Once(Instant(node.world.now() + NOT_YET))
    found: dict[str, Task] = {}
    for start in range(0, len(new), TOGETHER):
        part = new[start : start + TOGETHER]
        wanted = [
            _quiet(change.definition, begin) if "pause" in change.actions else change.definition for change in part
        ]
        for change, made in zip(part, await node.create(wanted, actor), strict=True):
            if isinstance(made, _OF_ONE):
                progress.refused.append(f"{change.definition.name}: {made}")
            elif isinstance(made, Exception):
                raise made
            else:
                found[made.id] = made
                progress.done.append(f"{change.definition.name} made")
    return found


def _quiet(definition: Definition, begin: Once) -> Definition:
    return evolve(definition, trigger=begin, bounds=UNBOUNDED)


async def _steps(
    node: Node, change: TaskChange, actions: Sequence[Action], task: Task | None, actor: str, progress: Progress
) -> None:
    """Change one task that is there; the first refusal ends it."""
    assert task is not None
    name = change.definition.name
    try:
        for action in actions:
            task = await _step(node, action, change, task, actor)
            progress.done.append(f"{name} {_DONE[action]}")
    except _OF_ONE as error:
        progress.refused.append(f"{name}: {error}")


_DONE: Final[dict[Action, str]] = {"edit": "changed", "pause": "paused", "activate": "activated", "delete": "deleted"}


async def _step(node: Node, action: Action, change: TaskChange, task: Task, actor: str) -> Task:
    target = change.target
    if target is None:
        return await _delete(node, task, actor)
    match action:
        case "pause":
            note = target.entry.note
            return await node.command(task.id, lambda reply: PauseTask(task.id, note, actor, reply))
        case "activate":
            return await node.command(task.id, lambda reply: ActivateTask(task.id, None, None, actor, reply))
        case _:
            return await _edit(node, target.definition, task, actor)


async def _delete(node: Node, task: Task, actor: str) -> Task:
    fresh = await node.task(task.id)
    if dict(fresh.definition.labels).get(OWNERSHIP) != dict(task.definition.labels)[OWNERSHIP]:
        raise Conflict("its ownership was changed meanwhile")
    return await node.command(task.id, lambda reply: DeleteTask(task.id, actor, reply))


async def _edit(node: Node, wanted: Definition, task: Task, actor: str) -> Task:
    """Change a definition that is still as it was compared; a calendar that it follows may have moved on meanwhile."""
    base = task.definition
    wanted = evolve(wanted, created_at=base.created_at)
    try:
        return await node.command(task.id, lambda reply: EditTask(wanted, None, actor, reply, base))
    except StaleVersion:
        fresh = (await node.task(task.id)).definition
        if shown(fresh) != shown(base):
            raise
        return await node.command(task.id, lambda reply: EditTask(wanted, None, actor, reply, fresh))


def in_order(changes: Sequence[TaskChange]) -> list[TaskChange]:
    """The changes, each after those of the tasks that it waits for, deletions last.

    When a task's parents are changed, those above it have theirs already: so no cycle comes up on the way.
    """
    by_id = {change.definition.id: change for change in changes}
    found: dict[str, TaskChange] = {}
    for change in changes:
        waiting = [change]
        while waiting:
            one = waiting[-1]
            parents = () if one.definition.dependencies is None else one.definition.dependencies.parents
            left = [by_id[parent] for parent in parents if parent in by_id and parent not in found]
            if left and one.definition.id not in found:
                waiting += left
            else:
                found.setdefault(waiting.pop().definition.id, one)
    return sorted(found.values(), key=lambda one: "delete" in one.actions)
