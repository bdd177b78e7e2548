"""What applying a file set would change: definitions field by field, and fire times. Nothing is written here."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

import attrs

from actors.model.lifecycle import Phase
from actors.model.task import Definition, Task
from actors.model.trigger import Bounds, Interval, Once, Trigger
from actors.store.answers import TaskFilter
from actors.when.triggers import upcoming
from runtime.clock import Instant
from runtime.errors import InvalidRequest
from runtime.records import evolve

from ..vocabulary.calendar_json import calendar_json
from ..vocabulary.fields import show, show_instant
from .documents import FileSet, Problems
from .fires import FireDiff, compare_fires
from .pieces import computed
from .targets import OWNERSHIP, CalendarTarget, Target, Wanted, read_targets, shown

if TYPE_CHECKING:
    from actors.node import Node

USUAL_FIRES: Final = 10
"""Next times that are compared, if it is not said how many."""

MOST_FIRES: Final = 1_000
"""Next times of each task at most: some milliseconds of arithmetic."""

PAGE: Final = 1_000
"""Tasks read at once when all of them are looked through."""

Action = Literal["create", "edit", "pause", "activate", "delete"]


@attrs.frozen(eq=False)
class TaskChange:
    """What happens to one task, in this order. `target` None: it is deleted."""

    actions: tuple[Action, ...]
    target: Target | None
    task: Task | None
    notes: tuple[str, ...] = ()

    @property
    def definition(self) -> Definition:
        """The task as it shall be, or as it was."""
        if self.target is not None:
            return self.target.definition
        assert self.task is not None
        return self.task.definition


@attrs.frozen(eq=False)
class Plan:
    """All that applying a file set does, and what it leaves as it is."""

    calendars: tuple[CalendarTarget, ...]
    changes: tuple[TaskChange, ...]
    unchanged: int
    wanted: Wanted

    @property
    def empty(self) -> bool:
        """Whether nothing would be written."""
        return not self.calendars and not any(change.actions for change in self.changes)


async def make_plan(node: Node, files: FileSet, *, owner: str, label: str | None, prune: bool) -> Plan:
    """Compare the files with what is stored. Raises InvalidRequest with every problem that would stand in the way."""
    if prune and label is None:
        raise InvalidRequest("prune: needs an owner, whose tasks are removed that the files do not have")
    wanted = await read_targets(node, files, owner=owner, label=label)
    changes = [change for change in await computed(node, _change, wanted.tasks) if change is not None]
    if prune:
        changes += await _pruned(node, wanted, str(label))
    changes += _followers(wanted, changes)
    calendars = tuple(target for target in wanted.calendars if not target.same)
    touched = sum(change.target is not None and bool(change.actions) for change in changes)
    return Plan(calendars, tuple(changes), len(wanted.tasks) - touched, wanted)


def _change(target: Target) -> TaskChange | None:
    """What the file changes about its task; None for nothing."""
    task, entry = target.task, target.entry
    if task is None:
        quiet = entry.paused is True
        late = () if quiet else _at_once(target.definition)
        return TaskChange(("create", "pause") if quiet else ("create",), target, None, late)
    phase = task.state.phase
    actions: list[Action] = []
    notes: list[str] = []
    if phase is Phase.CANCELLED and not target.same:
        notes.append("is cancelled, so it is left as it is: activate it, or delete it for good")
        return TaskChange((), target, task, tuple(notes))
    if entry.paused is True and phase is Phase.ACTIVE:
        actions.append("pause")
    if not target.same:
        actions.append("edit")
    if (phase is Phase.PAUSED and entry.paused is False) or (
        phase is Phase.FINISHED and not target.same_times and entry.paused is not True
    ):
        actions.append("activate")
    if not target.known:
        notes.append(f"this node has no task type {show(target.definition.type)}; the definition stays as it is")
    return TaskChange(tuple(actions), target, task, tuple(notes)) if actions or notes else None


def _at_once(definition: Definition) -> tuple[str, ...]:
    if isinstance(definition.trigger, Once) and definition.trigger.at < definition.created_at:
        return ("its time has passed: it runs at once",)
    return ()


async def _pruned(node: Node, wanted: Wanted, label: str) -> list[TaskChange]:
    """The tasks with the label that the files do not have. Raises InvalidRequest if another task waits for one of them."""
    kept = {target.definition.id: target.definition for target in wanted.tasks}
    gone = [
        task
        async for task in all_tasks(node)
        if dict(task.definition.labels).get(OWNERSHIP) == label and task.id not in kept
    ]
    ids = {task.id for task in gone}
    problems = Problems()
    for task in gone:
        for child in node.control.children(task.id):
            if child in ids:
                continue
            definition = kept.get(child) or (await node.task(child)).definition
            if definition.dependencies is not None and task.id in definition.dependencies.parents:
                named = show(task.definition.name)
                problems.add(f"prune: {named} cannot go, {show(definition.name)} waits for it")
    problems.refuse()
    return [TaskChange(("delete",), None, task) for task in gone]


async def all_tasks(node: Node) -> Any:
    """Every task of the caller's tenant that is not the node's own, by name."""
    offset = 0
    while True:
        page = await node.page(TaskFilter(tenant=node.scope.home, sort="name", offset=offset, limit=PAGE, system=False))
        for task in page.tasks:
            yield task
        offset += PAGE
        if offset >= page.total or not page.tasks:
            return


def _followers(wanted: Wanted, changes: Sequence[TaskChange]) -> Iterator[TaskChange]:
    """Tasks of the files that stay as they are written, but keep to a calendar that changes."""
    changed = {target.calendar.name for target in wanted.calendars if not target.same}
    known = {change.definition.id for change in changes}
    for target in wanted.tasks:
        names = {rule.calendar.name for rule in target.definition.bounds.calendars if not rule.pinned}
        if target.definition.id not in known and (used := sorted(names & changed)):
            yield TaskChange((), target, target.task, (f"follows the calendar {', '.join(used)}",))


async def digest_of(node: Node, plan: Plan) -> str:
    """A short text that is the same for the same plan on the same definitions."""
    return _digest(plan, await computed(node, _digested, plan.changes))


def _digest(plan: Plan, changes: Sequence[str]) -> str:
    parts = [*(_text(calendar_json(target.calendar)) for target in plan.calendars), *changes]
    return hashlib.sha256(f"[{', '.join(parts)}]".encode()).hexdigest()[:16]


def _digested(change: TaskChange) -> str:
    stored = None if change.task is None else [change.task.id, shown(change.task.definition)]
    wish = None if change.target is None else [change.definition.name, dict(change.target.entry.body)]
    return _text([change.actions, stored, wish])


def _text(value: object) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)


# ---- as JSON


async def plan_json(node: Node, plan: Plan, count: int) -> dict[str, Any]:
    """A plan as people and programs read it, with the diff of the next `count` fire times of each task."""
    now = node.world.now()

    def view(change: TaskChange) -> tuple[str, dict[str, Any]]:
        diff = compare_fires(_before(change, now, count), _after(change, now, count), count)
        return _digested(change), change_view(change) | {"fires": fires_view(diff)}

    views = await computed(node, view, plan.changes)
    return {
        "digest": _digest(plan, [digested for digested, _ in views]),
        "empty": plan.empty,
        "now": show_instant(now),
        "unchanged": plan.unchanged,
        "calendars": [_calendar_view(target) for target in plan.calendars],
        "changes": [shown for _, shown in views],
    }


def _calendar_view(target: CalendarTarget) -> dict[str, Any]:
    before = {} if target.stored is None else calendar_json(target.stored) | {"version": None}
    after = calendar_json(target.calendar) | {"version": None}
    return {
        "action": "create" if target.stored is None else "edit",
        "name": target.calendar.name,
        "file": target.entry.file,
        "line": target.entry.line,
        "fields": list(field_changes(before, after)),
    }


def change_view(change: TaskChange) -> dict[str, Any]:
    """One change, field by field."""
    entry = None if change.target is None else change.target.entry
    return {
        "actions": list(change.actions),
        "name": change.definition.name,
        "id": None if change.task is None else change.task.id,
        "taskType": change.definition.type,
        "file": entry and entry.file,
        "line": entry and entry.line,
        "fields": _fields(change) if "edit" in change.actions else [],
        "notes": list(change.notes),
    }


def _fields(change: TaskChange) -> list[dict[str, Any]]:
    before = {} if change.task is None else shown(change.task.definition)
    after = {} if change.target is None else shown(change.target.definition)
    return list(field_changes(before, after))


def field_changes(before: Mapping[str, Any], after: Mapping[str, Any], path: str = "") -> Iterator[dict[str, Any]]:
    """The fields that differ, each with its path and both values."""
    for key in [*after, *(key for key in before if key not in after)]:
        was, will = before.get(key), after.get(key)
        if was == will:
            continue
        if isinstance(was, Mapping) and isinstance(will, Mapping):
            yield from field_changes(was, will, f"{path}{key}.")
        else:
            yield {"field": path + key, "before": was, "after": will}


def fires_view(diff: FireDiff) -> dict[str, Any]:
    """The diff of fire times as JSON."""
    return {
        "before": show_instant(diff.before),
        "after": show_instant(diff.after),
        "through": show_instant(diff.through),
        "kept": diff.kept,
        "appear": [show_instant(at) for at in diff.appear],
        "disappear": [show_instant(at) for at in diff.disappear],
        "moved": [{"from": show_instant(one), "to": show_instant(other)} for one, other in diff.moved],
    }


def _before(change: TaskChange, now: Instant, count: int) -> list[Instant]:
    """The next times of the task as it is stored."""
    task = change.task
    if task is None or task.state.phase is not Phase.ACTIVE:
        return []
    return _next(task.definition.trigger, task.definition.bounds, task, now, count)


def _after(change: TaskChange, now: Instant, count: int) -> list[Instant]:
    """The next times when the change is made."""
    target, task = change.target, change.task
    if target is None:
        return []
    phase = Phase.ACTIVE if task is None else task.state.phase
    if "activate" in change.actions:
        phase = Phase.ACTIVE
    if phase is not Phase.ACTIVE or "pause" in change.actions:
        return []
    return _next(target.definition.trigger, target.definition.bounds, task, now, count)


def _next(trigger: Trigger, bounds: Bounds, task: Task | None, now: Instant, count: int) -> list[Instant]:
    if isinstance(trigger, Interval) and trigger.fixed_delay:
        # Where it goes on is known only when the run before has ended.
        following = None if task is None else task.state.next_fire
        trigger, count = (trigger if following is None else evolve(trigger, anchor=following)), 1
    if bounds.max_runs is not None:
        runs = 0 if task is None else task.state.runs
        count = max(0, min(count, bounds.max_runs - runs))
    return upcoming(trigger, bounds, now, count, allowed_only=True)
